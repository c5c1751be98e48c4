"""How often the stream's consumers are looked at: what is wrong is not shown for longer than it is so."""

import asyncio
from typing import Any, cast

from nats.js.api import ConsumerInfo
from nats.js.errors import NotFoundError

from uploadpp.ownership.legacy_service import FULL_SECONDS, LegacyService
from uploadpp.telemetry.metrics import Metrics


class Stream:
    """Has no consumers; counts the looks for those of the old service."""

    looks = 0

    async def consumer_info(self, stream: str, name: str) -> ConsumerInfo:
        del stream
        self.looks += name == "postprocessing"
        raise NotFoundError

    async def consumers_info(self, stream: str, offset: int = 0) -> list[ConsumerInfo]:
        del stream, offset
        return []


async def test_what_is_wrong_is_looked_at_until_it_is_mended() -> None:
    stream, wrong = Stream(), ["paused", "paused", "paused"]
    service = LegacyService(cast("Any", stream), Metrics(), look_seconds=0.01)

    async def check(_: list[ConsumerInfo]) -> str:
        return wrong.pop() if wrong else ""

    service.check = check
    running = asyncio.create_task(service.run())
    async with asyncio.timeout(10):
        while wrong or service.problem:  # noqa: ASYNC110 -- nothing tells
            await asyncio.sleep(0.001)
    running.cancel()
    assert stream.looks < FULL_SECONDS, "as many looks as there are usually between two such checks"
