"""Logs: JSON for machines or lines for people, each with the upload id where there is one.

URLs and tokens never reach a log call; the filter is the second lock on that door.
"""

import logging
import re
import sys
from enum import StrEnum

from pythonjsonlogger.json import JsonFormatter

_TOKEN = re.compile(r"eyJ[\w-]{8,}\.[\w-]*\.?[\w-]*")
_PLAIN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", "color_message"}


class LogFormat(StrEnum):
    """How a log line looks."""

    JSON = "json"
    TEXT = "text"


class LogLevel(StrEnum):
    """The levels of the service we replace; FATAL and PANIC are its names for critical."""

    PANIC = "panic"
    FATAL = "fatal"
    ERROR = "error"
    WARN = "warn"
    INFO = "info"
    DEBUG = "debug"
    TRACE = "trace"


_LEVELS = {
    LogLevel.PANIC: logging.CRITICAL,
    LogLevel.FATAL: logging.CRITICAL,
    LogLevel.ERROR: logging.ERROR,
    LogLevel.WARN: logging.WARNING,
    LogLevel.INFO: logging.INFO,
    LogLevel.DEBUG: logging.DEBUG,
    LogLevel.TRACE: logging.DEBUG,
}


class RedactingFilter(logging.Filter):
    """Cuts JSON Web Tokens out of messages."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Always lets the record pass, without tokens."""
        text = record.getMessage()
        if "eyJ" in text:
            record.msg, record.args = _TOKEN.sub("<token>", text), None
        return True


class TextFormatter(logging.Formatter):
    """One readable line: time, level, message, then `key=value` of what was added."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        line = super().format(record)
        extra = " ".join(f"{k}={v}" for k, v in vars(record).items() if k not in _PLAIN and v != "")
        return f"{line}  {extra}" if extra else line


def set_up(level: LogLevel, form: LogFormat) -> None:
    """Send all logs to standard error."""
    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(RedactingFilter())
    if form is LogFormat.JSON:
        handler.setFormatter(
            JsonFormatter(
                "{asctime}{levelname}{name}{message}",
                style="{",
                rename_fields={"asctime": "time", "levelname": "level", "name": "logger"},
            ),
        )
    else:
        handler.setFormatter(TextFormatter("%(asctime)s %(levelname)-7s %(message)s"))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(_LEVELS[level])
    # kopf tells of every object and every handler; what matters of it we log ourselves.
    logging.getLogger("kopf").setLevel(max(logging.WARNING, _LEVELS[level]))
    logging.getLogger("asyncio").setLevel(logging.WARNING)
    logging.getLogger("aiohttp.access").setLevel(logging.WARNING)
