"""Publishing: one event never keeps those of other uploads from going out (S2), whatever is answered."""

import asyncio
from typing import Any, cast

import orjson
import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import MaxPayloadError, OutboundBufferLimitError
from nats.errors import TimeoutError as NatsTimeoutError
from nats.js.api import RawStreamMsg
from nats.js.errors import NotFoundError

from uploadpp.wire.encode import Outgoing
from uploadpp.wire.publisher import Publisher
from uploadpp.wire.stream import STREAM
from uploadpp.wire.stream_message import parse


class Connection:
    """A client that fails on some bodies."""

    max_payload = 1 << 20

    def __init__(self, failures: dict[bytes, Exception]) -> None:
        self._failures = failures
        self.sent: list[bytes] = []

    def new_inbox(self) -> str:
        return "_INBOX.x"

    async def publish(self, subject: str, body: bytes, **_: object) -> None:
        del subject
        if body in self._failures:
            raise self._failures[body]
        self.sent.append(body)


async def allowed() -> None:
    """Everything may be published."""


def make(**failures: Exception) -> tuple[Publisher, Connection, list[tuple[str, object]]]:
    connection = Connection({name.encode(): error for name, error in failures.items()})
    publisher, told = Publisher(cast("Client", connection), allowed, lambda: True), list[tuple[str, object]]()
    for name in ("a", "b", "c"):
        publisher.publish(
            Outgoing(name, name.encode()),
            lambda sequence, name=name: told.append((name, sequence)),  # type: ignore[misc]
            lambda why, name=name: told.append((name, why)),  # type: ignore[misc]
        )
    return publisher, connection, told


@pytest.mark.parametrize("error", [MaxPayloadError(), ValueError("header"), TypeError("x"), KeyError("y")])
async def test_s2_one_event_never_keeps_the_others_from_going_out(error: Exception) -> None:
    publisher, connection, told = make(b=error)
    await publisher.send_queued()
    assert connection.sent == [b"a", b"c"]
    assert told == [("b", f"the event cannot be sent: {type(error).__name__}")]
    assert len(publisher) == 2, "the two others wait for their acknowledgement"


@pytest.mark.parametrize("sent_first", [False, True])
async def test_an_event_that_is_published_twice_at_once_is_sent_once_and_both_are_told(
    *, sent_first: bool
) -> None:
    """Two resumes of an upload that nobody knows ask the storage once, and the log waits for neither."""
    publisher, connection, told = make()
    if sent_first:
        await publisher.send_queued()
    for name in ("again", "once more"):
        publisher.publish(
            Outgoing("b", b"b"),
            lambda sequence, name=name: told.append((name, sequence)),  # type: ignore[misc]
            lambda why, name=name: told.append((name, why)),  # type: ignore[misc]
        )
    await publisher.send_queued()
    publisher.confirm("b", 7)
    publisher.confirm("b", 7)
    assert connection.sent == [b"a", b"b", b"c"]
    assert sorted(told) == [("again", 7), ("b", 7), ("once more", 7)]
    assert len(publisher) == 2


async def test_both_are_told_that_an_event_is_refused() -> None:
    publisher, _, told = make(b=ValueError("header"))
    publisher.publish(Outgoing("b", b"b"), lambda _: None, lambda why: told.append(("again", why)))
    await publisher.send_queued()
    assert [name for name, _ in told] == ["b", "again"]


async def test_what_could_not_be_sent_yet_is_kept() -> None:
    publisher, connection, told = make(b=OutboundBufferLimitError())
    await publisher.send_queued()
    assert connection.sent == [b"a", b"c"]
    assert told == []
    assert len(publisher) == 3


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"[]",
        b"null",
        b"5",
        b'"seq"',
        b"\xff",
        b"[" * 5000,
        {"seq": "7"},
        {"seq": True},
        {"seq": -7},
        {"seq": 0},
        {"seq": 7.5},
        {"seq": 2**63},
        {"error": "words"},
        {"error": []},
        {"seq": 7, "error": {"description": ["no"]}},
        {"error": {"description": "x\x1b[2J" * 100_000}},
    ],
    ids=range(17),
)
async def test_an_odd_answer_stores_nothing_and_fails_nothing(answer: Any) -> None:  # noqa: ANN401 -- JSON
    publisher, _, told = make()
    await publisher.send_queued()
    data = answer if isinstance(answer, bytes) else orjson.dumps(answer)
    await publisher._on_ack(Msg(cast("Client", None), "_INBOX.x.a", data=data))
    assert told == []
    assert len(publisher) == 3
    assert len(publisher.problem) < 400
    assert "\x1b" not in publisher.problem
    good = Msg(cast("Client", None), "_INBOX.x.a", data=b'{"seq":7}')
    await publisher._on_ack(good)
    assert told == [("a", 7)]
    await asyncio.sleep(0)


class Stored:
    """A stream with one message, or none; it is asked for by its position."""

    def __init__(self, found: bytes | Exception) -> None:
        self.found = found

    async def get_msg(self, stream: str, seq: int) -> RawStreamMsg:
        assert (stream, seq) == (STREAM, 7)
        if isinstance(self.found, Exception):
            raise self.found
        return RawStreamMsg(data=self.found)


@pytest.mark.parametrize(
    ("found", "ends_as", "sent"),
    [
        (b'{"signature":"ours"}', [("a", 7)], []),
        (NotFoundError(), [("a", 7)], []),
        (b"somebody else's", [], ["a+"]),
        (NatsTimeoutError(), [], ["a"]),
    ],
    ids=["ours", "removed", "theirs", "unknown"],
)
async def test_s8_a_message_of_the_same_id_is_not_the_event(
    monkeypatch: pytest.MonkeyPatch, found: bytes | Exception, ends_as: list[object], sent: list[str]
) -> None:
    """Everybody can compute the id, and publish under it first. The stream then drops ours."""
    monkeypatch.setattr("uploadpp.wire.publisher.RESEND_SECONDS", 0)
    connection, told, ids = Connection({}), list[tuple[str, int]](), list[str]()
    publisher = Publisher(cast("Client", connection), allowed, lambda: True)
    monkeypatch.setattr(connection, "jetstream", lambda: Stored(found), raising=False)

    async def note(_subject: str, _body: bytes, reply: str, headers: dict[str, str]) -> None:
        assert reply == "_INBOX.x.a"
        ids.append(headers["Nats-Msg-Id"])

    monkeypatch.setattr(connection, "publish", note)
    publisher.publish(Outgoing("a", b"", b"ours"), lambda at: told.append(("a", at)), pytest.fail)
    await publisher.send_queued()
    answer = b'{"stream":"main-queue","seq":7,"duplicate":true}'
    await publisher._on_ack(Msg(cast("Client", None), "_INBOX.x.a", data=answer))
    assert told == []
    await publisher._resend_late()
    await publisher.send_queued()
    assert told == ends_as
    assert [each[:2] for each in ids[1:]] == sent
    assert len(publisher) == len(sent)
    await publisher._on_ack(Msg(cast("Client", None), "_INBOX.x.a", data=b'{"seq":9}'))
    assert told == (ends_as or [("a", 9)])
    assert len(publisher) == 0


def test_whatever_id_an_event_was_sent_under_it_is_known_by_its_own() -> None:
    for header in ("e-1", "e-1+0123456789abcdef"):
        reply = "$JS.ACK.main-queue.uploadpp-0-e1.1.9.9.1000000.0"
        raw = parse(Msg(cast("Client", None), STREAM, reply, b"", {"Nats-Msg-Id": header}))
        assert raw.message_id == "e-1"
