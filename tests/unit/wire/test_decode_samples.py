"""The golden samples: what the Go services really put on the stream, read and written."""

import json
from base64 import b64decode
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from uploadpp.core.commands import (
    Command,
    Finish,
    Kind,
    Mark,
    RequestRestart,
    ResumeStep,
    RetryNotice,
    StartStep,
)
from uploadpp.core.inputs import (
    BytesReceived,
    FinishedElsewhere,
    Input,
    Resume,
    RetriedElsewhere,
    StartedElsewhere,
    StepFinished,
    UploadReady,
)
from uploadpp.core.model import FileInfo, Millis, Origin, Upload
from uploadpp.core.states import Outcome
from uploadpp.testing.events import UPLOAD, arrival, message
from uploadpp.wire.decode import Event, decode
from uploadpp.wire.encode import encode
from uploadpp.wire.marks import AnyMark
from uploadpp.wire.rawjson import raw_members

NOW = Millis(1_790_930_131_005)
USER = "4c510ada-c86b-4815-8820-42cdf82c3d51"
TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@dataclass(frozen=True)
class Sample:
    """One line of the vectors."""

    eventtype: str
    envelope: str
    payload: str


SAMPLES = [
    Sample(**json.loads(line))
    for line in (Path(__file__).parents[2] / "data" / "wire-samples.jsonl").read_text().splitlines()
]
FULL, MINIMAL, START, INFECTED, RETRY, POLICIES, FINISHED, NOTICE, READY, FOUND, OF_STEP, RESUME, RESTART = (
    SAMPLES
)
MEANINGS: list[tuple[Sample, Input | None]] = [
    (START, StartedElsewhere("virusscan", 7)),  # without our mark it is somebody else's
    (INFECTED, StepFinished("virusscan", "delete", "Eicar-Test-Signature", scanned=True)),
    (RETRY, StepFinished("virusscan", "retry", "dial tcp: connection refused")),
    (POLICIES, StepFinished("policies", "continue")),
    (FINISHED, FinishedElsewhere("continue", 7)),
    (NOTICE, RetriedElsewhere()),
    (READY, UploadReady(failed=False)),
    (FOUND, None),  # the posix driver found a file: no upload id (F40)
    (OF_STEP, Resume("virusscan")),
    (RESUME, Resume()),
    (RESTART, None),
]


def arrived(data: bytes) -> BytesReceived:
    event = decode(data, 1, NOW)
    assert event is not None
    assert isinstance(event.input, BytesReceived)
    return event.input


@pytest.mark.parametrize(("sample", "meaning"), MEANINGS, ids=lambda each: getattr(each, "eventtype", ""))
def test_meaning(sample: Sample, meaning: Input | None) -> None:
    event = decode(sample.envelope.encode(), 7, NOW)
    upload_id = "" if sample is OF_STEP else UPLOAD
    assert event == (None if meaning is None else Event(upload_id, meaning))


def test_full_arrival() -> None:
    found = arrived(FULL.envelope.encode())
    members = raw_members(FULL.payload)
    assert found.origin == Origin(
        url=members["url"][0],
        url_received_at=NOW,
        filename='"Füße \\u0026 \\u003cPläne\\u003e \\u2028 \\"final\\".pdf"',
        filesize="18446744073709551615",
        executing_user=members["executinguser"][0],
        impersonating_user=members["impersonatinguser"][0],
        space_owner=members["spaceowner"][0],
        resource_id=members["resourceid"][0],
        initiator_id="web-41c2",
        traceparent=TRACE,
    )
    assert found.file == FileInfo(
        filename='Füße & <Pläne> \u2028 "final".pdf',
        filesize=2**64 - 1,
        user_id=USER,
        space_id=USER,
        storage_id="1284d238-aa92-42ce-bdc4-0b0000009157",
        opaque_id="91aa1c2e-0000-4000-8000-000000000001",
    )


def test_minimal_arrival() -> None:
    found = arrived(MINIMAL.envelope.encode())
    assert found.file == FileInfo(filename="minimal.txt", filesize=1)
    assert found.origin.executing_user == found.origin.resource_id == "null"


def written(command: Command, origin: Origin) -> tuple[dict[str, Any], str]:
    """The envelope we publish, and the text of its payload."""
    upload = Upload(id=UPLOAD, received_at=NOW, origin=origin)
    envelope = json.loads(encode(command, UPLOAD, upload, NOW).body)
    return envelope, b64decode(envelope["Payload"], validate=True).decode()


def test_a_wish_for_a_step_is_said_as_the_old_command_said_it() -> None:
    command = ResumeStep(Mark(Kind.RESUME, NOW, 1, 1, "t1", "t1"), "virusscan")
    envelope, payload = written(command, Origin())
    assert (envelope["Metadata"]["eventtype"], payload) == (
        OF_STEP.eventtype,
        OF_STEP.payload.replace('"nanos":5000', '"nanos":5000000'),
    )
    event = decode(json.dumps(envelope).encode(), 7, NOW, AnyMark())
    assert event == Event("", Resume("virusscan", "t1"), command.mark.event_id(UPLOAD))


def origin_for(payload: str, **metadata: str) -> Origin:
    """What BytesReceived must have brought for us to answer with this payload."""
    echoed = ("URL", "ExecutingUser", "Filename", "Filesize", "ResourceID", "ImpersonatingUser")
    members = raw_members(payload)
    texts = {name: members[name.lower()][0] for name in echoed if name.lower() in members}
    return arrived(message("BytesReceived", arrival(**texts), **metadata)).origin


def mark(kind: Kind, detail: str = "") -> Mark:
    return Mark(kind, NOW, 1, 1, detail)


def test_start() -> None:
    command = StartStep(mark(Kind.START, "virusscan"))
    assert written(command, origin_for(START.payload))[1] == START.payload


def test_finished() -> None:
    """With the resource id in addition, where ocis 8 has it."""
    origin = origin_for(FINISHED.payload)
    command = Finish(mark(Kind.FINISH, "continue"), Outcome.CONTINUE)
    expected = FINISHED.payload.replace('"Result"', f'"ResourceID":{origin.resource_id},"Result"')
    assert written(command, origin)[1] == expected


def test_retry() -> None:
    command = RetryNotice(mark(Kind.RETRY, "virusscan"), 2, Millis(10_000))
    assert written(command, origin_for(NOTICE.payload))[1] == NOTICE.payload


@pytest.mark.parametrize(
    ("now", "nanos"), [(NOW, ',"nanos":5000000'), (Millis(1_790_930_131_000), "")], ids=["millis", "whole"]
)
def test_restart(now: Millis, nanos: str) -> None:
    """Of an upload nobody knows; protobuf leaves zero nanoseconds out."""
    body = json.loads(encode(RequestRestart(Mark(Kind.RESTART, now, 0, 1)), UPLOAD, None, now).body)
    assert b64decode(body["Payload"]).decode() == RESTART.payload.replace(',"nanos":5000', nanos)
    assert body["Metadata"]["initiatorid"] == ""


ODD = {
    "ExecutingUser": '{ "id": {"opaque_id":"m\\u00e4ry", "tenant_id":"t"},\t"weight":1.0,"big":1e3,"one":1}',
    "ResourceID": '{"space_id":"\\u003cs\\u003e","opaque_id":"o","shard":18446744073709551615}',
    "Filename": '"a\\/b \\u2028\\ud83d\\ude00 < \u00fc.pdf"',
    "Filesize": "18446744073709551615",
    "ImpersonatingUser": '{"id":null,"new":[1,2.50,-0.0,"\\u0041"]}',
}


@pytest.mark.parametrize(
    "command",
    [
        StartStep(mark(Kind.START, "policies")),
        Finish(mark(Kind.FINISH, "delete"), Outcome.DELETE),
        RetryNotice(mark(Kind.RETRY, "policies"), 1, Millis(5000)),
    ],
    ids=lambda command: type(command).__name__,
)
def test_echo_is_byte_for_byte(command: Command) -> None:
    origin = arrived(message("BytesReceived", arrival(**ODD))).origin
    members = raw_members(written(command, origin)[1])
    echoed = {name: members[name.lower()][0] for name in ODD if name.lower() in members}
    assert echoed == {name: text for name, text in ODD.items() if name in echoed}
    assert {"ExecutingUser", "Filename"} <= echoed.keys()


def test_context_is_kept() -> None:
    context = {"initiatorid": "web<1>", "extrainfo": '{"k":["v\u2028"]}', "traceparent": TRACE}
    origin = arrived(message("BytesReceived", arrival(), **context, other="dropped")).origin
    command = StartStep(mark(Kind.START, "virusscan"))
    body = encode(command, UPLOAD, Upload(id=UPLOAD, received_at=NOW, origin=origin), NOW).body
    assert b"web\\u003c1\\u003e" in body
    assert b"v\\u2028" in body
    metadata = json.loads(body)["Metadata"]
    assert {name: metadata[name] for name in context} == context
    assert metadata["eventid"] == command.mark.event_id(UPLOAD)
    assert metadata["eventtype"] == "events.StartPostprocessingStep"
    assert "other" not in metadata


def test_extrainfo_is_absent_where_it_was_absent() -> None:
    origin = arrived(message("BytesReceived", arrival())).origin
    assert "extrainfo" not in written(StartStep(mark(Kind.START, "x")), origin)[0]["Metadata"]


def test_envelope_has_the_fields_of_go_in_their_order() -> None:
    envelope, _ = written(StartStep(mark(Kind.START, "x")), Origin())
    assert list(envelope) == list(json.loads(START.envelope))
    assert envelope["Topic"] == "main-queue"
    assert envelope["Timestamp"] == "2026-10-02T08:35:31.005Z"


def test_own_event_is_known_by_its_mark() -> None:
    command = StartStep(Mark(Kind.START, NOW, 2, 3, "virus:scan", "again-1"))
    outgoing = encode(command, UPLOAD, Upload(id=UPLOAD, received_at=NOW), NOW)
    event = decode(outgoing.body, 9, NOW, AnyMark())
    assert event is not None
    assert event.upload_id == UPLOAD
    assert event.event_id == outgoing.event_id
    assert (event.input.mark, event.input.sequence) == (command.mark, 9)  # type: ignore[union-attr]
