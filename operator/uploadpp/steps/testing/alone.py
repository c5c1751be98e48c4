"""Runs a coroutine in an event loop of its own, and does not wait for what never ends."""

import asyncio
from collections.abc import Callable, Coroutine
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, ParamSpec, TypeVar

END_SECONDS = 1.0
"""How long what is left in the loop may take to stop."""
P = ParamSpec("P")
T = TypeVar("T")


class _Threads(ThreadPoolExecutor):
    """The threads of `asyncio.to_thread`; knows whether one of them is at work."""

    def __init__(self) -> None:
        super().__init__(thread_name_prefix="step")
        self._futures: set[Future[Any]] = set()

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        future = super().submit(fn, *args, **kwargs)
        self._futures.add(future)
        future.add_done_callback(self._futures.discard)
        return future

    @property
    def busy(self) -> bool:
        return bool(self._futures)


def run_alone(
    work: Coroutine[Any, Any, T],
    new_loop: Callable[[], asyncio.AbstractEventLoop] = asyncio.new_event_loop,
) -> tuple[T, bool]:
    """What the coroutine returns, and whether something goes on that did not stop when it was told to.

    Raises:
        RuntimeError: a loop runs already.
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        loop, threads = new_loop(), _Threads()
    else:
        work.close()
        raise RuntimeError("an event loop runs here already; in an async function, await the async form")
    loop.set_default_executor(threads)
    try:
        result = loop.run_until_complete(work)
    finally:
        goes_on = _end(loop) or threads.busy
        loop.close()
    return result, goes_on


def _end(loop: asyncio.AbstractEventLoop) -> bool:
    """Cancel what is left in a loop; whether something did not stop."""
    left = asyncio.all_tasks(loop)
    for task in left:
        task.cancel()
    if left:
        _, left = loop.run_until_complete(asyncio.wait(left, timeout=END_SECONDS))
    loop.run_until_complete(loop.shutdown_asyncgens())
    return bool(left)
