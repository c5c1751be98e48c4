"""Headers, subjects and reply subjects that a publisher chooses end no connection (S1)."""

import asyncio
from contextlib import suppress

import pytest
from nats.aio.msg import Msg

from e2e.cluster.nats import NatsServer
from uploadpp.core.sharding import Shard
from uploadpp.steps.consumer import StartConsumer
from uploadpp.wire.connection import NatsOptions, connect
from uploadpp.wire.errors import LogLostError
from uploadpp.wire.reader import LogReader
from uploadpp.wire.stream import STREAM, ensure_stream, take_over
from uploadpp.wire.stream_message import StreamMessage

pytestmark = pytest.mark.each_nats

HEADERS = [
    b"NATS/1.0 \xff\xfe\xfd\r\n\r\n",
    b"NATS/1.0 100 \xff\r\nA: b\r\n\r\n",
    b"NATS/1.0  5\xff\r\n\r\n",
    b"NATS/1.0\r\n\xff\xfe: \xff\r\n\r\n",
    b"NATS/1.0\r\nNats-Msg-Id: \xff\xff\r\n\r\n",
    b"NATS/1.0\r\nno colon\r\n\r\n",
    b"NATS/1.0\r\n:\r\n\r\n",
    b"NATS/1.0\r\nA:" + b"b" * 60_000 + b"\r\n\r\n",
    b"NATS/1.0",
    b"\r\n\r\n",
    b"x",
    # What a server says, but from the stream.
    b"NATS/1.0 100\r\n\r\n",
    b"NATS/1.0 408 Request Timeout\r\n\r\n",
    b"NATS/1.0 409 Consumer Deleted\r\n\r\n",
    b"NATS/1.0\r\nStatus: 404\r\n\r\n",
    b"NATS/1.0\r\nStatus: 409\r\nDescription: Exceeded MaxRequestBatch of 1\r\n\r\n",
    b"NATS/1.0\r\nStatus: 503\r\n\r\n",
]
PLAIN = [
    b"PUB uploadpp.ns.\xff\xfe 1\r\nx\r\n",
    b"PUB uploadpp.ns.x \xff\xfe 1\r\nx\r\n",
    b"HPUB uploadpp.ns.x 15 16\r\nNATS/1.0 \xff\xff\r\n\r\nx\r\n",
]


async def send(server: NatsServer, *lines: bytes) -> None:
    """As somebody who writes the protocol by hand."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port("client"))
    await reader.readline()
    writer.write(b'CONNECT {"verbose":true,"headers":true}\r\n')
    assert await reader.readline() == b"+OK\r\n"
    for line in lines:
        writer.write(line)
        assert await reader.readline() == b"+OK\r\n", line
    writer.close()


def stored(headers: bytes, body: bytes) -> bytes:
    sizes = f"{len(headers)} {len(headers) + len(body)}".encode()
    return b"HPUB " + STREAM.encode() + b" " + sizes + b"\r\n" + headers + body + b"\r\n"


async def test_whatever_a_publisher_puts_around_a_message_it_is_one(nats: NatsServer) -> None:
    client = await connect(NatsOptions(servers=(nats.url,)))
    await ensure_stream(client.jetstream())
    await send(nats, *(stored(each, body) for each in HEADERS for body in (b"", b"body")))
    count = (await client.jetstream().publish(STREAM, b"after")).seq
    assert count == 2 * len(HEADERS), "two have the same id"
    raws: list[StreamMessage] = []

    async def take(raw: StreamMessage) -> None:
        raws.append(raw)

    reader = LogReader(client, await take_over(client.jetstream(), Shard(), 1), take)
    reading = asyncio.create_task(reader.run())
    step = StartConsumer(client, "scan", None, 30)
    await step.open(None)
    taken: list[Msg] = []
    async with asyncio.timeout(20):
        while len(taken) < count or len(raws) < count:
            taken += await step.fetch(64)
    assert [raw.sequence for raw in raws] == list(range(1, count + 1))
    assert sorted(message.metadata.sequence.stream for message in taken) == list(range(1, count + 1))
    assert not reading.done()
    reading.cancel()
    with suppress(asyncio.CancelledError, LogLostError):
        await reading
    await step.close()
    assert client.stats["reconnects"] == 0
    await client.close()


async def test_whatever_a_publisher_puts_around_a_beat_the_next_one_is_heard(nats: NatsServer) -> None:
    client = await connect(NatsOptions(servers=(nats.url,)))
    heard = asyncio.Event()

    async def hear(message: Msg) -> None:
        if message.data == b"after":
            heard.set()

    await client.subscribe("uploadpp.ns.*", cb=hear)
    await client.flush()
    await send(nats, *PLAIN)
    await client.publish("uploadpp.ns.x", b"after")
    await asyncio.wait_for(heard.wait(), 10)
    assert client.stats["reconnects"] == 0
    await client.close()


async def test_a_connection_that_is_not_read_any_more_is_made_anew(
    nats: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever else the library may stumble over: it would stay deaf, and say that it is connected."""
    client = await connect(NatsOptions(servers=(nats.url,)))
    with monkeypatch.context() as broken:
        broken.setattr(client, "_process_msg", lambda *_: (_ for _ in ()).throw(KeyError("not foreseen")))
        await client.subscribe("x")
        await client.publish("x", b"")
        async with asyncio.timeout(10):
            while client.stats["reconnects"] == 0:  # noqa: ASYNC110 -- nothing tells
                await asyncio.sleep(0.02)
    await client.flush()
    await client.close()
