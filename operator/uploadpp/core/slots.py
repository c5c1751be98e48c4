"""Fair queueing for the slots of a step: which upload holds one, which waits, and which is next.

Of the users with something queued, the one who holds the fewest slots is next; among
equals the one who has had none for longest; and of that user's uploads the oldest. So whatever one
user has queued, and however long it takes, the others get as many slots.
"""

import heapq
from collections.abc import Hashable
from dataclasses import dataclass, field
from itertools import count
from typing import Generic, TypeVar

from uploadpp.core.model import Upload
from uploadpp.core.sharding import Shard
from uploadpp.core.states import Stage

T = TypeVar("T", bound=Hashable)

Order = tuple[int, ...]
SPARE = 64
"""A heap is cleaned once it holds this many more removed members than others."""


class Queue(Generic[T]):
    """Members in an order of their own, from which any may be removed."""

    def __init__(self) -> None:
        self._heap: list[tuple[Order, int, T]] = []
        self._live: dict[T, int] = {}
        self._count = count()

    def __len__(self) -> int:
        return len(self._live)

    def put(self, member: T, order: Order) -> None:
        """Add a member, or move it."""
        number = self._live[member] = next(self._count)
        heapq.heappush(self._heap, (order, number, member))
        if len(self._heap) > 2 * len(self._live) + SPARE:
            self._heap = [each for each in self._heap if self._live.get(each[2]) == each[1]]
            heapq.heapify(self._heap)

    def remove(self, member: T) -> None:
        """Take a member out, if it is in."""
        self._live.pop(member, None)

    def first(self) -> T:
        """The first member of a queue that is not empty."""
        while self._live.get(self._heap[0][2]) != self._heap[0][1]:
            heapq.heappop(self._heap)
        return self._heap[0][2]


@dataclass(slots=True)
class _Share(Generic[T]):
    """What one user has at a step."""

    turn: int
    waiting: Queue[T] = field(default_factory=Queue)
    holding: set[T] = field(default_factory=set)


class Slots(Generic[T]):
    """The slots at one step. A member waits, holds a slot, or is not here."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._shares: dict[str, _Share[T]] = {}
        self._user_of: dict[T, str] = {}
        self._holders: set[T] = set()
        self._next: Queue[str] = Queue()
        self._turns = count()

    @property
    def used(self) -> int:
        """How many slots are held; more than there are, when some were not granted here."""
        return len(self._holders)

    @property
    def waiting(self) -> int:
        """How many wait for a slot."""
        return len(self._user_of) - len(self._holders)

    def wait(self, member: T, user: str, order: Order) -> None:
        """A member waits; `order` is its position among those of the same user."""
        if member in self._user_of and member not in self._holders:
            return
        self.leave(member)
        self._share(member, user).waiting.put(member, order)
        self._rank(user)

    def hold(self, member: T, user: str) -> None:
        """A member is at the step, granted or not."""
        if member in self._holders:
            return
        self.leave(member)
        self._share(member, user).holding.add(member)
        self._holders.add(member)
        self._rank(user)

    def leave(self, member: T) -> None:
        """A member neither waits nor holds a slot."""
        user = self._user_of.pop(member, None)
        if user is None:
            return
        share = self._shares[user]
        if member in self._holders:
            self._holders.remove(member)
            share.holding.remove(member)
            share.turn = next(self._turns)  # behind those who came while it was held
        share.waiting.remove(member)
        self._rank(user)

    def grant(self) -> T | None:
        """Give a free slot to whose turn it is; None when no slot is free or nobody waits."""
        if len(self._holders) >= self.limit or not self._next:
            return None
        user = self._next.first()
        member = self._shares[user].waiting.first()
        self._shares[user].turn = next(self._turns)
        self.hold(member, user)
        return member

    def _share(self, member: T, user: str) -> _Share[T]:
        self._user_of[member] = user
        if user not in self._shares:
            self._shares[user] = _Share(next(self._turns))
        return self._shares[user]

    def _rank(self, user: str) -> None:
        """Where a user stands among those who wait, after one of the user's uploads has changed."""
        share = self._shares[user]
        if share.waiting:
            self._next.put(user, (len(share.holding), share.turn))
            return
        self._next.remove(user)
        if not share.holding:
            del self._shares[user]


def holds_slot(upload: Upload) -> bool:
    """Whether an upload is at its step's service, or about to be.

    One whose service has not answered for `stallAfter` is not: the message may be lost, and
    the others must not wait for it forever.
    """
    return upload.stage in {Stage.RUNNING, Stage.AWAITING_URL} and upload.stalled_at is None


def share_of(limit: int, shard: Shard) -> int:
    """How many of a step's slots are a shard's; together they are all of them."""
    return limit // shard.count + (shard.index < limit % shard.count)
