"""How often the stream's consumers are looked at: what is wrong is not shown for longer than it is so."""

import asyncio
from datetime import UTC, datetime
from typing import Any, cast

import pytest
from nats.js.api import ConsumerConfig, ConsumerInfo
from nats.js.errors import NotFoundError

from uploadpp.ownership import legacy_service
from uploadpp.ownership.legacy_service import FULL_SECONDS, LegacyServiceWatch
from uploadpp.telemetry.metrics import Metrics


class Stream:
    """Has no consumers; counts the looks for those of the legacy service."""

    looks = 0

    async def consumer_info(self, stream: str, name: str) -> ConsumerInfo:
        del stream
        self.looks += name == "postprocessing"
        raise NotFoundError

    async def consumers_info(self, stream: str, offset: int = 0) -> list[ConsumerInfo]:
        del stream, offset
        return []


class Occupied(Stream):
    """The legacy service reads there."""

    async def consumers_info(self, stream: str, offset: int = 0) -> list[ConsumerInfo]:
        config = ConsumerConfig(durable_name="postprocessing")
        reader = ConsumerInfo("postprocessing", stream, config, datetime.now(UTC), push_bound=True)
        return [] if offset else [reader]


async def test_whom_we_wait_for_is_said_again(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The log holds back what it has said within half a minute, also before the hold began."""
    monkeypatch.setattr(legacy_service, "REPEAT_SECONDS", 0.02)
    waiting = asyncio.create_task(
        LegacyServiceWatch(cast("Any", Occupied()), Metrics(), look_seconds=0.01).wait()
    )
    async with asyncio.timeout(10):
        while len([each for each in caplog.records if "still running" in each.message]) < 3:  # noqa: ASYNC110 -- nothing tells
            await asyncio.sleep(0.005)
    waiting.cancel()


async def test_what_is_wrong_is_looked_at_until_it_is_mended() -> None:
    stream, wrong = Stream(), ["paused", "paused", "paused"]
    service = LegacyServiceWatch(cast("Any", stream), Metrics(), look_seconds=0.01)

    async def check(_: list[ConsumerInfo]) -> str:
        return wrong.pop() if wrong else ""

    service.also_check(check)
    running = asyncio.create_task(service.run())
    async with asyncio.timeout(10):
        while wrong or service.problem:  # noqa: ASYNC110 -- nothing tells
            await asyncio.sleep(0.001)
    running.cancel()
    assert stream.looks < FULL_SECONDS, "as many looks as there are usually between two such checks"
