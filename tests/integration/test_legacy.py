"""The replaced service is noticed whenever it comes, not only at our start."""

import asyncio
import logging

import nats as nats_client
import pytest

from e2e.cluster.nats import NatsServer
from uploadpp.runtime.legacy import LegacyService
from uploadpp.runtime.metrics import Metrics
from uploadpp.wire.stream import STREAM, ensure_stream

pytestmark = pytest.mark.each_nats


async def until(service: LegacyService, *, problem: bool) -> None:
    async with asyncio.timeout(20):
        while bool(service.problem) is not problem:  # noqa: ASYNC110 -- a test may poll
            await asyncio.sleep(0.02)


async def test_it_comes_back_and_goes_again(nats: NatsServer, caplog: pytest.LogCaptureFixture) -> None:
    ours, theirs = [await nats_client.connect(nats.url, reconnect_time_wait=0.1) for _ in range(2)]
    metrics = Metrics()
    try:
        await ensure_stream(ours.jetstream(timeout=1))
        service = LegacyService(ours.jetstream(timeout=1), metrics, look_seconds=0.05)
        await asyncio.wait_for(service.wait(), 10)
        running = asyncio.create_task(service.run())
        await theirs.jetstream().subscribe(STREAM, "postprocessing", durable="postprocessing")
        await until(service, problem=True)
        assert metrics.registry.get_sample_value("uploadpp_replaced_service_members") == 1
        assert any(r.levelno == logging.ERROR and "EXCLUDE_RUN_SERVICES" in r.message for r in caplog.records)
        nats.kill()
        while not any("cannot look" in record.message for record in caplog.records):  # noqa: ASYNC110
            await asyncio.sleep(0.02)
        nats.start()
        await until(service, problem=True)
        await theirs.close()
        await until(service, problem=False)
        assert metrics.registry.get_sample_value("uploadpp_replaced_service_members") == 0
        running.cancel()
    finally:
        for each in (ours, theirs):
            if not each.is_closed:
                await each.close()
