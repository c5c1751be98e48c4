"""Detects live replicas with another number of shards.

While there is one, no owner may begin: both would own the same uploads.

Their consumers tell the numbers, their Leases whether they live. Looked at all the time while a replica
stands by, so that their time does not begin only when ours is over.
"""

import asyncio
import logging
import time
from collections.abc import Callable

from nats.aio.client import Client
from nats.errors import Error as NatsError

from uploadpp.core.sharding import Shard
from uploadpp.kube.errors import ApiError
from uploadpp.kube.lease import Lease
from uploadpp.wire.stream import other_layouts

log = logging.getLogger(__name__)

LOOK_SECONDS = 2.0
FRESH_SECONDS = 0.25


class Layouts:
    """What one process knows of other numbers of shards; all its shards ask here."""

    def __init__(self, client: Client, shards: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._client = client
        self._shard = Shard(0, shards)
        self._clock = clock
        self._looking = asyncio.Lock()
        self._looked_at = float("-inf")
        self.holders: dict[str, str] = {}
        """The Leases that were found when we last looked, and who holds them."""

    async def held(self, lease: Lease, fresh_seconds: float = FRESH_SECONDS) -> list[str]:
        """Leases that living replicas with another number of shards hold, as of so many seconds ago at most.

        Raises:
            ApiError, NatsError, TimeoutError: it cannot be told.
        """
        async with self._looking:
            if self._clock() - self._looked_at > fresh_seconds:
                counts = await other_layouts(self._client.jetstream(), self._shard)
                names = [Shard(index).lease_name for index in range(max(counts, default=0))]
                found = [(name, await lease.held_by_another_layout(name)) for name in names]
                self.holders = {name: holder for name, holder in found if holder}
                self._looked_at = self._clock()
            return list(self.holders)

    async def watch(self, lease: Lease) -> None:
        """Look from time to time, until cancelled."""
        while True:
            try:
                await self.held(lease, LOOK_SECONDS / 2)
            except (ApiError, NatsError, TimeoutError) as error:
                log.debug("cannot check for replicas with a different number of shards: %s", error)
            await asyncio.sleep(LOOK_SECONDS)
