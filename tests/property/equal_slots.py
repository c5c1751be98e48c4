"""The rule for slots where all users count the same, as it was before there were weights.

`test_fair_shares.py` compares the grants of `core/slots.py` with it.
"""

from collections.abc import Hashable
from dataclasses import dataclass, field
from itertools import count
from typing import Generic, TypeVar

from uploadpp.core.slots import Order, Queue

T = TypeVar("T", bound=Hashable)


@dataclass(slots=True)
class _Share(Generic[T]):
    """What one user has at a step."""

    turn: int
    waiting: Queue[T] = field(default_factory=Queue)
    holding: set[T] = field(default_factory=set)


class EqualSlots(Generic[T]):
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
            self._shares[self._user_of[member]].waiting.put(member, order)
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
