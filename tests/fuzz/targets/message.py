"""A message as NATS hands it over. The first line is its reply subject, what follows are its headers."""

import asyncio
from contextlib import suppress

from nats.aio.msg import Msg

from tests.fuzz.target import Target
from uploadpp.wire.client import SafeClient
from uploadpp.wire.pulls import Terms, count, judge, left_of, words
from uploadpp.wire.stream_message import StreamMessage, parse, reply_at

NEXT = 4711


def check(data: bytes) -> None:
    """Fail if something does not hold."""
    reply, _, headers = data.partition(b"\n")
    asyncio.run(_check(reply, headers))


async def _check(reply: bytes, headers: bytes) -> None:
    client = SafeClient(None)
    found = await client._process_headers(headers)
    assert found == await client._process_headers(headers)
    message = client._build_message(1, b"main-queue", reply, b"{}", found)
    if message is None:
        assert not reply.isascii()
        return
    for each in (found or {}).items():
        assert all(isinstance(text, str) for text in each)
    check_position(message)
    check_status(found or {})


def check_position(message: Msg) -> None:
    """The positions of one message lead to those of another."""
    try:
        read = parse(message)
    except ValueError:
        return
    assert read == parse(message)
    assert isinstance(read, StreamMessage)
    message.reply = reply_at(message.reply, NEXT, NEXT + 1)
    again = parse(message)
    assert again == read._replace(sequence=NEXT, delivered=NEXT + 1)


def check_status(headers: dict[str, str]) -> None:
    """What the server says of a pull never makes us ask for nothing, or for more each time."""
    status, said = headers.get("Status", ""), headers.get("Description", "")
    left = left_of(headers)
    assert left is None or min(left) >= 0
    assert 0 <= count(said) < 10**19
    terms = Terms()
    for _ in range(3):
        _, next_terms = judge(terms, status, said)
        assert next_terms.batch >= 1
        assert next_terms.expires_seconds <= terms.expires_seconds
        assert next_terms.heartbeat_seconds > 0
        terms = next_terms
    with suppress(UnicodeEncodeError):
        words(status, said).encode()


TARGET = Target(
    check,
    longest=2048,
    words=(
        "$JS.ACK.", "main-queue", "NATS/1.0", "\r\n", "Nats-Msg-Id: ", "Status", "Description: ", "100",
        "404", "408", "409", "503", "Nats-Pending-Messages: ", "Nats-Pending-Bytes: ", "Leadership Change",
        "Message Size Exceeds MaxBytes", "Exceeded MaxRequestBatch of ", "Exceeded MaxRequestExpires of ",
        "Batch Completed", "Consumer Deleted", "Consumer is push based",
    ),
)  # fmt: skip
