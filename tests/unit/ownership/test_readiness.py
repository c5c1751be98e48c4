"""What an owner can do, and what is said about it."""

from dataclasses import dataclass, field

import pytest

from uploadpp.ownership.readiness import Abilities, Ability, FullWindow, State, replay_problem, told


@dataclass
class Part:
    """Everything that is asked, in one."""

    problem: str = ""
    doubt: str = ""
    disabled: str = ""
    words: str = ""
    alone_words: str = ""
    delivered: int = 0
    unread: int = 0
    silent_for: float = 1.4
    stored_ago: float | None = None
    written_ago: float | None = None
    held: list[int] = field(default_factory=list)


@pytest.mark.parametrize(
    ("state", "line"),
    [
        (State(Ability.PULL, "", 1.4), "[+]shard-0/pull ok: last proven 1 s ago"),
        (State(Ability.PUBLISH, "", None), "[+]shard-0/publish ok: not needed yet"),
        (State(Ability.RECORD, "403 no", 3.0), "[-]shard-0/record failed: 403 no"),
        (State(Ability.RECORD, "", 1.4, "u1 no"), "[+]shard-0/record ok: last proven 1 s ago; but u1 no"),
    ],
)
def test_an_ability_on_a_line(state: State, line: str) -> None:
    assert told(state, "shard-0/") == line


class Window(list[int]):
    """So many messages wait; four may."""

    @property
    def is_half_full(self) -> bool:
        return 2 * len(self) >= 4


@pytest.mark.parametrize(("count", "words", "said"), [(2, "no", True), (1, "no", False), (2, "", False)])
def test_half_a_window_is_said(count: int, words: str, *, said: bool) -> None:
    """At once, and only when it is because of the records."""
    reader, refusals = Part(), Part(words=words)
    problem = FullWindow(Window([1] * count), refusals, lambda: 0.0).problem(reader)
    assert bool(problem) is said
    assert not said or problem == "2 messages wait for uploads that cannot be recorded, 0 are unread: no"


@pytest.mark.parametrize(("delivered", "unread", "said"), [(150, 3, True), (150, 0, False), (149, 3, False)])
def test_a_window_that_is_too_small_for_a_replay_is_said(delivered: int, unread: int, *, said: bool) -> None:
    text = replay_problem(Part(delivered=delivered, unread=unread), 150)
    assert ("NATS hands out 150 messages" in text and "3 more are unread" in text) is said


def test_each_ability_is_asked_of_who_has_it() -> None:
    reader, publisher, refusals, lease = Part(), Part(stored_ago=2.0), Part(written_ago=3.0), Part()
    abilities = Abilities(FullWindow(Window(), refusals, lambda: 0.0), publisher, refusals, lease)
    assert [each.proven_seconds for each in abilities.states()] == [None, 2.0, 3.0]
    abilities.reads_through(reader)
    assert abilities.states()[0].proven_seconds == 1.4
    assert abilities.problem == ""
    reader.problem, publisher.problem, lease.doubt = "no pull", "no space", "no lease"
    assert abilities.problem == "cannot pull: no pull; cannot publish: no space; cannot record: no lease"
    refusals.disabled = "no right"
    assert abilities.problem.endswith("cannot record: no right")
