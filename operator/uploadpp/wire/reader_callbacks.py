"""What the reader reports besides messages: that it has reached the end, and that messages are missing."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class ReaderCallbacks:
    """What to call, and when."""

    on_drained: Callable[[], None] = lambda: None
    """When the server has no more messages for the reader, although it had some before."""
    on_missed: Callable[[int, int], None] = lambda *_: None
    """When the stream removed messages before they were read; with their first and last sequence."""


NO_CALLBACKS = ReaderCallbacks()
