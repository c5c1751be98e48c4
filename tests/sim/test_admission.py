"""Steps with few places: never more than fit, nobody waits forever, whatever happens to the operator."""

from collections import Counter

import pytest

from uploadpp.core.commands import Kind
from uploadpp.core.slots import Slots
from uploadpp.pipeline import admission
from uploadpp.testing.configs import config, step
from uploadpp.testing.invariants import Invariant
from uploadpp.testing.scenarios import NAP_SECONDS, SHORT_SECONDS, tear
from uploadpp.testing.simulation import Result, Simulation
from uploadpp.testing.trace import logged_in

UPLOADS = 6
PLAN = config(step("virusscan", timeout=6), step("policies"), places={"virusscan": 1, "policies": 2}, ttl=100)
ANSWERS = ("retry", "continue", "", "continue", "continue", "delete")


def crowded(*, crash_at: int = 0, pause_at: int = 0) -> Simulation:
    """Six uploads of two users at a step with one place; some are retried, one times out."""
    sim = Simulation(1, PLAN)
    sim.world.script = list(ANSWERS)
    with logged_in(sim.trace):
        machine = sim.start().machine
        tear(sim, machine, crash_at=crash_at, pause_at=pause_at, down=SHORT_SECONDS, nap=NAP_SECONDS)
        sim.kernel.run_until(1.0)
        for number in range(UPLOADS):
            sim.world.upload(f"up-{number}")
        sim.settle()
    return sim


def boundaries() -> range:
    """Every place where the operator can be torn apart."""
    return range(1, crowded().result().boundaries + 1)


def test_all_pass_through_one_place() -> None:
    sim = crowded()
    result = sim.result()
    assert not result.violations, result.report()
    assert "Queued" in result.trace.text()
    starts = [r.upload for r in sim.journal.records if r.mark and r.mark.kind is Kind.START]
    assert set(starts) == {f"up-{number}" for number in range(UPLOADS)}


def test_killed_at_every_boundary() -> None:
    for at in boundaries():
        result = crowded(crash_at=at).result()
        assert not result.violations, f"killed at {at}\n{result.report()}"


def test_paused_at_every_boundary() -> None:
    for at in boundaries():
        result = crowded(pause_at=at).result()
        assert not result.violations, f"paused at {at}\n{result.report()}"


def broken(result: Result) -> Counter[Invariant]:
    return Counter(violation.invariant for violation in result.violations)


def test_the_invariant_breaks_when_one_too_many_is_granted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admission, "share_of", lambda limit, _: limit + 1)
    assert broken(crowded().result())[Invariant.SLOTS_KEPT] >= 1


def test_the_invariant_breaks_when_nobody_is_granted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Slots, "grant", lambda _: None)
    assert broken(crowded().result())[Invariant.NO_UPLOAD_LOST] >= 1
