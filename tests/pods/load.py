"""Uploads while something happens, and what became of them."""

import asyncio
import itertools
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from nats.js import JetStreamContext

from e2e.demo.wire import decode, stored
from tests.driver import Driver, histories, reasons
from tests.pods.site import Site

PAUSE_SECONDS = 0.1
SETTLE_SECONDS = 2.0
PATIENCE_SECONDS = 90

_batches = itertools.count(1)


@dataclass(frozen=True)
class Outcome:
    """What became of the uploads of a batch."""

    ids: tuple[str, ...]
    longest_wait_seconds: float
    """From an upload's announcement to the start of its first step: the gap, as an upload sees it."""


async def under_load(site: Site, driver: Driver, change: Callable[[], Any]) -> Outcome:
    """Keep uploads coming before, during and after a change; each must end well, and each step start once."""
    batch, ids = next(_batches), list[str]()
    stop = asyncio.Event()

    async def keep_coming() -> None:
        while not stop.is_set():
            ids.append(f"batch-{batch}-{len(ids):04d}")
            await driver.upload(ids[-1], pause=PAUSE_SECONDS)

    coming = asyncio.create_task(keep_coming())
    try:
        await asyncio.sleep(SETTLE_SECONDS)
        await asyncio.to_thread(change)
        await asyncio.sleep(SETTLE_SECONDS)
    finally:
        stop.set()
        await coming
    await driver.until_released(*ids, timeout=PATIENCE_SECONDS)
    await until_completed(site, ids)
    await check_each_ran_once(driver, ids)
    waits = await waits_for_the_first_step(driver.js)
    return Outcome(tuple(ids), max(waits[each] for each in ids))


async def until_completed(site: Site, ids: list[str]) -> None:
    """Wait until the resources say so too."""
    wanted = dict.fromkeys(ids, "Completed")
    found: dict[str, str] = {}
    deadline = asyncio.get_running_loop().time() + PATIENCE_SECONDS
    while found != wanted and asyncio.get_running_loop().time() < deadline:
        await asyncio.sleep(0.5)
        listed = reasons(await asyncio.to_thread(site.kubectl.json, "get", "upp"))
        found = {each: listed[each] for each in ids if each in listed}
    assert found == wanted


async def check_each_ran_once(driver: Driver, ids: list[str]) -> None:
    """The log itself says how often a step was started."""
    told = await histories(driver.js)
    for each in ids:
        assert told[each].steps == ["virusscan", "policies"], each
        assert told[each].finished == ("continue",), each


async def waits_for_the_first_step(js: JetStreamContext) -> dict[str, float]:
    """Seconds between BytesReceived and the first StartPostprocessingStep, by NATS' clock."""
    times: dict[str, dict[str, datetime]] = defaultdict(dict)
    async for message in stored(js):
        event = decode(message.data)
        if event is not None:
            times[event.upload_id].setdefault(event.type, message.metadata.timestamp)
    return {
        upload: (seen["StartPostprocessingStep"] - seen["BytesReceived"]).total_seconds()
        for upload, seen in times.items()
        if {"StartPostprocessingStep", "BytesReceived"} <= seen.keys()
    }
