"""Ending tasks within bounded time."""

import asyncio
import logging
from collections.abc import Iterable
from typing import Any

log = logging.getLogger(__name__)

FIRST_SECONDS, AGAIN_SECONDS = 5.0, 1.0
TRIES = 5


async def end_tasks(tasks: Iterable[asyncio.Task[Any]]) -> None:
    """Cancel tasks and wait for their end; one that does not end in 10 s is named in the log and left behind.

    One cancellation is not always enough. `asyncio.wait_for` of Python 3.11 drops one that arrives together
    with the result, and a task that asks NATS in a loop then goes on.
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
        log.error("a task has not ended although it was cancelled; it is left behind: %r", task)
    await asyncio.gather(*(everything - left), return_exceptions=True)
