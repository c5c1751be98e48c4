"""Which replicas are there, and how many shards each has: only to spread the work.

Replicas tell each other through plain NATS messages, once a second. Nothing depends on
them for safety (that is the Lease's part): when they do not get through, shards stay
where they are.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

import orjson
from nats.aio.client import Client
from nats.aio.msg import Msg

log = logging.getLogger(__name__)

BEAT_SECONDS = 1.0
GONE_SECONDS = 4.0
SETTLE_SECONDS = 3.0


@dataclass(frozen=True, slots=True)
class Beat:
    """What a replica last said of itself."""

    owned: int
    heard_at: float


class Crew:
    """The replicas with the same number of shards, as one of them hears the others."""

    def __init__(
        self,
        client: Client,
        namespace: str,
        identity: str,
        shards: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = client
        self._subject = f"uploadpp.{namespace}.replicas-of-{shards}"
        self._identity = identity
        self._clock = clock
        self._others: dict[str, Beat] = {}
        self._moved_at = clock()
        self.owned = 0

    def changed(self, owned: int) -> None:
        """We own this many shards now."""
        self.owned = owned
        self._moved_at = self._clock()

    def others(self) -> list[tuple[str, int]]:
        """The other replicas heard of lately, and how many shards each owns."""
        oldest = self._clock() - GONE_SECONDS
        return [(name, beat.owned) for name, beat in self._others.items() if beat.heard_at >= oldest]

    def lead(self) -> int:
        """How many shards more than the least busy other replica we own; zero when alone."""
        return max(0, self.owned - min((owned for _, owned in self.others()), default=self.owned))

    def should_give_one_up(self) -> bool:
        """Whether we are the one replica that should hand a shard over now.

        The busiest one does, the first by name among equals, and not before the last move is over.
        """
        if self._clock() - self._moved_at < SETTLE_SECONDS or self.lead() <= 1:
            return False
        return (self.owned, self._identity) >= max((owned, name) for name, owned in self.others())

    async def run(self) -> None:
        """Tell and listen, until cancelled."""
        subscription = await self._client.subscribe(self._subject, cb=self._hear)
        try:
            while True:
                if self._client.is_connected:
                    body = orjson.dumps({"replica": self._identity, "owned": self.owned})
                    await self._client.publish(self._subject, body)
                await asyncio.sleep(BEAT_SECONDS)
        finally:
            if not self._client.is_closed:
                await subscription.unsubscribe()

    async def _hear(self, message: Msg) -> None:
        try:
            beat = orjson.loads(message.data)
            name, owned = str(beat["replica"]), int(beat["owned"])
        except (ValueError, KeyError, TypeError):
            return
        if name != self._identity:
            self._others[name] = Beat(owned, self._clock())
