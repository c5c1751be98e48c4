"""Work that waits for an answer of NATS and is cancelled ends, whenever the answer comes."""

import asyncio

from nats.aio.client import Client
from nats.js import JetStreamContext

from e2e.cluster.nats import NatsServer
from uploadpp.wire.connection import NatsOptions, connect
from uploadpp.wire.stream import ensure_stream

TIMES = 300
LONGEST_SECONDS = 0.001
"""Longer than most answers take here: about one cancellation in ten comes together with one."""


async def _work(js: JetStreamContext) -> None:
    await js.publish("main-queue", b"{}")
    await asyncio.Event().wait()


async def test_no_cancellation_is_lost(nats: NatsServer) -> None:
    client: Client = await connect(NatsOptions(servers=(nats.url,)))
    try:
        js = client.jetstream()
        await ensure_stream(js)
        working = []
        for number in range(TIMES):
            working.append(asyncio.create_task(_work(js)))
            await asyncio.sleep(LONGEST_SECONDS * number / TIMES)
            working[-1].cancel()
        _, left = await asyncio.wait(working, timeout=10)
        for task in left:
            task.cancel()
        assert left == set()
    finally:
        await client.close()
