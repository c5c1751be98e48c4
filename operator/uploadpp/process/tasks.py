"""Ending tasks within bounded time."""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterable
from typing import Any

log = logging.getLogger(__name__)

FIRST_SECONDS, AGAIN_SECONDS = 5.0, 1.0
PAUSE_SECONDS = 5.0
"""Pause before work that never ends is restarted after a failure."""
TRIES = 5


async def end_tasks(tasks: Iterable[asyncio.Task[Any]]) -> None:
    """Cancel tasks and wait for their end; one that does not end in 10 s is named in the log and left behind.

    One cancellation is not always enough: a library may swallow it, and then the task goes on.
    """
    everything = set(tasks)
    left = {task for task in everything if not task.done()}
    for number in range(TRIES + 1):
        if not left:
            break
        for task in left:
            task.cancel()
        _, left = await asyncio.wait(left, timeout=AGAIN_SECONDS if number else FIRST_SECONDS)
    for task in left:
        log.error("a task did not stop after it was cancelled; abandoning it: %r", task)
    await asyncio.gather(*(everything - left), return_exceptions=True)


async def never_ending(work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Do some work in the background until cancelled. If it fails, it is restarted, and the log says why.

    Nobody waits for such a task: an exception would end it, unnoticed.
    """
    while True:
        try:
            await work()
        except Exception:
            log.exception("a background task failed and will be restarted; this is a bug, please report it")
            await asyncio.sleep(PAUSE_SECONDS)
        else:
            return
