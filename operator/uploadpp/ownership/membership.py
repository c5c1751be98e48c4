"""Which replicas exist, and how many shards each owns. It only serves to spread the work.

Replicas tell each other through plain NATS messages, once a second and whenever something changes.
Anybody on the bus can say such things, so they are checked, bounded and forgotten soon, and nothing
depends on them for safety: that is the Lease's part. Without them, or with false ones, shards stay
where they are or move some seconds later.
"""

import asyncio
import contextlib
import logging
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeGuard

import orjson
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError

from uploadpp.core.sharding import BUCKETS, Shard, shares
from uploadpp.kube.sightings import Sightings
from uploadpp.ownership.shard_layouts import Layouts
from uploadpp.wire.bounded_subscription import LimitedSubscription

log = logging.getLogger(__name__)

HEARTBEAT_SECONDS = 1.0
GONE_SECONDS = 2.5
ALIVE_SECONDS = 2.0
"""A holder that was heard within this time is alive. Shorter than any sensible Lease duration."""
SETTLE_SECONDS = 1.0
"""No shard moves before the numbers of all replicas have been stable for this long."""
PATIENCE_SECONDS = 3.0
"""How long a free shard is left to the replicas that should own it. Then any replica takes it."""
VAIN_SECONDS = 10.0
"""If a shard comes back this soon after it was handed over, no other replica could take it."""
FIRST_PENALTY_SECONDS, LONGEST_PENALTY_SECONDS = 30.0, 900.0
HURRY_SECONDS = 0.1
"""Messages of others make this replica check a Lease or send something at most this often."""
MAX_HEARTBEAT_BYTES = 1024
MAX_REPLICAS = 64
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,319}")


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """What a replica says of itself; `free` is a shard that it has just released."""

    replica: str
    owned: int
    free: int | None = None
    leaving: bool = False


def parse_heartbeat(data: bytes) -> Heartbeat | None:
    """What a replica says; None when no replica of ours would say that."""
    if len(data) > MAX_HEARTBEAT_BYTES:
        return None
    try:
        body = orjson.loads(data)
    except orjson.JSONDecodeError:
        return None
    if not isinstance(body, dict):
        return None
    name, owned, free = body.get("replica"), body.get("owned"), body.get("free")
    if not isinstance(name, str) or _NAME.fullmatch(name) is None or not _is_count(owned, BUCKETS):
        return None
    return Heartbeat(name, owned, free if _is_count(free, BUCKETS - 1) else None, body.get("leaving") is True)


def _is_count(value: object, most: int) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= most


@dataclass(frozen=True, slots=True)
class _Heard:
    owned: int
    at: float
    same_layout: bool
    leaving: bool


class Working(Protocol):
    """One shard, as this replica sees it (`ownership.candidate.ShardCandidate`)."""

    shard: Shard

    @property
    def lacks_key(self) -> bool:
        """Whether this replica cannot open what the others seal: it is of no use to them."""

    @property
    def working(self) -> bool:
        """Whether this replica owns the shard and has caught up with the log."""

    def give_up(self) -> bool:
        """Hand the shard over; False when that is under way already."""

    def hurry(self) -> None:
        """Look at the Lease now."""


class Membership:
    """The replicas, as one of them hears the others."""

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
        self._heard = LimitedSubscription(
            client, f"uploadpp.{namespace}.*", self._hear, MAX_HEARTBEAT_BYTES, clock
        )
        self._identity = identity
        self._shards = shards
        self._clock = clock
        self._others: dict[str, _Heard] = {}
        self._moved_at = clock()
        self._claims: set[int] = set()
        self._giving: set[int] = set()
        self._given: dict[int, float] = {}
        self._penalty = FIRST_PENALTY_SECONDS
        self._keep_until = 0.0
        self._news = asyncio.Event()
        self._leaving = False
        self._hurried_at = float("-inf")
        self._candidates: Sequence[Working] = ()
        self.sightings = Sightings()
        self.layouts = Layouts(client, shards, clock)
        self.owned = 0

    # -- what we own ----------------------------------------------------------------------

    def took(self, shard: int) -> None:
        """This replica has taken a shard."""
        self._changed(self.owned + 1)
        if self._clock() - self._given.pop(shard, float("-inf")) < VAIN_SECONDS:
            self._keep_until = self._clock() + self._penalty
            self._penalty = min(self._penalty * 2, LONGEST_PENALTY_SECONDS)

    def lost(self, shard: int) -> None:
        """This replica has given up a shard."""
        self._giving.discard(shard)
        self._changed(self.owned - 1)

    def _changed(self, owned: int) -> None:
        self.owned = owned
        self._moved_at = self._clock()
        self._news.set()

    # -- what others own ------------------------------------------------------------------

    def others(self) -> dict[str, int]:
        """The other replicas with as many shards heard of lately, and how many each owns."""
        heard = self._lately().items()
        return {name: each.owned for name, each in heard if each.same_layout and not each.leaving}

    def _lately(self) -> dict[str, _Heard]:
        oldest = self._clock() - GONE_SECONDS
        return {name: heard for name, heard in self._others.items() if heard.at >= oldest}

    @property
    def alone(self) -> bool:
        """Whether no other replica is there that could take a shard over."""
        return all(each.leaving for each in self._lately().values())

    def is_alive(self, replica: str) -> bool:
        """Whether a replica was heard recently."""
        heard = self._others.get(replica)
        return heard is not None and self._clock() - heard.at < ALIVE_SECONDS

    @property
    def is_deaf(self) -> bool:
        """Whether nobody can be heard, because a client publishes without end where replicas talk."""
        return self._heard.is_flooded

    def surplus(self) -> int:
        """How many shards this replica owns beyond its share."""
        return max(0, self.owned - self._share())

    def _share(self) -> int:
        return shares({**self.others(), self._identity: self.owned}, self._shards)[self._identity]

    def claims(self, shard: int, free_seconds: float) -> bool:
        """Whether to take a shard that could have been taken for so long."""
        if shard in self._claims or free_seconds >= PATIENCE_SECONDS:
            return True
        if self.owned + len(self._claims) >= self._share():
            return False
        self._claims.add(shard)
        return True

    def unclaim(self, shard: int) -> None:
        """We have taken it, or somebody else has."""
        self._claims.discard(shard)

    # -- giving up ------------------------------------------------------------------------

    def balance(self) -> None:
        """Hand shards over to replicas that have fewer, once everybody's numbers are known."""
        now = self._clock()
        if now - self._moved_at < SETTLE_SECONDS or now < self._keep_until:
            return
        mine = [candidate for candidate in self._candidates if candidate.working]
        more = min(self.surplus() - len(self._giving), len(mine))
        for candidate in mine[len(mine) - more :] if more > 0 else ():
            if candidate.give_up():
                self._giving.add(candidate.shard.index)
                self._given[candidate.shard.index] = now
                log.info(
                    "releasing a shard to a replica that owns fewer", extra={"shard": candidate.shard.index}
                )

    async def flush(self, seconds: float) -> None:
        """Wait until the server has all that was sent, but not long."""
        with contextlib.suppress(TimeoutError, NatsError):
            async with asyncio.timeout(seconds):
                await self._client.flush()

    async def say_free(self, shard: int) -> None:
        """Tell standbys that a shard is free, so that they need not wait for their next look."""
        await self._say(shard)

    async def leave(self) -> None:
        """Announce that this replica is about to end and takes no more shards."""
        self._leaving = True
        if self._client.is_connected:
            await self._say()

    # -- talking --------------------------------------------------------------------------

    async def run(self, candidates: Sequence[Working]) -> None:
        """Tell, listen and balance what these own, until cancelled."""
        self._candidates = candidates
        try:
            while True:
                self._news.clear()
                await self._heard.keep()
                if self._client.is_connected:
                    await self._say()
                self.balance()
                await asyncio.sleep(HURRY_SECONDS)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(HEARTBEAT_SECONDS - HURRY_SECONDS):
                        await self._news.wait()
        finally:
            await self._heard.close()

    async def _say(self, free: int | None = None) -> None:
        body: dict[str, object] = {"replica": self._identity, "owned": self.owned}
        if free is not None:
            body["free"] = free
        if self._leaving or any(candidate.lacks_key for candidate in self._candidates):
            body["leaving"] = True  # the others must not count on this replica
        await self._client.publish(self._subject, orjson.dumps(body))

    async def _hear(self, message: Msg) -> None:
        heartbeat = parse_heartbeat(message.data)
        if heartbeat is None or heartbeat.replica == self._identity:
            return
        now = self._clock()
        if heartbeat.replica not in self._lately():
            self._others = self._lately()
            if len(self._others) >= MAX_REPLICAS:
                return
            self._moved_at = now
            self._news.set()  # it does not know us either
        self._others[heartbeat.replica] = _Heard(
            heartbeat.owned, now, same_layout=message.subject == self._subject, leaving=heartbeat.leaving
        )
        if heartbeat.free is not None and now - self._hurried_at >= HURRY_SECONDS:
            self._hurried_at = now
            for candidate in self._candidates:
                if candidate.shard.index == heartbeat.free or message.subject != self._subject:
                    candidate.hurry()
