"""What an owner must be able to do, and what keeps it from that: ready means able.

Three abilities: to pull messages, to publish events, to record uploads. Each has checks, which are
asked when somebody probes and say in words what is wrong at that moment: nothing is remembered,
so what has recovered is not reported any more.
"""

from collections.abc import Callable, Sized
from enum import StrEnum
from typing import NamedTuple, Protocol

STILL_SECONDS = 5.0
"""How long no message arrives although there are some, before the window is called full."""


class Ability(StrEnum):
    """What must work."""

    PULL = "pull"
    PUBLISH = "publish"
    RECORD = "record"


class State(NamedTuple):
    """How an ability stands at this moment."""

    ability: Ability
    problem: str
    """What is wrong, in words; empty when nothing is."""
    proven_seconds: float | None
    """Seconds since it was last seen to work; None if it was not needed yet."""
    but: str = ""
    """What it does not work for, although it works; empty when there is nothing."""


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

    @property
    def silent_for(self) -> float:
        """Seconds since the server was last heard."""


class Publishing(Protocol):
    """Sends events (`wire.publisher.Publisher`)."""

    @property
    def problem(self) -> str:
        """Why the last one was not taken; empty when it was."""

    @property
    def stored_ago(self) -> float | None:
        """Seconds since the stream last took an event; None before the first."""


class Waiting(Protocol):
    """What could not be recorded (`pipeline.refusals.Refusals`)."""

    @property
    def words(self) -> str:
        """Why; empty when there is nothing."""

    @property
    def alone_words(self) -> str:
        """Which upload cannot be recorded while others can, why, and what can be done; empty when none."""

    @property
    def disabled(self) -> str:
        """Why nothing can be recorded at present; empty when something can."""

    @property
    def written_ago(self) -> float | None:
        """Seconds since the API server last took a state; None before the first."""


class Unacknowledged(Sized, Protocol):
    """The messages that are not acknowledged (`pipeline.overfull.Overfull`)."""

    @property
    def is_half_full(self) -> bool:
        """Whether half of those that may wait do so."""


class Owning(Protocol):
    """The Lease (`kube.lease.Lease`)."""

    @property
    def doubt(self) -> str:
        """What keeps us from renewing it; empty when nothing does."""


class Abilities:
    """What one ownership can do."""

    def __init__(self, window: "FullWindow", publishing: Publishing, waiting: Waiting, lease: Owning) -> None:
        self._window = window
        self._publishing = publishing
        self._waiting = waiting
        self._lease = lease
        self._reader: Unread | None = None

    def reads_through(self, reader: Unread) -> None:
        """The log is read from now on."""
        self._reader = reader

    def states(self) -> list[State]:
        """Each of them."""
        reader, publishing, waiting = self._reader, self._publishing, self._waiting
        pulling = (self._window.problem(reader), reader.silent_for) if reader is not None else ("", None)
        return [
            State(Ability.PULL, *pulling),
            State(Ability.PUBLISH, publishing.problem, publishing.stored_ago),
            State(
                Ability.RECORD,
                waiting.disabled or self._lease.doubt,
                waiting.written_ago,
                waiting.alone_words,
            ),
        ]

    @property
    def problem(self) -> str:
        """What does not work and why; empty when all does."""
        return "; ".join(f"cannot {each.ability}: {each.problem}" for each in self.states() if each.problem)


def told(state: State, where: str = "") -> str:
    """An ability on one line, in the form in which the API server tells of its own checks."""
    name = f"{where}{state.ability}"
    if state.problem:
        return f"[-]{name} failed: {state.problem}"
    ago, but = state.proven_seconds, f"; but {state.but}" if state.but else ""
    return f"[+]{name} ok: {'not needed yet' if ago is None else f'last proven {ago:.0f} s ago'}{but}"


def replay_problem(reader: Unread, most: int) -> str:
    """Why a replay cannot go on; empty if it can. Nothing is acknowledged before its end."""
    if reader.delivered < most or not reader.unread:
        return ""
    return (
        f"replaying the log: NATS hands out {most} messages that are not acknowledged, and {reader.unread} "
        "more are unread; raise max_ack_pending of the stream, the account or the server"
    )


class FullWindow:
    """Notices that uploads which cannot be recorded hold back all messages that the server gives us."""

    def __init__(self, unacknowledged: Unacknowledged, waiting: Waiting, clock: Callable[[], float]) -> None:
        self._unacknowledged = unacknowledged
        self._waiting = waiting
        self._clock = clock
        self._delivered = -1
        self._since = 0.0

    def problem(self, reader: Unread) -> str:
        """What is wrong; to be called again and again."""
        if reader.problem:
            return reader.problem
        now, unread, words = self._clock(), reader.unread, self._waiting.words
        if reader.delivered != self._delivered or not unread or not words:
            self._delivered, self._since = reader.delivered, now
        if now - self._since < STILL_SECONDS and not (words and self._unacknowledged.is_half_full):
            return ""
        count = len(self._unacknowledged)
        return f"{count} messages wait for uploads that cannot be recorded, {unread} are unread: {words}"
