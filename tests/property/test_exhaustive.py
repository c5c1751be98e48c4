"""Every order of events, for up to three steps and two retries: no invariant of the core is ever broken."""

from collections import defaultdict
from dataclasses import dataclass, field

import pytest

from tests.property.asked import INVARIANTS, asked_about
from tests.property.explore import Move, moves
from tests.property.invariants import row_of, target_of
from tests.property.scenes import scenes
from uploadpp.core.machine import TABLE
from uploadpp.core.states import Stage

pytestmark = [
    pytest.mark.xdist_group("exhaustive"),
    pytest.mark.timeout(900),  # one search for all tests, a minute and a half of work on an idle machine
]
SHOWN = 3
"""How many counterexamples of one invariant are kept."""


@dataclass
class Findings:
    """What the search has met."""

    broken: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    reached: dict[int, set[Stage]] = field(default_factory=lambda: defaultdict(set))
    moves: int = 0


@pytest.fixture(scope="module")
def findings() -> Findings:
    """One search through all scenes, every invariant tried on every move."""
    found = Findings()
    for scene in scenes():
        for move in moves(scene):
            found.moves += 1
            row, target = row_of(move), target_of(move)
            if row is not None and target is not None:
                found.reached[TABLE.index(row)].add(target)
            for invariant in asked_about(move):
                if (wrong := invariant(move, scene)) and len(found.broken[invariant.__name__]) < SHOWN:
                    found.broken[invariant.__name__].append(f"{scene.name}: {wrong}\n{_tell(move)}")
    return found


def _tell(move: Move) -> str:
    return f"  before: {move.before.upload}\n  event: {move.event}\n  after: {move.decision}"


@pytest.mark.parametrize("invariant", INVARIANTS)
def test_no_move_breaks_the_invariant(invariant: str, findings: Findings) -> None:
    assert findings.broken[invariant] == []


def test_every_target_that_the_table_declares_is_reached(findings: Findings) -> None:
    missing = {
        f"{row.input.__name__}: {row.rule.__name__}": sorted(left)
        for index, row in enumerate(TABLE)
        if (left := row.to - findings.reached[index])
    }
    assert missing == {}


def test_the_search_is_not_empty(findings: Findings) -> None:
    assert findings.moves > 200_000
