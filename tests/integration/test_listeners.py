"""A step that nobody serves is named before an upload waits for it; on the real NATS."""

import asyncio
import logging

import nats as nats_client
import pytest
from nats.js import JetStreamContext

from e2e.cluster.nats import NatsServer
from uploadpp.ownership.step_listeners import Listeners
from uploadpp.telemetry.metrics import Metrics
from uploadpp.wire.listeners import durable_name
from uploadpp.wire.stream import STREAM, ensure_stream

pytestmark = pytest.mark.each_nats


async def until(listeners: Listeners, missing: list[str]) -> None:
    async with asyncio.timeout(20):
        while listeners.missing != missing:  # noqa: ASYNC110 -- a test may poll
            await asyncio.sleep(0.01)


async def read(js: JetStreamContext, durable: str) -> None:
    """A service as our kit makes them: it asks again and again."""
    subscription = await js.pull_subscribe(STREAM, durable=durable)
    while True:
        try:
            await subscription.fetch(1, timeout=5)
        except TimeoutError:
            continue


async def test_steps_without_a_service_are_named_until_it_comes(
    nats: NatsServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    ours, theirs = [await nats_client.connect(nats.url) for _ in range(2)]
    metrics = Metrics()
    try:
        await ensure_stream(ours.jetstream())
        steps = ["virusscann", "virusscan", "delay", "convert"]
        listeners = Listeners(ours.jetstream(), steps, metrics, look_seconds=0.02)
        running = asyncio.create_task(listeners.run())
        await until(listeners, ["virusscann", "virusscan", "convert"])
        warned = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
        assert "no service listens for step virusscan: " in warned[1]
        assert "antivirus" in warned[1]
        assert "consumer uploadpp-step-convert" in warned[2]

        await theirs.jetstream().subscribe(STREAM, "antivirus", durable="antivirus")
        reading = asyncio.create_task(read(theirs.jetstream(), durable_name("convert")))
        await until(listeners, ["virusscann"])
        value = metrics.registry.get_sample_value
        assert value("uploadpp_step_listeners", {"step": "virusscann"}) == 0
        assert value("uploadpp_step_listeners", {"step": "virusscan"}) == 1
        assert value("uploadpp_step_listeners", {"step": "delay"}) is None
        assert "the service of step convert is there" in caplog.text

        reading.cancel()
        await theirs.close()
        await until(listeners, steps[:2] + steps[3:])
        metrics.answered_at["virusscann"] = asyncio.get_running_loop().time()
        await until(listeners, ["virusscan", "convert"])
        running.cancel()
    finally:
        for each in (ours, theirs):
            if not each.is_closed:
                await each.close()
