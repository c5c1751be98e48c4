"""What a reader of the log knows of the messages that it has not read."""

from types import SimpleNamespace
from typing import Any, cast

from nats.aio.client import Client
from nats.aio.msg import Msg

from uploadpp.core.model import Millis
from uploadpp.wire.reader import LogReader
from uploadpp.wire.stream import ConsumerPosition
from uploadpp.wire.stream_message import StreamMessage

STORED_AT = Millis(1_800_000_000_000)


class Connection(SimpleNamespace):
    """A connection that a test cuts."""

    def __init__(self) -> None:
        super().__init__(is_connected=True, stats={"reconnects": 0}, max_payload=1 << 20, sent=0)

    def new_inbox(self) -> str:
        return "_INBOX.1"

    async def publish(self, *_: Any, **__: Any) -> None:  # noqa: ANN401 -- as of nats-py
        self.sent += 1


async def read(_: StreamMessage) -> None:
    pass


async def reader_of(connection: Connection, unread_messages: int) -> LogReader:
    """One that has read a single message."""
    client = cast("Client", connection)
    reader = LogReader(client, ConsumerPosition("main-queue", "mine", 1, 7, 2), read)
    reply = f"$JS.ACK.main-queue.mine.1.7.1.{STORED_AT * 1_000_000}.{unread_messages}"
    reader.waits()
    await reader._on_message(Msg(client, subject="main-queue", reply=reply, data=b"{}"))
    return reader


async def test_a_reader_that_lags_behind_knows_what_was_stored_before_the_last_message() -> None:
    reader = await reader_of(Connection(), 3)
    assert reader.has_read(STORED_AT)
    assert not reader.has_read(Millis(STORED_AT + 1))


async def test_one_that_has_read_everything_knows_of_the_present() -> None:
    reader = await reader_of(Connection(), 0)
    assert reader.has_read(Millis(STORED_AT + 1))
    assert reader.caught_up


async def test_after_a_reconnect_nothing_is_known() -> None:
    connection = Connection()
    reader = await reader_of(connection, 0)
    connection.stats["reconnects"] += 1
    assert not reader.has_read(STORED_AT)
    assert not reader.caught_up
    assert reader.problem == ""


async def test_without_a_connection_nothing_is_known() -> None:
    connection = Connection()
    reader = await reader_of(connection, 0)
    connection.is_connected = False
    assert not reader.has_read(STORED_AT)
    assert not reader.caught_up
