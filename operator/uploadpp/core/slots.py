"""Fair queueing for the slots of a step: which upload holds one, which waits, and which is next.

Users, or spaces, have shares. A share counts as so many users as its weight says, and without weights as one.
Of the shares with something queued, the one that holds the fewest slots is next, by its weight; among equals
the one that has had none for longest, by its weight. Of that share's uploads the oldest is next, unless small
ones may overtake it. So whatever one user has queued, and however long it takes, others get as many slots.

Turns are measured in a time of their own (`_now`), in which each share may have one slot for each user that
it counts as: the virtual time of weighted fair queueing (docs/adr/0058).
"""

import heapq
from collections import Counter
from collections.abc import Hashable
from dataclasses import dataclass, field
from itertools import count
from typing import Generic, TypeVar

from uploadpp.core.model import Upload
from uploadpp.core.sharding import Shard
from uploadpp.core.shares import Share
from uploadpp.core.states import Stage

T = TypeVar("T", bound=Hashable)

Order = tuple[int, ...]
SPARE = 64
"""A heap is cleaned once it holds this many more removed members than others."""
ROUND = 1 << 60
"""How long, in virtual time, a share that counts as one user waits for its next turn."""


class Queue(Generic[T]):
    """Members in an order of their own, from which any may be removed."""

    def __init__(self) -> None:
        self._heap: list[tuple[Order, int, T]] = []
        self._live: dict[T, tuple[Order, int, T]] = {}
        self._count = count()

    def __len__(self) -> int:
        return len(self._live)

    def put(self, member: T, order: Order) -> None:
        """Add a member, or move it if its order is another one."""
        known = self._live.get(member)
        if known is not None and known[0] == order:
            return
        entry = self._live[member] = (order, next(self._count), member)
        heapq.heappush(self._heap, entry)
        if len(self._heap) > 2 * len(self._live) + SPARE:
            self._heap = [each for each in self._heap if self._live.get(each[2]) is each]
            heapq.heapify(self._heap)

    def remove(self, member: T) -> None:
        """Take a member out, if it is in."""
        self._live.pop(member, None)

    def first(self) -> T:
        """The first member of a queue that is not empty."""
        while self._live.get(self._heap[0][2]) is not self._heap[0]:
            heapq.heappop(self._heap)
        return self._heap[0][2]


@dataclass(slots=True)
class _Uploads(Generic[T]):
    """What one share has at a step."""

    turn: tuple[int, int]
    """When it is next among equals: a virtual time, and a number that tells equal ones apart."""
    waiting: Queue[T] = field(default_factory=Queue)
    small: Queue[T] = field(default_factory=Queue)
    """Those that wait, the smallest first; empty where nothing overtakes."""
    holding: set[T] = field(default_factory=set)
    overtaken: int = 0
    """How many have overtaken the oldest one in a row."""
    rank: int | None = None
    """Its place among all shares by the slots that it holds; None while nothing waits."""


class Slots(Generic[T]):
    """The slots at one step. A member waits, holds a slot, or is not here."""

    def __init__(self, limit: int, normal: int = 1, small_first: int = 0) -> None:
        """`normal` is the weight that counts as one user; `small_first` is that of `SharePolicy`."""
        self.limit = limit
        self._normal = normal
        self._small_first = small_first
        self._shares: dict[Share, _Uploads[T]] = {}
        self._share_of: dict[T, Share] = {}
        self._holders: set[T] = set()
        self._next: Queue[Share] = Queue()
        self._weights: Counter[int] = Counter()
        """The sum of the weights of the shares that wait, by rank."""
        self._turns = count()
        self._now = 0

    def resize(self, limit: int) -> None:
        """Have so many slots from now on; nobody loses one."""
        self.limit = limit

    @property
    def used(self) -> int:
        """How many slots are held; more than there are, when some were not granted here."""
        return len(self._holders)

    @property
    def waiting(self) -> int:
        """How many wait for a slot."""
        return len(self._share_of) - len(self._holders)

    @property
    def shares_waiting(self) -> int:
        """How many shares have something that waits."""
        return len(self._next)

    def holds(self, member: T) -> bool:
        """Whether a member holds a slot."""
        return member in self._holders

    def wait(self, member: T, share: Share, order: Order, size: int = 0) -> None:
        """A member waits; `order` is its position among those of the same share.

        Only those whose `order` begins alike overtake each other: its last part is when they arrived.
        One that waits already moves to its present position, and stays in its share.
        """
        waits = member in self._share_of and member not in self._holders
        if not waits:
            self.leave(member)
            self._share_of[member] = share
        share = self._share_of[member]
        uploads = self._uploads(share)
        uploads.waiting.put(member, order)
        if self._small_first:
            uploads.small.put(member, (*order[:-1], size, order[-1]))
        if not waits:
            self._rank(share)

    def hold(self, member: T, share: Share) -> None:
        """A member is at the step, granted or not."""
        if member in self._holders:
            return
        self.leave(member)
        self._share_of[member] = share
        self._uploads(share).holding.add(member)
        self._holders.add(member)
        self._rank(share)

    def leave(self, member: T) -> None:
        """A member neither waits nor holds a slot."""
        share = self._share_of.pop(member, None)
        if share is None:
            return
        uploads = self._shares[share]
        if member in self._holders:
            self._holders.remove(member)
            uploads.holding.remove(member)
            uploads.turn = self._turn(share)  # behind those who came while it was held
        uploads.waiting.remove(member)
        uploads.small.remove(member)
        self._rank(share)

    def grant(self) -> T | None:
        """Give a free slot to whose turn it is; None when no slot is free or nobody waits."""
        if len(self._holders) >= self.limit or not self._next:
            return None
        share = self._next.first()
        uploads = self._shares[share]
        rivals = self._weights[uploads.rank or 0]
        self._now = max(self._now + _parts(self._normal, rivals), uploads.turn[0])
        uploads.turn = self._turn(share)
        member = self._pick(uploads)
        self.hold(member, share)
        return member

    def _pick(self, uploads: _Uploads[T]) -> T:
        oldest = uploads.waiting.first()
        smallest = uploads.small.first() if self._small_first else oldest
        if smallest == oldest or uploads.overtaken >= self._small_first:
            uploads.overtaken = 0
            return oldest
        uploads.overtaken += 1
        return smallest

    def _turn(self, share: Share) -> tuple[int, int]:
        """The last of all turns, for a share that counts as one user; sooner for one that counts as more."""
        return self._now + self._normal * ROUND // share.weight, next(self._turns)

    def _uploads(self, share: Share) -> _Uploads[T]:
        if share not in self._shares:
            self._shares[share] = _Uploads(self._turn(share))
        return self._shares[share]

    def _rank(self, share: Share) -> None:
        """Where a share stands among those that wait, after one of its uploads has changed."""
        uploads = self._shares[share]
        if uploads.rank is not None:
            self._weights[uploads.rank] -= share.weight
            uploads.rank = None
        if uploads.waiting:
            uploads.rank = len(uploads.holding) * self._normal // share.weight
            self._weights[uploads.rank] += share.weight
            self._next.put(share, (uploads.rank, *uploads.turn))
            return
        self._next.remove(share)
        if not uploads.holding:
            del self._shares[share]


def _parts(normal: int, weights: int) -> int:
    """How much virtual time a grant takes where shares with these weights wait, rounded up."""
    return -(-normal * ROUND // weights)


def holds_slot(upload: Upload) -> bool:
    """Whether an upload is at its step's service, or about to be.

    One whose service has not answered for `stallAfter` is not: the message may be lost, and
    the others must not wait for it forever.
    """
    return upload.stage in {Stage.RUNNING, Stage.AWAITING_URL} and upload.stalled_at is None


def share_of(limit: int, shard: Shard) -> int:
    """How many of a step's slots are a shard's; together they are all of them."""
    return limit // shard.count + (shard.index < limit % shard.count)
