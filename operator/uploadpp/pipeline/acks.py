"""Which part of the log may be acknowledged: the contiguous prefix that is in etcd (law 2.3)."""

from collections import deque
from dataclasses import dataclass


@dataclass(slots=True, eq=False)
class PendingMessage:
    """One message of the log; `open` counts what still has to be stored because of it.

    Ten of these are a third of what an upload in flight takes in memory: a field more is felt.
    """

    sequence: int
    open: int = 1


class AckTracker:
    """Messages read and not yet acknowledged, in order.

    An acknowledgement names the consumer's own count of messages beside the sequence. The two
    differ by a number that changes only where the stream has lost messages, so only its
    changes are kept: as (first sequence, difference).
    """

    def __init__(self) -> None:
        self._messages: deque[PendingMessage] = deque()
        self._differences: deque[tuple[int, int]] = deque()
        self._ack_floor = 0
        self._moved = False
        self.acknowledged = 0
        """Up to where the stream knows it too: nothing before is ever read again."""

    def __len__(self) -> int:
        return len(self._messages)

    @property
    def ack_floor(self) -> int:
        """Everything up to this sequence is done."""
        return self._ack_floor

    def start(self, ack_floor: int) -> None:
        """Everything up to `ack_floor` was acknowledged before."""
        self._ack_floor = self.acknowledged = ack_floor

    def add(self, sequence: int, delivered: int) -> PendingMessage:
        """Note a message that was read."""
        difference = sequence - delivered
        if not self._differences or self._differences[-1][1] != difference:
            self._differences.append((sequence, difference))
        message = PendingMessage(sequence)
        self._messages.append(message)
        return message

    def release(self, message: PendingMessage) -> None:
        """One of the things a message waited for is done."""
        message.open -= 1
        while self._messages and self._messages[0].open == 0:
            self._ack_floor = self._messages.popleft().sequence
            self._moved = True

    def take_ack(self) -> tuple[int, int] | None:
        """The ack floor, as (sequence, delivered), when it has moved since this was last asked."""
        if not self._moved:
            return None
        self._moved = False
        while len(self._differences) > 1 and self._differences[1][0] <= self._ack_floor:
            self._differences.popleft()
        return self._ack_floor, self._ack_floor - self._differences[0][1]
