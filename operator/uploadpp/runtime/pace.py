"""How many checkpoints may be written at a time: they give way to events.

Events and writes share one processor core. While events come in, states wait (whatever
happens meanwhile goes into the same write); the longer they wait, the more are let
through: soon, or hesitantly while events alone keep the core busy. Knows no uploads, only
how busy things are.
"""

from dataclasses import dataclass

QUIET_SECONDS = 0.005
"""So long after a message events count as coming in."""

PATIENCE_SECONDS = 0.5
"""So long a state may wait for events to pause; people look at resources, and may look at old ones."""

EASE_SECONDS = 0.25
"""One more writer for each of these that the oldest state has waited beyond that."""

BUSY_SECONDS = 2.0
"""Both while events keep the core busy."""

BUSY_RATE = 3000.0
"""Messages a second, at a tenth of a millisecond each."""

RATE_SECONDS = 0.1
"""How long messages are counted for it."""

MAX_WINDOW = 200_000
"""With more messages unacknowledged than this all writers work, before the server stops handing them out."""


@dataclass(frozen=True, slots=True)
class Load:
    """What is going on: how long ago the last message was, how many come, how long the oldest state waits.

    `window` is how many messages are read and not acknowledged.
    """

    quiet_seconds: float
    rate: float
    oldest_seconds: float
    window: int


def width(load: Load, writers: int) -> int:
    """How many of the writers may be writing."""
    if load.quiet_seconds >= QUIET_SECONDS or load.window > MAX_WINDOW:
        return writers
    busy = load.rate > BUSY_RATE
    patience, ease = (BUSY_SECONDS, BUSY_SECONDS) if busy else (PATIENCE_SECONDS, EASE_SECONDS)
    if load.oldest_seconds < patience:
        return 0
    return min(writers, 1 + int((load.oldest_seconds - patience) / ease))


class Rate:
    """Messages a second, of late."""

    def __init__(self) -> None:
        self._since = 0.0
        self._count = 0
        self._rate = 0.0

    def at(self, now: float, count: int) -> float:
        """The rate, when so many have come in all by this time in seconds."""
        passed = now - self._since
        if passed >= RATE_SECONDS:
            self._rate = (count - self._count) / passed
            self._since, self._count = now, count
        return self._rate
