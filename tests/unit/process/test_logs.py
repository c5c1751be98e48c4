"""Logs in both forms, without secrets."""

import json
import logging
import sys
import threading
import warnings
from collections.abc import Callable, Iterator

import pytest

from uploadpp.process.logs import (
    REPEAT_SECONDS,
    LogFormat,
    LogLevel,
    RepeatFilter,
    add_trace_ids,
    log_what_nobody_catches,
    redact,
    set_up,
)

TOKEN = "eyJhbGciOiJIUzI1NiJ9.eyJhIjoxfQ.c2lnbmF0dXJl"


@pytest.fixture
def captured(capsys: pytest.CaptureFixture[str]) -> Iterator[Callable[[], str]]:
    """What was logged since it was last asked for."""
    root, kopf = logging.getLogger(), logging.getLogger("kopf")
    before = (root.handlers[:], root.level, kopf.level)
    yield lambda: capsys.readouterr().err
    root.handlers[:], level, kopf_level = before
    root.setLevel(level)
    kopf.setLevel(kopf_level)


@pytest.mark.parametrize("form", LogFormat)
def test_secrets_are_cut_out_of_everything(captured: Callable[[], str], form: LogFormat) -> None:
    set_up(LogLevel.DEBUG, form)
    log = logging.getLogger("uploadpp.test")
    log.info("from %s", f"https://gw/data/{TOKEN}")
    log.warning("to nats://mary:hunter2@nats:4222 failed", extra={"address": "tls://hunter2@nats"})
    try:
        int(TOKEN)
    except ValueError:
        log.exception("it failed", extra={"upload": "u-1"})
    text = captured()
    assert TOKEN not in text
    assert "hunter2" not in text
    assert text.count("<token>") >= 2
    assert "nats://<credentials>@nats:4222" in text
    assert "ValueError" in text


def test_json_has_what_was_added(captured: Callable[[], str]) -> None:
    set_up(LogLevel.INFO, LogFormat.JSON)
    logging.getLogger("uploadpp.test").info("Running", extra={"upload": "u-1", "run": 2})
    logging.getLogger("uploadpp.test").debug("not shown")
    line = json.loads(captured())
    assert line.keys() == {"time", "level", "logger", "message", "upload", "run"}
    assert (line["message"], line["level"], line["upload"], line["run"]) == ("Running", "INFO", "u-1", 2)


def test_text_is_one_line_of_key_and_value(captured: Callable[[], str]) -> None:
    set_up(LogLevel.INFO, LogFormat.TEXT)
    logging.getLogger("uploadpp.test").info("Running", extra={"upload": "u-1", "step": ""})
    assert captured().endswith("INFO    Running  upload=u-1\n")


@pytest.mark.parametrize("form", LogFormat)
def test_times_are_what_every_collector_reads(captured: Callable[[], str], form: LogFormat) -> None:
    set_up(LogLevel.INFO, form)
    record = logging.makeLogRecord({"created": 1_795_000_000.5, "levelno": logging.INFO, "msg": "x"})
    logging.getLogger().handlers[0].handle(record)
    assert "2026-11-18T11:06:40.500Z" in captured()


def test_traces_are_named_where_they_are_known(captured: Callable[[], str]) -> None:
    set_up(LogLevel.INFO, LogFormat.JSON)
    add_trace_ids({"u-1": "4bf9"}.get)  # type: ignore[arg-type]  # None is as good as empty
    for extra in ({"upload": "u-1"}, {"upload": "u-2"}, {}):
        logging.getLogger("uploadpp.test").info("Running", extra=extra)
    assert [json.loads(line).get("trace_id") for line in captured().splitlines()] == ["4bf9", None, None]


@pytest.mark.parametrize("level", LogLevel)
def test_levels_of_the_legacy_service(captured: Callable[[], str], level: LogLevel) -> None:
    set_up(level, LogFormat.TEXT)
    log = logging.getLogger("uploadpp.test")
    for number in (logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR, logging.CRITICAL):
        log.log(number, "x")
    shown = {"panic": 1, "fatal": 1, "error": 2, "warn": 3, "info": 4, "debug": 5, "trace": 5}
    assert len(captured().splitlines()) == shown[level]


def test_kopf_need_not_say_that_it_leaves_signals_to_us(captured: Callable[[], str]) -> None:
    set_up(LogLevel.INFO, LogFormat.TEXT)
    log = logging.getLogger("kopf._core.reactor.running")
    log.warning("OS signals are ignored: running not in the main thread.")
    log.warning("something else")
    assert captured().count("\n") == 1


def test_plain_text_is_left_alone() -> None:
    assert redact("GET https://10.0.0.1/apis?a=b failed; eyJ is short") == (
        "GET https://10.0.0.1/apis?a=b failed; eyJ is short"
    )


def test_the_same_warning_is_said_now_and_then() -> None:
    """Every upload's own message is; every message below a warning is."""
    now = [1000.0]
    repeats = RepeatFilter(lambda: now[0])

    def said(message: str, *args: object, level: int = logging.WARNING, upload: str = "") -> str:
        record = logging.LogRecord("uploadpp.x", level, __file__, 1, message, args, None)
        record.upload = upload
        return record.getMessage() if repeats.filter(record) else ""

    assert said("no lease: %s", "away") == "no lease: away"
    assert said("no lease: %s", "away") == said("no lease: %s", "away") == ""
    assert said("no lease: %s", "403") == "no lease: 403"
    assert said("passed over", upload="a") == said("passed over", upload="b") == "passed over"
    assert said("x", level=logging.INFO) == said("x", level=logging.INFO) == "x"
    now[0] += REPEAT_SECONDS
    assert said("no lease: %s", "away") == "no lease: away (2 more times since it was last logged)"
    assert said("no lease: %s", "away") == ""
    now[0] += REPEAT_SECONDS
    assert said("no lease: %s", "403") == "no lease: 403"


FORGED = "x\n2026-11-18T11:06:40.500Z ERROR   forged\x1b[2K\u202e\x9b"


@pytest.mark.parametrize(
    "where", ["message", "field", "name of a field's value", "exception", "stack", "object"]
)
def test_nobody_forges_a_line_of_text(captured: Callable[[], str], where: str) -> None:
    set_up(LogLevel.INFO, LogFormat.TEXT)
    log = logging.getLogger("uploadpp.test")
    match where:
        case "message":
            log.info("passed over: %s", FORGED)
        case "field":
            log.info("Running", extra={"upload": FORGED})
        case "object":
            log.info("Running", extra={"upload": [FORGED]})
        case "exception":
            log.error("it failed", exc_info=ValueError(FORGED))
        case "stack":
            record = log.makeRecord(
                log.name, logging.ERROR, __file__, 1, "stuck", (), None, sinfo=f"Stack\n{FORGED}"
            )
            log.handle(record)
        case _:
            log.info("Running", extra={"step": "a upload=forged"})
    text = captured()
    assert not any(char in text for char in "\x1b\u202e\x9b")
    at_the_margin = [line for line in text.splitlines() if not line.startswith("    ")]
    assert len(at_the_margin) == 1
    assert " upload=forged" not in text.replace('step="a upload=forged"', "")


def test_json_is_one_object_a_line_of_harmless_text(captured: Callable[[], str]) -> None:
    set_up(LogLevel.INFO, LogFormat.JSON)
    logging.getLogger("uploadpp.test").info("passed over: %s", FORGED, extra={"upload": FORGED + "\ud800"})
    (line,) = captured().splitlines()
    found = json.loads(line)
    assert found["message"].startswith("passed over: x\\n2026")
    assert all(str(value).isprintable() for value in found.values())


class StubbornError(Exception):
    """Refuses to be text."""

    def __str__(self) -> str:
        raise RuntimeError("not me")

    __repr__ = __str__


def _fail(error: BaseException) -> None:
    try:
        raise error
    except type(error):
        logging.getLogger("x").exception("it failed")


log = logging.getLogger("x")
ODD_CALLS: dict[str, Callable[[], object]] = {
    "argument": lambda: log.warning("a %s", StubbornError()),
    "message": lambda: log.warning(StubbornError()),
    "wrong type": lambda: log.warning("%d", "abc"),
    "too many": lambda: log.warning("a", "abc"),  # noqa: PLE1205 -- wrong on purpose
    "too few": lambda: log.warning("%s %s", "abc"),  # noqa: PLE1206 -- as above
    "percent": lambda: log.warning("100 % sure", "abc"),
    "by name": lambda: log.warning("%(a)d", {"a": "abc"}),
    "upload": lambda: log.warning("a", extra={"upload": StubbornError()}),
    "added": lambda: log.info("a", extra={"a": StubbornError()}),
    "name of what is added": lambda: log.info("a", extra={"a\n\x1b[2J": 1}),
    "long number": lambda: log.info("a %s", 10**6000, extra={"a": 10**6000}),
    "no number": lambda: log.info("a", extra={"a": float("nan"), "b": float("-inf")}),
    "bytes": lambda: log.info(b"\xff\x1b", extra={"a": b"\x1b"}),
    "long": lambda: log.info("%s", "http://eyJ" * 100_000, extra={"a": "\u0301" * 1_000_000}),
    "halves": lambda: log.info("\ud800 %s", "\udcff"),
    "name of the logger": lambda: logging.getLogger("a\x1b[2J\nb").error("a"),
    "exception": lambda: _fail(StubbornError()),
    "group": lambda: _fail(ExceptionGroup("a\x1b", [ValueError("\x1b\n"), StubbornError()])),
    "syntax": lambda: _fail(SyntaxError("a\x1b", ("f\x1b\n", 1, 1, "\x1b" * 9, 1, 2))),
    "none": lambda: log.error("a", exc_info=(None, None, None)),
}


@pytest.mark.parametrize("call", ODD_CALLS)
@pytest.mark.parametrize("form", LogFormat)
def test_no_call_fails_and_each_is_one_clean_entry(
    captured: Callable[[], str], form: LogFormat, call: str
) -> None:
    set_up(LogLevel.DEBUG, form)
    ODD_CALLS[call]()
    entry = captured()
    assert "Logging error" not in entry
    lines = entry.removesuffix("\n").split("\n")
    assert all(line.isprintable() for line in lines)
    assert len(entry) < 40_000
    if form is LogFormat.JSON:
        assert [json.loads(each, parse_constant=pytest.fail) for each in lines].pop()["time"]
        assert len(lines) == 1
    else:
        assert all(line.startswith("    ") for line in lines[1:])


@pytest.fixture
def hooked() -> Iterator[None]:
    """Everything goes to the log, and afterwards where it went before."""
    before = sys.excepthook, threading.excepthook, sys.unraisablehook
    log_what_nobody_catches()
    yield
    sys.excepthook, threading.excepthook, sys.unraisablehook = before
    logging.captureWarnings(capture=False)


def _uncaught() -> None:
    sys.excepthook(ValueError, ValueError("\x1b[2J\nforged nats://mary:hunter2@h " + TOKEN), None)


def _in_a_thread() -> None:
    def fail() -> None:
        raise ValueError("\x1b[2J\nforged nats://mary:hunter2@h " + TOKEN)

    thread = threading.Thread(target=fail)
    thread.start()
    thread.join()


def _while_deleted() -> None:
    class Broken:
        def __del__(self) -> None:
            raise ValueError("\x1b[2J\nforged nats://mary:hunter2@h " + TOKEN)

    Broken()


def _warning() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(capture=False)
        logging.captureWarnings(capture=True)
        warnings.warn("\x1b[2J\nforged nats://mary:hunter2@h " + TOKEN, stacklevel=1)


@pytest.mark.usefixtures("hooked")
@pytest.mark.parametrize("act", [_uncaught, _in_a_thread, _while_deleted, _warning])
def test_what_python_says_itself_goes_the_same_way(
    captured: Callable[[], str], act: Callable[[], None]
) -> None:
    set_up(LogLevel.INFO, LogFormat.JSON)
    act()
    lines = captured().removesuffix("\n").split("\n")
    assert len(lines) == 1
    assert json.loads(lines[0])["level"] in {"CRITICAL", "ERROR", "WARNING"}
    assert lines[0].isprintable()
    assert "forged" in lines[0]
    assert "hunter2" not in lines[0]
    assert TOKEN not in lines[0]
