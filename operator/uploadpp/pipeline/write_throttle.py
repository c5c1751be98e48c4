"""How many checkpoints may be written at a time, and resources removed: they give way to events.

Events and writes share one processor core. While events come in, states wait (whatever
happens meanwhile goes into the same write); the longer they wait, the more are let
through: soon, or hesitantly while events alone keep the core busy. Knows no uploads, only
how busy things are.
"""

from dataclasses import dataclass

QUIET_SECONDS = 0.005
"""For this long after a message, events count as coming in."""

PATIENCE_SECONDS = 0.5
"""How long a state may wait for events to pause. People look at resources, so they should not be old."""

EASE_SECONDS = 0.25
"""One more writer for each of these that the oldest state has waited beyond that."""

BUSY_SECONDS = 2.0
"""Both while events keep the core busy."""

BUSY_RATE = 3000.0
"""Messages a second, at a tenth of a millisecond each."""

RATE_SECONDS = 0.1
"""The period over which the rate of messages is measured."""

MAX_WINDOW = 200_000
"""With more messages unacknowledged than this all writers work, before the server stops handing them out."""


@dataclass(frozen=True, slots=True)
class LoadSample:
    """What is going on: how long ago the last message was, how many come, how long the oldest state waits.

    `window` is how many messages are read and not acknowledged.
    """

    quiet_seconds: float
    rate: float
    oldest_seconds: float
    window: int


def max_writers(load: LoadSample, writers: int) -> int:
    """How many of the writers may be writing."""
    if load.quiet_seconds >= QUIET_SECONDS or load.window > MAX_WINDOW:
        return writers
    busy = load.rate > BUSY_RATE
    patience, ease = (BUSY_SECONDS, BUSY_SECONDS) if busy else (PATIENCE_SECONDS, EASE_SECONDS)
    if load.oldest_seconds < patience:
        return 0
    return min(writers, 1 + int((load.oldest_seconds - patience) / ease))


class MessageRate:
    """Messages of late: how many a second, and since when there are none.

    Told how many have come in all, time and again: the clock of an event loop stands still while one task
    handles many of them, and a message's time would lie in the past when another task looks.
    """

    def __init__(self) -> None:
        self.rate = 0.0
        self.quiet_seconds = 0.0
        self._count = 0
        self._came_at = 0.0
        self._counted = 0
        self._counted_at = 0.0

    def seen(self, now: float, count: int) -> None:
        """Note how many have come by this time in seconds."""
        if count != self._count:
            self._count, self._came_at = count, now
        self.quiet_seconds = now - self._came_at
        passed = now - self._counted_at
        if passed >= RATE_SECONDS:
            self.rate = (count - self._counted) / passed
            self._counted, self._counted_at = count, now


REMOVALS_FLOOR = 10
"""At least this many per second: they disturb nothing, and a quiet installation is cleaned up soon."""

REMOVALS_SHARE = 1.2
"""Removals per upload that ends. With fewer than one, etcd would fill up."""

BACKLOG_SECONDS = 1800.0
"""The backlog is spread over about this time: 50,000 overdue resources take an hour and more."""

ENDINGS_SECONDS = 60.0
"""The period over which the rate of endings is measured."""


def removals(overdue: int, endings: float) -> int:
    """How many resources may be removed in a second.

    Args:
        overdue: how many wait for their removal.
        endings: how many uploads a second have ended of late.
    """
    return int(REMOVALS_FLOOR + REMOVALS_SHARE * endings + overdue / BACKLOG_SECONDS)


class Endings:
    """How many uploads end per second, as an exponential mean."""

    def __init__(self) -> None:
        self._count = 0
        self._rate = 0.0

    def seen(self, count: int = 1) -> None:
        """Note that this many more have ended."""
        self._count += count

    def rate(self, seconds: float) -> float:
        """The rate; the argument is the time since the last call."""
        share = min(seconds / ENDINGS_SECONDS, 1.0)
        self._rate += (self._count / seconds - self._rate) * share
        self._count = 0
        return self._rate
