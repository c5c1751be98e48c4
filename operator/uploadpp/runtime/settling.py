"""The end of an ownership: wait until what was decided is in the log and in etcd, if that is possible."""

import asyncio
from collections.abc import Sized
from typing import Protocol

from uploadpp.kube.lease import Lease, LeaseLostError

LONGEST_SECONDS = 10.0
ASK_SECONDS = 0.5
"""How often to ask whether we still have any rights: `helm uninstall` takes them away while we are ending."""


class Writing(Protocol):
    """Writes states (`runtime.checkpoint.Checkpoint`)."""

    @property
    def idle(self) -> bool:
        """Whether nothing waits and nothing is being written."""


async def settled(unpublished: Sized, writing: Writing, lease: Lease) -> bool:
    """Wait until all is published and stored; False when that takes too long or will not happen any more."""
    loop = asyncio.get_running_loop()
    ask_at = loop.time() + ASK_SECONDS
    try:
        # Around all of it: an API server that hangs is given half a Lease, and a Pod has 45 seconds.
        async with asyncio.timeout(LONGEST_SECONDS):
            while len(unpublished) or not writing.idle:
                await asyncio.sleep(0.01)
                if loop.time() >= ask_at:
                    await lease.confirm()
                    if lease.forbidden:
                        return False
                    ask_at = loop.time() + ASK_SECONDS
    except (TimeoutError, LeaseLostError):
        return False
    return True
