"""Logs: JSON for machines or lines for people, each with the upload id where there is one.

Download URLs and tokens never reach a log call; the filter is the second lock on that door. Nothing
that is said reaches a line as it came: what could forge a line or control a terminal is escaped.
"""

import json
import logging
import math
import sys
import threading
import time
import traceback
from collections.abc import Callable
from enum import StrEnum
from types import TracebackType

from pythonjsonlogger.json import JsonFormatter

from uploadpp.api.timestamps import format_time
from uploadpp.core.model import Millis
from uploadpp.core.text import clean, clean_lines, hide_credentials

log = logging.getLogger(__name__)

REPEAT_SECONDS = 30.0
REMEMBERED = 500
MAX_LOGGED = 8192
"""Maximum number of characters of a message, and of each extra field; the rest is not read."""
TRACE_LINES = 200
MAX_ABOUT = 256
_PLAIN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", "color_message"}
_MAX_BITS = 64
"""Maximum digits of an integer in a log; Python refuses to write thousands of digits."""


class LogFormat(StrEnum):
    """How a log line looks."""

    JSON = "json"
    TEXT = "text"


class LogLevel(StrEnum):
    """The levels of the legacy service; FATAL and PANIC are its names for critical."""

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


def redact(text: str) -> str:
    """The text on one line, without JSON Web Tokens and without the credentials of addresses."""
    return clean(hide_credentials(text, MAX_LOGGED), MAX_LOGGED)


def _text(value: object) -> str:
    """The value as text. A value that cannot be converted does not raise."""
    try:
        return str(value)
    except Exception as error:  # noqa: BLE001 -- code of others
        return f"<{type(value).__name__} that cannot be shown: {type(error).__name__}>"


def _message(record: logging.LogRecord) -> str:
    """What a record says, also when its arguments do not go with its text."""
    try:
        return record.getMessage()
    except Exception:  # noqa: BLE001 -- as above, and formats of others
        args = record.args.items() if isinstance(record.args, dict) else record.args or ()
        return " ".join(map(_text, (record.msg, *args)))


def _is_number(value: object) -> bool:
    """Whether it is one that every reader of JSON reads; None and booleans are."""
    if isinstance(value, int):
        return value.bit_length() <= _MAX_BITS
    return value is None or (isinstance(value, float) and math.isfinite(value))


def _redact_lines(text: str) -> str:
    """Each line of a traceback separately, so that a long message does not hide where it came from."""
    return clean_lines(text, TRACE_LINES, redact)


class RedactingFilter(logging.Filter):
    """Cuts secrets out of messages, out of what was added to them, and out of tracebacks."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Always lets the record pass, without secrets."""
        record.msg, record.args = redact(_message(record)), None
        if record.exc_info:
            text = "".join(traceback.format_exception(*record.exc_info)).rstrip()
            record.exc_text, record.exc_info = _redact_lines(text), None
        if record.stack_info:
            record.stack_info = _redact_lines(record.stack_info)
        for name, value in vars(record).items():
            if name not in _PLAIN and not _is_number(value):
                vars(record)[name] = redact(_text(value))
        return True


class RepeatFilter(logging.Filter):
    """Lets the same warning through only now and then, with the number of times it was suppressed since."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._said: dict[tuple[object, ...], tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether it is time to log it (again)."""
        if record.levelno < logging.WARNING:
            return True
        text, now = _message(record)[:MAX_LOGGED], self._clock()
        about = [_text(vars(record).get(name))[:MAX_ABOUT] for name in ("upload", "resource")]
        key = (record.name, record.levelno, text, *about)
        said_at, withheld = self._said.pop(key, (float("-inf"), 0))
        if now - said_at < REPEAT_SECONDS:
            self._said[key] = (said_at, withheld + 1)
            return False
        self._said[key] = (now, 0)
        while len(self._said) > REMEMBERED:
            del self._said[next(iter(self._said))]
        if withheld:
            record.msg, record.args = f"{text} ({withheld} more times since it was last logged)", None
        return True


class TraceIds(logging.Filter):
    """Adds the trace to what is said about an upload."""

    def __init__(self, trace_id: Callable[[str], str]) -> None:
        super().__init__()
        self._trace_id = trace_id

    def filter(self, record: logging.LogRecord) -> bool:
        """Always lets the record pass."""
        upload = vars(record).get("upload")
        if isinstance(upload, str) and (found := self._trace_id(upload)):
            record.trace_id = found
        return True


class Rfc3339(logging.Formatter):
    """Times as every collector of logs reads them, and as they are in the resources."""

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:  # noqa: N802 -- logging's name
        """The time of a record, in UTC."""
        del datefmt
        return format_time(Millis(int(record.created * 1000)))


class JsonLines(Rfc3339, JsonFormatter):
    """One JSON object a line."""


class TextFormatter(Rfc3339):
    """One readable line: time, level, message, then `key=value` of what was added."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        # Only a line of its own begins at the margin: a traceback cannot forge one.
        line, *more = super().format(record).split("\n")
        added = [
            f"{clean(name, MAX_ABOUT)}={_quoted(value)}"
            for name, value in vars(record).items()
            if name not in _PLAIN and value != ""
        ]
        return "\n    ".join(["  ".join([line, " ".join(added)]) if added else line, *more])


def _quoted(value: object) -> str:
    """A value that cannot be taken for the next name and value."""
    text = str(value)
    return json.dumps(text, ensure_ascii=False) if any(char in text for char in ' "=') else text


def _leave_signals_to_us(record: logging.LogRecord) -> bool:
    """Kopf warns that it does not handle signals outside of the main thread; `app` handles them."""
    return not _message(record).startswith("OS signals are ignored")


def add_trace_ids(trace_id: Callable[[str], str]) -> None:
    """Have each line about an upload name its trace; to be called after `set_up`."""
    for handler in logging.getLogger().handlers:
        handler.addFilter(TraceIds(trace_id))


def log_what_nobody_catches() -> None:
    """Have warnings of Python and exceptions that end a thread or the process logged as all else is.

    Their texts may be those of others, and Python would write them to the terminal as they are.
    """
    logging.captureWarnings(capture=True)

    def uncaught(kind: type[BaseException], error: BaseException | None, trace: TracebackType | None) -> None:
        if issubclass(kind, KeyboardInterrupt):
            sys.__excepthook__(kind, error or kind(), trace)
            return
        text = "exiting after an unexpected error; this is a bug, please report it"
        log.critical(text, exc_info=(kind, error or kind(), trace))

    def in_thread(args: threading.ExceptHookArgs) -> None:
        uncaught(args.exc_type, args.exc_value, args.exc_traceback)

    def ignored(args: "sys.UnraisableHookArgs") -> None:
        error = args.exc_value or args.exc_type()
        where = args.err_msg or "an exception was ignored"
        log.error("%s", where, exc_info=(args.exc_type, error, args.exc_traceback))

    sys.excepthook, threading.excepthook, sys.unraisablehook = uncaught, in_thread, ignored


def set_up(level: LogLevel, form: LogFormat) -> None:
    """Send all logs to standard error."""
    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(RepeatFilter())
    handler.addFilter(RedactingFilter())
    if form is LogFormat.JSON:
        handler.setFormatter(
            JsonLines(
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
    logging.getLogger("kopf._core.reactor.running").addFilter(_leave_signals_to_us)
    # kopf tells of every object and every handler; what matters of it we log ourselves.
    logging.getLogger("kopf").setLevel(max(logging.WARNING, _LEVELS[level]))
    logging.getLogger("asyncio").setLevel(logging.WARNING)
    logging.getLogger("aiohttp.access").setLevel(logging.WARNING)
