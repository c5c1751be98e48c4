"""Which part of the log may be acknowledged: the contiguous prefix that is in etcd (law 2.3)."""

from collections import deque
from dataclasses import dataclass


@dataclass(slots=True, eq=False)
class Slot:
    """One message of the log; `open` counts what still has to be stored because of it.

    Ten of these are a third of what an upload in flight takes in memory: a field more is felt.
    """

    sequence: int
    open: int = 1


class Ledger:
    """Messages read and not yet acknowledged, in order.

    An acknowledgement names the consumer's own count of messages beside the sequence. The two
    differ by a number that changes only where the stream has lost messages, so only its
    changes are kept: as (first sequence, difference).
    """

    def __init__(self) -> None:
        self._slots: deque[Slot] = deque()
        self._differences: deque[tuple[int, int]] = deque()
        self._floor = 0
        self._moved = False
        self.acknowledged = 0
        """Up to where the stream knows it too: nothing before is ever read again."""

    def __len__(self) -> int:
        return len(self._slots)

    @property
    def floor(self) -> int:
        """Everything up to this sequence is done."""
        return self._floor

    def start(self, floor: int) -> None:
        """Everything up to `floor` was acknowledged before."""
        self._floor = self.acknowledged = floor

    def add(self, sequence: int, delivered: int) -> Slot:
        """Note a message that was read."""
        difference = sequence - delivered
        if not self._differences or self._differences[-1][1] != difference:
            self._differences.append((sequence, difference))
        slot = Slot(sequence)
        self._slots.append(slot)
        return slot

    def settle(self, slot: Slot) -> None:
        """One of the things a message waited for is done."""
        slot.open -= 1
        while self._slots and self._slots[0].open == 0:
            self._floor = self._slots.popleft().sequence
            self._moved = True

    def take_ack(self) -> tuple[int, int] | None:
        """The floor, as (sequence, delivered), when it has moved since this was last asked."""
        if not self._moved:
            return None
        self._moved = False
        while len(self._differences) > 1 and self._differences[1][0] <= self._floor:
            self._differences.popleft()
        return self._floor, self._floor - self._differences[0][1]
