"""Messages as large as NATS takes them, more than the server keeps for a client that reads too slowly."""

import asyncio
import time
from dataclasses import replace

import pytest

from e2e.cluster.nats import NatsServer
from uploadpp.core.sharding import Shard
from uploadpp.steps.consumer import StartConsumer
from uploadpp.wire.connection import NatsOptions, connect
from uploadpp.wire.reader import LogReader
from uploadpp.wire.stream import STREAM, ensure_stream, take_over
from uploadpp.wire.stream_message import StreamMessage

pytestmark = pytest.mark.each_nats

LARGE, COUNT = 900_000, 150
"""Together twice what the server keeps for one client by default (`max_pending`, 64 MiB)."""


async def test_s1_large_messages_cut_nobody_off(nats: NatsServer) -> None:
    """They were all asked for at once. The server ended the connection, and that of each next owner."""
    client = await connect(NatsOptions(servers=(nats.url,)))
    js = client.jetstream()
    await ensure_stream(js)
    for number in range(COUNT):
        await js.publish(STREAM, b"%06d" % number + b"x" * LARGE)
    for number in range(COUNT):
        await js.publish(STREAM, b"%06d" % (COUNT + number))
    seen = list[int]()
    done = asyncio.Event()

    async def take(raw: StreamMessage) -> None:
        time.sleep(0.01)  # noqa: ASYNC251 -- as work on a large message does, which keeps others waiting
        seen.append(int(raw.data[:6]))
        if raw.pending == 0:
            done.set()

    reader = LogReader(client, await take_over(js, Shard(), 1), take)
    reading = asyncio.create_task(reader.run())
    waiting = asyncio.create_task(done.wait())
    await asyncio.wait({reading, waiting}, timeout=60, return_when=asyncio.FIRST_COMPLETED)
    assert not reading.done(), reading.exception()
    assert seen == list(range(2 * COUNT))
    assert client.stats["reconnects"] == 0
    assert not reader.problem
    for task in (reading, waiting):
        task.cancel()
    await asyncio.wait({reading, waiting})
    await client.close()


async def test_a_message_larger_than_a_pull_may_bring_is_read(nats: NatsServer) -> None:
    """Stored while the server took larger ones, for example."""
    client = await connect(NatsOptions(servers=(nats.url,)))
    js = client.jetstream()
    await ensure_stream(js)
    for size in (10, LARGE, 10, LARGE, LARGE, 10):
        await js.publish(STREAM, b"x" * size)
    sizes, done = list[int](), asyncio.Event()

    async def take(raw: StreamMessage) -> None:
        sizes.append(len(raw.data))
        if raw.pending == 0:
            done.set()

    reader = LogReader(client, await take_over(js, Shard(), 1), take)
    reader._terms = replace(reader._terms, most_bytes=1000)
    client._max_payload = 1000
    reading = asyncio.create_task(reader.run())
    async with asyncio.timeout(30):
        await done.wait()
    assert sizes == [10, LARGE, 10, LARGE, LARGE, 10]
    assert not reader.problem
    reading.cancel()
    await asyncio.wait({reading})
    await client.close()


async def test_a_step_asks_for_no_more_than_it_can_take(nats: NatsServer) -> None:
    client = await connect(NatsOptions(servers=(nats.url,)))
    js = client.jetstream()
    await ensure_stream(js)
    for _ in range(80):
        await js.publish(STREAM, b"x" * client.max_payload)
    consumer, taken = StartConsumer(client, "scan", None, 30), 0
    await consumer.open(None)
    async with asyncio.timeout(60):
        while taken < 80:
            messages = await consumer.fetch(64)
            assert len(messages) <= 32
            taken += len(messages)
    assert client.stats["reconnects"] == 0
    await consumer.close()
    await client.close()
