"""Whatever others write, it is read in time that grows no faster than the text.

Times are compared with a plain look at each character of the same text, in the same run.
"""

import json
import logging
import re
from base64 import b64encode
from collections.abc import Callable
from contextlib import suppress

import pytest

from tests.hostile import LARGE, MOST, ROUGH, SIZES, Found, attacks, patterns, repeated, slowdown
from uploadpp.core.commands import Mark
from uploadpp.core.composition import composed
from uploadpp.core.model import Millis
from uploadpp.core.text import clean, clean_lines, hide_credentials, redact, without_assigned
from uploadpp.process.logs import RedactingFilter, RepeatFilter, TextFormatter
from uploadpp.steps.start import decode_start
from uploadpp.testing.events import UPLOAD, message
from uploadpp.wire.decode import decode
from uploadpp.wire.rawjson import loads, raw_members
from uploadpp.wire.urls import expiry_of

FOUND = patterns()
OF_THE_USER = {"kubectl_pp/times.py": "lengths of time that the user types as a flag"}
"""Files whose patterns meet no text of others."""


def test_the_patterns_are_found() -> None:
    """Those of which this is known; a new one is found by itself."""
    places = {found.where.partition(":")[0] for found in FOUND}
    assert places >= {"uploadpp/core/text.py", "uploadpp/wire/consumers.py", "uploadpp/process/otlp.py"}


@pytest.mark.parametrize(
    "found",
    [each for each in FOUND if each.where.partition(":")[0] not in OF_THE_USER],
    ids=lambda found: found.where,
)
def test_no_pattern_goes_back_over_what_it_has_read(found: Found) -> None:
    worst = (0.0, "")
    for part in attacks(found.pattern):
        for size in SIZES:
            took = max(slowdown(read, repeated(part, size)) for read in ways(found.pattern))
            assert took < MOST, f"{found.where}: {took:.0f} plain scans for {size} characters of {part!r}"
            worst = max(worst, (took, part))
    took = max(slowdown(read, repeated(worst[1], LARGE)) for read in ways(found.pattern))
    assert took < MOST, f"{found.where}: {took:.0f} plain scans for {LARGE} characters of {worst[1]!r}"


def ways(pattern: re.Pattern[str] | re.Pattern[bytes]) -> list[Callable[[str], object]]:
    if isinstance(pattern.pattern, bytes):
        raw: re.Pattern[bytes] = pattern
        return [lambda text: raw.search(text.encode("utf-8", "surrogatepass"))]
    return [pattern.search, pattern.fullmatch]


@pytest.mark.parametrize(
    "pattern",
    [r"\S*://\S*|\beyJ[\w-]+\.[\w.-]*", r"eyJ[\w-]{8,}\.[\w-]*\.?[\w-]*", r"\s+x"],
)
def test_patterns_that_go_back_are_noticed(pattern: str) -> None:
    with pytest.raises(AssertionError, match="plain scans"):
        test_no_pattern_goes_back_over_what_it_has_read(Found("here", re.compile(pattern)))


Reader = Callable[[str], Callable[[], object]]
"""Takes a text, and gives what reads it: making a message is not what is measured."""


def read(function: Callable[[str], object]) -> Reader:
    return lambda text: lambda: function(text)


def decoding(event_type: str, members: Callable[[str], dict[str, object]], **names: str) -> Reader:
    def prepared(text: str) -> Callable[[], object]:
        payload = json.dumps({"UploadID": UPLOAD, **members(text)})
        data = message(event_type, payload, **dict.fromkeys(names, text))
        return lambda: decode(data, 1, Millis(0))

    return prepared


def payload(text: str) -> Callable[[], object]:
    raw = text.encode("utf-8", "surrogatepass")
    body = {"Metadata": {"eventtype": "events.CleanUpload"}, "Payload": b64encode(raw).decode()}
    data = json.dumps(body).encode()
    return lambda: decode(data, 1, Millis(0))


def start(text: str) -> Callable[[], object]:
    body = {"UploadID": text, "StepToStart": "virusscan", "URL": text, "Filename": text}
    data = message("StartPostprocessingStep", json.dumps(body))
    return lambda: decode_start(data, "virusscan", 1)


def logged(text: str) -> Callable[[], object]:
    error = ValueError(text)
    filters, form = (RepeatFilter(), RedactingFilter()), TextFormatter("%(message)s")

    def handle() -> str:
        info = (ValueError, error, None)
        record = logging.LogRecord("uploadpp.x", logging.ERROR, __file__, 1, "%s", (text,), info)
        record.upload = text
        for each in filters:
            each.filter(record)
        return form.format(record)

    return handle


READERS: dict[str, Reader] = {
    "clean": read(clean),
    "clean_lines": read(clean_lines),
    "redact": read(redact),
    "composed": read(composed),
    "without_assigned": read(lambda text: without_assigned(text, re.compile("."))),
    "hide_credentials": read(hide_credentials),
    "expiry_of": read(expiry_of),
    "Mark": read(Mark.decode),
    "loads": read(loads),
    "raw_members": read(raw_members),
    "step finished": decoding(
        "PostprocessingStepFinished",
        lambda text: {"FinishedStep": "x", "Outcome": "x", "Result": {"ErrorMsg": text}},
    ),
    "its words": decoding(
        "PostprocessingStepFinished", lambda text: {"FinishedStep": text, "Outcome": text, "Error": text}
    ),
    "a URL": decoding("BytesReceived", lambda text: {"URL": text, "Filesize": 1}),
    "a user": decoding("BytesReceived", lambda text: {"ExecutingUser": {text: text}, "Filesize": 1}),
    "metadata": decoding("CleanUpload", lambda _: {}, uploadpp="", traceparent="", initiatorid=""),
    "payload": payload,
    "start": start,
    "logged": logged,
}


@pytest.mark.parametrize("name", READERS)
def test_a_message_is_read_in_time_that_grows_with_its_size(name: str) -> None:
    """Up to 700 kB of any shape; the smaller size finds what would take minutes at the larger one."""
    for part in ROUGH:
        for size, most in ((SIZES[0], 50 * MOST), (700_000, MOST)):
            text = repeated(part, size * len(part) // len(json.dumps(part)))
            handle = READERS[name](text)

            def tried(_: str, handle: Callable[[], object] = handle) -> None:
                with suppress(ValueError):
                    handle()

            took = slowdown(tried, text)
            assert took < most, f"{took:.0f} plain scans for {len(text)} characters of {part!r}"
