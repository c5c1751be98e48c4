"""How many checkpoints may be written at a time: they give way to events.

Events and writes share one processor core. While events come in, states wait (whatever
happens meanwhile goes into the same write); the longer they wait, the more are let
through: soon where the log is kept up with, hesitantly where events wait as well. Knows no
uploads, only how busy things are.
"""

from dataclasses import dataclass

QUIET_SECONDS = 0.005
"""So long after a message events count as coming in."""

PATIENCE_SECONDS = 0.5
"""So long a state may wait for events to pause; people look at resources, and may look at old ones."""

EASE_SECONDS = 0.25
"""One more writer for each of these that the oldest state has waited beyond that."""

EASE_BEHIND_SECONDS = 2.0
"""The same while events wait too."""

BEHIND = 32
"""With more messages than this unread, events wait: somewhat more than come while we look away for once."""

MAX_WINDOW = 200_000
"""With more messages unacknowledged than this all writers work, before the server stops handing them out."""


@dataclass(frozen=True, slots=True)
class Load:
    """What is going on: how long ago the last message was, and what waits to be read and to be written.

    `window` is how many messages are read and not acknowledged.
    """

    quiet_seconds: float
    unread: int
    oldest_seconds: float
    window: int


def width(load: Load, writers: int) -> int:
    """How many of the writers may be writing."""
    if load.quiet_seconds >= QUIET_SECONDS or load.window > MAX_WINDOW:
        return writers
    if load.oldest_seconds < PATIENCE_SECONDS:
        return 0
    ease = EASE_BEHIND_SECONDS if load.unread > BEHIND else EASE_SECONDS
    return min(writers, 1 + int((load.oldest_seconds - PATIENCE_SECONDS) / ease))
