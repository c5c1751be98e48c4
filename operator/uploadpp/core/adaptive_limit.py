"""A number of slots that follows what a step's service can do, between a floor and a ceiling (docs/adr/0059).

As in TCP Vegas, the time that an answer takes is compared with the time that it takes when little is under
way. Answers that take longer wait inside the service, so fewer uploads should be there; answers that take no
longer while all slots are used mean that more can be. Failures lower the limit as well.

Files differ in size, so each answer is compared with answers for files of about its size, and the median of
many answers decides: a single slow file changes nothing.
"""

from collections import deque
from collections.abc import Hashable
from statistics import median
from typing import Generic, NamedTuple, TypeVar

from uploadpp.core.model import Millis

T = TypeVar("T", bound=Hashable)

LEAST = 8
"""The limit is looked at after this many answers, or after twice as many as there are slots."""
KEPT = 15
"""How many answers of unhindered uploads are kept, for each size."""
STEADY = 1.1
"""More uploads may be at the step while answers take less than this many times as long as unhindered ones."""
SLOW = 1.3
"""Fewer may, where they take more than this."""
FASTER = 0.5
"""Answers that take less than this show that what is known of unhindered ones is out of date."""
LARGEST_FALL = 0.75
FEW_FAILURES = 1 / 8
"""As many failures as this may be because of the files."""


class _Start(NamedTuple):
    """What is known of an upload at the step."""

    size: int
    unhindered: bool
    """Whether so few others were at the step that it did not have to wait there."""
    era: int
    """How often the limit had changed when it started."""


class AdaptiveLimit(Generic[T]):
    """The limit of one step, in one shard."""

    def __init__(self, floor: int, ceiling: int) -> None:
        self.floor = floor
        self.ceiling = max(floor, ceiling)
        self.limit = floor
        self._starts: dict[T, _Start] = {}
        self._usual: dict[int, deque[Millis]] = {}
        """How long answers took for unhindered uploads, by size."""
        self._era = 0
        self._fast = True
        """Whether the limit has not fallen since it was at its floor: it rises faster then."""
        self._answers: list[tuple[int, Millis]] = []
        self._failures = 0
        self._used_up = False

    @property
    def under_way(self) -> int:
        """How many were started and have not left."""
        return len(self._starts)

    def started(self, member: T, size: int, at_step: int) -> None:
        """An upload was started; `at_step` is how many are at the step now, with it."""
        unhindered = at_step <= max(self.floor, self.limit // 2)
        self._starts[member] = _Start(size.bit_length(), unhindered, self._era)
        self._used_up = self._used_up or at_step >= self.limit

    def left(self, member: T) -> None:
        """An upload has left the step without an answer that counts."""
        self._starts.pop(member, None)

    def answered(self, member: T, took: Millis) -> None:
        """The service gave a good answer for an upload after this long."""
        start = self._starts.pop(member, None)
        if start is None:
            return
        if start.unhindered or start.size not in self._usual:
            self._usual.setdefault(start.size, deque(maxlen=KEPT)).append(took)
        if start.era == self._era:
            self._answers.append((start.size, took))
            self._look()

    def failed(self, member: T) -> None:
        """The service has failed for an upload, or has not answered."""
        start = self._starts.pop(member, None)
        if start is not None and start.era == self._era:
            self._failures += 1
            self._look()

    def begin_again(self) -> None:
        """The service was not well: go back to the floor."""
        self._become(self.floor)

    def _look(self) -> None:
        """Whether the limit should change, once there are enough answers."""
        count = len(self._answers) + self._failures
        if count < max(LEAST, 2 * self.limit):
            return
        slowness = self._slowness()
        if self._failures / count > FEW_FAILURES:
            self._fall(1 - self._failures / count / 2)
        elif slowness > SLOW:
            self._fall(max(SLOW / slowness, LARGEST_FALL))
        elif slowness < STEADY and self._used_up:
            self._become(self.limit + max(1, self.limit // (2 if self._fast else 8)))
        else:
            self._become(self.limit)

    def _slowness(self) -> float:
        """How many times as long as unhindered ones the answers took."""
        usual = {size: median(known) for size, known in self._usual.items()}
        ratios = [(took + 1) / (usual[size] + 1) for size, took in self._answers]
        found = median(ratios) if ratios else 1.0
        if found < FASTER:
            for size, took in self._answers:
                self._usual[size].append(took)
        return found

    def _fall(self, factor: float) -> None:
        self._fast = False
        self._become(min(int(self.limit * factor), self.limit - 1))

    def _become(self, limit: int) -> None:
        if limit != self.limit:
            self._era += 1
        self.limit = min(max(limit, self.floor), self.ceiling)
        self._fast = self._fast or self.limit == self.floor
        self._answers.clear()
        self._failures, self._used_up = 0, False
