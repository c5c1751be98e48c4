"""What an owner notes in the Lease: up to where the log is in etcd, and when that message was stored.

Keeping the time of every message in flight would be much memory, so only some are kept: one for each
look. The note is the last of them that is acknowledged, so it lags a little.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import replace

from uploadpp.core.model import Millis
from uploadpp.wire.noted_position import STORED_SLACK, Kept, moment

MOST = 1000
FEW = 16


class PositionNote:
    """The note of one ownership."""

    def __init__(self, begun: Kept, text: Callable[[Kept], str], clock: Callable[[], Millis]) -> None:
        """Begin with what the take-over has found; `text` says how a note is written down."""
        self._begun = begun
        self._text = text
        self._clock = clock
        self._position: tuple[int, int] | None = None
        self._read: deque[tuple[int, int]] = deque()
        self._said: deque[tuple[str, int]] = deque(maxlen=FEW)
        self._noted = begun.where - 1 if isinstance(begun.where, int) else 0

    def read(self, sequence: int, stored_at: int) -> None:
        """Up to where the log is read, and when that message was stored, in milliseconds."""
        if not stored_at or (self._read and self._read[-1][0] >= sequence):
            return
        if len(self._read) >= MOST:
            self._read = deque(each for number, each in enumerate(self._read) if number % 2 == 0)
        self._read.append((sequence, stored_at))

    def acknowledged(self, sequence: int) -> None:
        """Everything up to a sequence is in etcd."""
        while self._read and self._read[0][0] <= sequence:
            self._position = self._read.popleft()

    def __call__(self) -> str:
        """The text for this moment."""
        note = replace(self._begun, noted=moment(self._clock()))
        if self._position is not None:
            sequence, stored = self._position[0], moment(self._position[1])
            note = replace(note, where=sequence + 1, stored=stored, seen=stored + STORED_SLACK)
        text = self._text(note)
        self._said.append((text, self._position[0] if self._position is not None else self._noted))
        return text

    def noted(self, text: str) -> int:
        """Up to where the Lease says that the log is in etcd; `text` is what it says."""
        self._noted = next((sequence for said, sequence in self._said if said == text), self._noted)
        return self._noted
