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
_FIRST_THAT_KEEPS_THEM = (3, 12)

_original = asyncio.wait_for  # noqa: TID251 -- what is mended here


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run something to its end, in a loop of its own."""
    with asyncio.Runner(loop_factory=new_loop) as runner:
        return runner.run(work)


def new_loop() -> asyncio.AbstractEventLoop:
    """The fastest event loop that this platform has."""
    keep_cancellations()
    return loops.new_event_loop()


def keep_cancellations() -> None:
    """Mend `asyncio.wait_for` for the whole process, as Python 3.12 has done (python/cpython#86296).

    Before, it returned the result, and the cancellation was lost, if both came in the same round of the loop.
    nats-py waits for each answer with it. A task that was cancelled then went on, and so did its process.
    """
    if sys.version_info < _FIRST_THAT_KEEPS_THEM:
        asyncio.wait_for = _wait_for  # type: ignore[assignment]  # noqa: TID251


async def _wait_for(fut: Awaitable[T], timeout: float | None) -> T:  # noqa: ASYNC109 -- that of Python
    if timeout is None or timeout <= 0:
        return await _original(fut, timeout)
    async with asyncio.timeout(timeout):
        return await fut
