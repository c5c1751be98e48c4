"""Sends many requests to NATS, a few at a time: other clients may have created thousands of consumers."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress

from nats.js.errors import NotFoundError

AT_ONCE = 16


async def for_each(
    names: Iterable[str], work: Callable[[str], Awaitable[None]], workers: int = AT_ONCE
) -> None:
    """Do something with each of these consumers; one that does not exist any more is skipped.

    Raises:
        NatsError, TimeoutError: a request failed. Other requests may have succeeded.
    """
    left = iter(names)

    async def take() -> None:
        for name in left:
            with suppress(NotFoundError):
                await work(name)

    if workers == 1:
        await take()
        return
    ends = await asyncio.gather(*(take() for _ in range(workers)), return_exceptions=True)
    for end in ends:
        if isinstance(end, BaseException):
            raise end
