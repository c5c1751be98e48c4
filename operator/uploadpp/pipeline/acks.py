"""Which part of the log may be acknowledged: the contiguous prefix that is in etcd (invariant 2.3).

The window holds the messages that are read and not acknowledged. A message leaves it when it has nothing left
to wait for (`open` is zero) and the same is true of all messages before it:

    sequence     10      11      12      13
    open          0       1       0       2
                floor   waits   done    waits

The consumer acknowledges everything up to a position, so 12 stays until 11 is released. Then the floor moves
from 10 to 12 at once.

Four positions follow each other:

* the last message that was read,
* `ack_floor`: everything up to it is in etcd, or needs no record,
* `acknowledged`: everything up to it the server has confirmed,
* `noted`: everything up to it is noted in the Lease, and no owner reads it again (docs/adr/0051).

Invariant: `ack_floor` is less than the sequence of each message in the window, and never moves back.
`acknowledged` follows it, because we acknowledge nothing beyond it.
"""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

from uploadpp.core.model import LogPosition
from uploadpp.wire.stream import MAX_ACK_PENDING


@dataclass(slots=True, eq=False)
class PendingMessage:
    """One message of the log; `open` counts what still has to be stored because of it.

    It begins with one, for the router that works on it. Each upload that the message concerns adds one while
    its present state is not in etcd, and each command that belongs to no upload adds one while it is not in
    the stream. Whoever keeps a message for later adds one too. Only `AckTracker.release` counts down.

    Ten of these take a third of the memory of an upload in flight, so every field counts.
    """

    sequence: int
    open: int = 1


class AckTracker:
    """The window of one shard: messages read and not yet acknowledged, in order.

    An acknowledgement names the consumer's own count of messages beside the sequence. The two
    differ by a number that changes only where the stream has lost messages, so only its
    changes are kept: as (first sequence, difference).
    """

    def __init__(self) -> None:
        self._messages: deque[PendingMessage] = deque()
        self._differences: deque[tuple[int, int]] = deque()
        self._ack_floor = 0
        self._moved = False
        self.stream = ""
        """Which incarnation of the stream the sequences belong to."""
        self.acknowledged = 0
        """Up to where the stream knows it too: while etcd keeps what it has, nothing before is read again."""
        self.noted = 0
        """Up to where the Lease says it too: nothing before is ever read again."""
        self.most = MAX_ACK_PENDING
        """With this many unacknowledged messages, the server delivers no more."""

    def __len__(self) -> int:
        return len(self._messages)

    @property
    def ack_floor(self) -> int:
        """Everything up to this sequence is done."""
        return self._ack_floor

    @property
    def is_half_full(self) -> bool:
        """Whether the window is half full."""
        return 2 * len(self._messages) >= self.most

    def start(self, stream: str, ack_floor: int, most: int = MAX_ACK_PENDING) -> None:
        """Everything of a stream up to `ack_floor` was acknowledged before."""
        self.stream, self.most = stream, most
        self._ack_floor = self.acknowledged = self.noted = ack_floor

    def confirm(self, acknowledged: int, noted: int) -> None:
        """The server has told up to where it knows our acknowledgements, and the Lease has the note."""
        self.acknowledged, self.noted = acknowledged, noted

    def is_read(self, position: LogPosition) -> bool:
        """Whether every message up to a position is acknowledged."""
        last = max(position.sequence, position.start or 0)
        return position.stream != self.stream or last <= self.acknowledged

    def add(self, sequence: int, delivered: int) -> PendingMessage:
        """Note a message that was read."""
        difference = sequence - delivered
        if not self._differences or self._differences[-1][1] != difference:
            self._differences.append((sequence, difference))
        message = PendingMessage(sequence)
        self._messages.append(message)
        return message

    def release(self, message: PendingMessage) -> None:
        """Count down `open` of a message: one thing that it waited for is done."""
        message.open -= 1
        while self._messages and self._messages[0].open == 0:
            self._ack_floor = self._messages.popleft().sequence
            self._moved = True

    def release_all(self, messages: Iterable[PendingMessage]) -> None:
        """Count down `open` of each of these messages."""
        for message in messages:
            self.release(message)

    def take_ack(self) -> tuple[int, int] | None:
        """The ack floor, as (sequence, delivered), when it has moved since this was last asked."""
        if not self._moved:
            return None
        self._moved = False
        while len(self._differences) > 1 and self._differences[1][0] <= self._ack_floor:
            self._differences.popleft()
        return self._ack_floor, self._ack_floor - self._differences[0][1]
