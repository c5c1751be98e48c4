"""Waits for something, but no longer than until the process is told to stop."""

import asyncio
import contextlib
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


async def or_stop(work: Coroutine[Any, Any, T], stop: asyncio.Event) -> T | None:
    """The result of some work; None if the process is told to stop first. The work is then cancelled."""
    task = asyncio.ensure_future(work)
    stopped = asyncio.ensure_future(stop.wait())
    try:
        await asyncio.wait({task, stopped}, return_when=asyncio.FIRST_COMPLETED)
        return task.result() if task.done() else None
    finally:
        for each in (task, stopped):
            each.cancel()
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await each
