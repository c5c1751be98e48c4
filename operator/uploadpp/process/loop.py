"""The event loop that everything here runs on: uvloop, where it is available."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

try:
    import uvloop as loops
except ImportError:  # not on every platform
    loops = asyncio  # type: ignore[misc]

T = TypeVar("T")


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run something to its end, in a loop of its own."""
    with asyncio.Runner(loop_factory=loops.new_event_loop) as runner:
        return runner.run(work)
