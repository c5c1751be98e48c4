"""Which part of the log may be acknowledged: the contiguous prefix that is in etcd (law 2.3)."""

from collections import deque
from dataclasses import dataclass


@dataclass(slots=True, eq=False)
class Slot:
    """One message of the log; `open` counts what still has to be stored because of it.

    `delivered` is the consumer's own count, which an acknowledgement has to name beside the sequence.
    """

    sequence: int
    delivered: int
    open: int = 1


class Ledger:
    """Messages read and not yet acknowledged, in order."""

    def __init__(self) -> None:
        self._slots: deque[Slot] = deque()
        self._floor = 0
        self._delivered = 0
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
        slot = Slot(sequence, delivered)
        self._slots.append(slot)
        return slot

    def settle(self, slot: Slot) -> None:
        """One of the things a message waited for is done."""
        slot.open -= 1
        while self._slots and self._slots[0].open == 0:
            done = self._slots.popleft()
            self._floor, self._delivered = done.sequence, done.delivered

    def take_ack(self) -> tuple[int, int] | None:
        """The floor, as (sequence, delivered), when it has moved since this was last asked."""
        delivered, self._delivered = self._delivered, 0
        return (self._floor, delivered) if delivered else None
