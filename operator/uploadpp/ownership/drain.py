"""The end of an ownership: waits until everything decided is in the log and in etcd, if that is possible."""

import asyncio
import contextlib
from collections.abc import Callable, Sized
from typing import Protocol

from uploadpp.kube.lease import Lease, LeaseLostError
from uploadpp.ownership.membership import Membership

LONGEST_SECONDS = 10.0
ASK_SECONDS = 0.5
"""How often to check that we still have permissions: `helm uninstall` removes them while we are ending."""


FINISH_SECONDS = 0.5
"""How long to wait for pending writes when a successor takes over: that saves it conflicts."""


FLUSH_SECONDS = 0.5
DRIVE_ON_SECONDS = (2.0, 8.0)
"""How long messages are answered: until a successor has the Lease, and then until it has caught up."""


class InFlight(Protocol):
    """Writes states; this many are being written (`pipeline.checkpoint.Checkpoint`)."""

    @property
    def in_flight(self) -> int:
        """How many writes are on their way."""


class Writing(Protocol):
    """Writes states (`pipeline.checkpoint.Checkpoint`)."""

    @property
    def idle(self) -> bool:
        """Whether nothing waits and nothing is being written."""


async def wait_until_drained(
    unpublished: Sized, writing: Writing, lease: Lease, *, hurry: Callable[[], bool] = lambda: False
) -> bool:
    """Wait until all is published and stored; False when that takes too long or will not happen any more.

    `hurry` says that somebody can take over: replaying what is not stored takes less time than storing it.
    """
    loop = asyncio.get_running_loop()
    ask_at = loop.time() + ASK_SECONDS
    try:
        # Around all of it: an API server that hangs is given half a Lease, and a Pod has 45 seconds.
        async with asyncio.timeout(LONGEST_SECONDS):
            while len(unpublished) or not writing.idle:
                if hurry():
                    return False
                await asyncio.sleep(0.01)
                if loop.time() >= ask_at:
                    await lease.renew()
                    if lease.forbidden:
                        return False
                    ask_at = loop.time() + ASK_SECONDS
    except (TimeoutError, LeaseLostError):
        return False
    return True


async def wait_for_writes(writing: InFlight) -> None:
    """Wait for the writes that are on their way, not long."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(FINISH_SECONDS):
            while writing.in_flight:  # noqa: ASYNC110 -- the last thing an ownership waits for
                await asyncio.sleep(0.005)


async def release_lease(
    lease: Lease, membership: Membership, shard: int, reading: list[asyncio.Task[None]]
) -> None:
    """Give the Lease back; where somebody can take it, read and publish until it has caught up."""
    await membership.flush(FLUSH_SECONDS)
    await lease.release(handing_over=not membership.alone)
    if membership.alone:
        return
    await membership.say_free(shard)
    for seconds in DRIVE_ON_SECONDS:
        done, _ = await asyncio.wait(reading, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        if done or not await lease.is_taken():
            break


async def ended(future: asyncio.Future[None]) -> None:
    """Wait for something that should not end; raises what has ended it."""
    await future
