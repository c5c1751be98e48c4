"""What an owner must be able to do, and what keeps it from that (law 9: ready means able).

Three abilities: to pull messages, to publish events, to record uploads. Each has checks, which are
asked when somebody probes and say in words what is wrong at that moment: nothing is remembered,
so what has recovered is not reported any more.
"""

from collections.abc import Callable, Sized
from enum import StrEnum
from typing import Protocol

STILL_SECONDS = 5.0
"""So long no message comes although some are there, before the window is called full."""

Check = Callable[[], str]
"""Returns what is wrong, in words; empty when nothing is. Called for every probe, so it must be cheap."""


class Ability(StrEnum):
    """What must work."""

    PULL = "pull"
    PUBLISH = "publish"
    RECORD = "record"


class Abilities:
    """The checks of one ownership."""

    def __init__(self) -> None:
        self._checks: list[tuple[Ability, Check]] = []

    def add(self, ability: Ability, check: Check) -> None:
        """Have an ability checked; several checks of one are all asked."""
        self._checks.append((ability, check))

    @property
    def problem(self) -> str:
        """What does not work and why; empty when all does."""
        return "; ".join(f"cannot {ability}: {why}" for ability, check in self._checks if (why := check()))


class Unread(Protocol):
    """How far reading has come (`wire.reader.LogReader`)."""

    @property
    def delivered(self) -> int:
        """Messages that have come."""

    @property
    def unread(self) -> int:
        """Messages that the server still has for us."""

    @property
    def problem(self) -> str:
        """Why nothing can be read; empty when it can."""


class Waiting(Protocol):
    """What could not be recorded (`runtime.refusals.Refusals`)."""

    @property
    def words(self) -> str:
        """Why; empty when there is nothing."""


class FullWindow:
    """Notices that uploads which cannot be recorded hold back all messages that the server gives us."""

    def __init__(self, held: Sized, waiting: Waiting, clock: Callable[[], float]) -> None:
        self._held = held
        self._waiting = waiting
        self._clock = clock
        self._delivered = -1
        self._since = 0.0

    def problem(self, reader: Unread) -> str:
        """What is wrong, in words; to be asked again and again."""
        if reader.problem:
            return reader.problem
        now, unread, words = self._clock(), reader.unread, self._waiting.words
        if reader.delivered != self._delivered or not unread or not words:
            self._delivered, self._since = reader.delivered, now
        if now - self._since < STILL_SECONDS:
            return ""
        held = len(self._held)
        return f"{held} messages wait for uploads that cannot be recorded, {unread} are unread: {words}"
