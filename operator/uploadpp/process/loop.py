"""The event loop that everything here runs on: uvloop, where it is available."""

import asyncio
import sys
from collections.abc import Awaitable, Coroutine
from typing import Any, TypeVar

try:
    import uvloop as loops
except ImportError:  # not on every platform
    loops = asyncio  # type: ignore[misc]

T = TypeVar("T")
_MENDED_IN = (3, 12)
_losing = asyncio.wait_for  # noqa: TID251 -- the one that is replaced


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run something to its end, in a loop of its own."""
    with asyncio.Runner(loop_factory=new_loop) as runner:
        return runner.run(work)


def new_loop() -> asyncio.AbstractEventLoop:
    """The fastest event loop that this platform has."""
    keep_cancellations()
    return loops.new_event_loop()


def keep_cancellations() -> None:
    """Replace `asyncio.wait_for`, for the whole process, by one that behaves as in Python 3.12.

    Before, it loses a cancellation that arrives in the same iteration of the event loop as the result
    (python/cpython#86296). nats-py waits for each answer with it, so work that was told to stop could go on.
    """
    if sys.version_info < _MENDED_IN:
        asyncio.wait_for = _wait_for  # type: ignore[assignment]  # noqa: TID251


async def _wait_for(fut: Awaitable[T], timeout: float | None) -> T:  # noqa: ASYNC109 -- as Python has it
    if timeout is None or timeout <= 0:
        return await _losing(fut, timeout)
    async with asyncio.timeout(timeout):
        return await fut
