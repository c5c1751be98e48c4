"""Who shares the slots of a step: users or spaces, with weights and priority classes (docs/adr/0058)."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from uploadpp.core.states import Word

NORMAL = "normal"
"""The class of uploads that have no other one."""
CLASSES = {"high": 8, NORMAL: 4, "low": 1}
"""The priority classes by default: high counts twice as much as normal, low a quarter."""


class FairShare(Word):
    """Between whom slots are shared fairly."""

    USER = "User"
    SPACE = "Space"


class Share(NamedTuple):
    """A user or a space, with the uploads of one priority class."""

    owner: str
    priority: str = NORMAL
    weight: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class SharePolicy:
    """Which share an upload belongs to, and how much the share counts."""

    by: FairShare = FairShare.USER
    weights: Mapping[str, int] = field(default_factory=dict)
    """The weights of users or spaces, by id; 1 for all others."""
    classes: Mapping[str, int] = field(default_factory=lambda: CLASSES)
    """The weights of priority classes by name; `normal` is one of them."""
    small_first: int = 0
    """How many smaller uploads of its share may overtake the oldest one in a row."""

    @property
    def normal(self) -> int:
        """The weight of a share that counts as one user."""
        return self.classes[NORMAL]

    def share(self, owner: str, priority: str) -> Share:
        """The share of a user or space; a class that is not configured counts as normal."""
        known = priority if priority in self.classes else NORMAL
        return Share(owner, known, self.weights.get(owner, 1) * self.classes[known])


def longest_wait(own: int, others: Collection[int]) -> int:
    """How many slots the others are granted, at most, while a share waits and holds none.

    Args:
        own: its weight.
        others: the weights of all others that wait meanwhile.
    """
    heaviest, total = max([own, *others]), sum(others) + own
    return len(others) + total * (heaviest - own) // (own * heaviest)
