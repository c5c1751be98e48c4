"""Who is told when the stream has removed messages before they were read."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Followers:
    """What is done about them."""

    on_drained: Callable[[], None] = lambda: None
    """The server has nothing more for us although it had."""
    on_missed: Callable[[int, int], None] = lambda *_: None
    """Given the first and last sequence of those that are gone."""


NOBODY = Followers()
