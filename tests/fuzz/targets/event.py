"""An event of the stream, as anybody may publish it: what is read, and what is sent because of it."""

from typing import Any

import orjson

from tests.fuzz.target import Target
from uploadpp.api.codec import ALL_SHOWN, to_resource, to_status
from uploadpp.core.commands import Command, ResumeStep
from uploadpp.core.inputs import BytesReceived, Published, Resume
from uploadpp.core.machine import decide
from uploadpp.core.model import Upload
from uploadpp.core.plan_text import Planned
from uploadpp.testing.builders import ARRIVAL, CONFIG, NOW, PASSED, after
from uploadpp.wire.decode import MAX_ID, Event, decode
from uploadpp.wire.encode import Outgoing, encode
from uploadpp.wire.envelope import BadMessageError, decode_envelope
from uploadpp.wire.marks import AnyMark, Marks, NoMark, Proofs
from uploadpp.wire.rawjson import raw_members

MARKS = Marks([b"k" * 32])
SIGNED = Marks([b"k" * 32, b"j" * 32], unsigned_until=5)
WORDS = 2_000
"""Bytes of an event of ours beside those that came in."""
LIVES = tuple(after(*PASSED[: count + 1]) for count in range(len(PASSED)))
ECHOED = {"executinguser", "filename", "filesize", "resourceid", "impersonatinguser", "url"}


def read(data: bytes, proofs: Proofs, position: int = 7) -> Event | str | None:
    """What the message means, or why it cannot be understood."""
    try:
        return decode(data, position, NOW, proofs)
    except BadMessageError as error:
        said = str(error)
    assert said.isprintable()
    assert len(said) < 256
    return said


def check(data: bytes) -> None:
    """Fail if something does not hold."""
    seen: list[Event] = []
    for proofs in (NoMark(), AnyMark(), SIGNED):
        found = read(data, proofs)
        assert found == read(data, proofs)
        if isinstance(found, Event) and found not in seen:
            seen.append(found)
            check_event(found, len(data))
            check_shards(data, found, proofs)


def check_shards(data: bytes, found: Event, proofs: Proofs) -> None:
    """A message is passed over because of its id only if that is what the whole message says."""
    asked: list[str] = []
    for mine in (True, False):

        def owns(upload_id: str, mine: bool = mine) -> bool:  # noqa: FBT001 -- bound
            asked.append(upload_id)
            return mine

        quick = decode(data, 7, NOW, proofs, owns)
        if quick is None:
            assert not mine
            assert found.upload_id == asked[-1]
        else:
            assert quick == found


def check_event(event: Event, size: int) -> None:
    """What it leads to can be stored and sent."""
    assert len(event.upload_id) <= MAX_ID
    assert event.upload_id or isinstance(event.input, Resume)
    event.upload_id.encode()
    if isinstance(event.input, BytesReceived):
        decision = decide(None, event.upload_id, event.input, NOW, CONFIG)
        assert isinstance(decision.upload, Upload)
        check_stored(decision.upload)
        for command in decision.commands:
            check_sent(command, decision.upload, size)
    for life in LIVES:
        done = decide(life, event.upload_id, event.input, NOW, CONFIG)
        check_stored(done.upload)
        for command in done.commands:
            check_sent(command, done.upload, size)


def check_stored(upload: Upload) -> None:
    """Its resource is JSON, and not a large one."""
    made = orjson.dumps(to_resource(upload, namespace="ocis", shown=ALL_SHOWN, sealed="x"))
    assert len(made) + len(orjson.dumps(to_status(upload))) < 1_000_000


def check_sent(command: Command, upload: Upload, size: int) -> None:
    """What we send is read back as what we meant, with what came in as it was."""
    sent = encode(command, upload.id, upload, NOW, marks=MARKS)
    assert len(sent.body) < 3 * size + WORDS
    if isinstance(command, ResumeStep):
        return
    again = read(sent.body, MARKS, 9)
    plan = Planned(upload.plan, upload.left_out_by_restart)
    assert again == Event(upload.id, Published(command.mark, 9, plan), sent.event_id)
    check_echo(sent, upload)


def check_echo(sent: Outgoing, upload: Upload) -> None:
    origin = upload.origin
    members = raw_members(decode_envelope(sent.body).payload_text())
    expected: dict[str, Any] = {
        "executinguser": origin.executing_user,
        "filename": origin.filename,
        "filesize": origin.filesize,
        "resourceid": origin.resource_id,
        "impersonatinguser": origin.impersonating_user,
        "url": origin.url,
    }
    for name in ECHOED & set(members):
        assert members[name][0] == expected[name]


assert LIVES[0].origin == ARRIVAL.origin
TARGET = Target(check, is_json=True, longest=8192)
