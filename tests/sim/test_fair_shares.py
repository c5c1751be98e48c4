"""Shares of a step with one slot: nobody waits for longer than stated, whatever happens to the operator."""

from itertools import count

import pytest

from uploadpp.core.evolve import evolve
from uploadpp.core.shares import Share, SharePolicy
from uploadpp.core.slots import Slots
from uploadpp.testing.configs import any_shares, config, step
from uploadpp.testing.invariants import Invariant
from uploadpp.testing.scenarios import SHORT_SECONDS, tear
from uploadpp.testing.simulation import Result, Simulation
from uploadpp.testing.trace import logged_in

UPLOADS = 12
PLAN = config(step("virusscan"), places={"virusscan": 1}, ttl=100)
POLICIES = [SharePolicy(), SharePolicy(weights={"mary": 5}), SharePolicy(small_first=2)]


def crowded(policy: SharePolicy, *, crash_at: int = 0) -> Result:
    """Uploads of two users, of different sizes, at a step with one slot."""
    sim = Simulation(2, evolve(PLAN, shares=policy))
    sim.world.sizes = (9, 9, 2, 3, 5)
    with logged_in(sim.trace):
        tear(sim, sim.start().machine, crash_at=crash_at, pause_at=0, down=SHORT_SECONDS, nap=0)
        sim.kernel.run_until(1.0)
        for number in range(UPLOADS):
            sim.kernel.after(number * 0.002, sim.world.upload, f"up-{number}")
        sim.settle()
    return sim.result()


@pytest.mark.parametrize("policy", POLICIES, ids=["equal", "weights", "small first"])
@pytest.mark.parametrize("crash_at", [0, 15, 40])
def test_nobody_waits_for_longer_than_stated(policy: SharePolicy, crash_at: int) -> None:
    result = crowded(policy, crash_at=crash_at)
    assert not result.violations, result.report()
    assert "Queued" in result.trace.text()


def test_the_invariant_breaks_when_one_user_is_always_first(monkeypatch: pytest.MonkeyPatch) -> None:
    numbers = count()

    def mary_first(_: object, share: Share) -> tuple[int, int]:
        return 0 if share.owner == "mary" else 1 << 80, next(numbers)

    monkeypatch.setattr(Slots, "_turn", mary_first)
    assert Invariant.WAIT_BOUNDED in {each.invariant for each in crowded(SharePolicy()).violations}


def test_some_worlds_have_weights_and_some_have_not() -> None:
    policies = [any_shares(seed) for seed in range(40)]
    assert SharePolicy() in policies
    assert {policy.small_first for policy in policies} == {0, 1, 3}
    assert any(policy.weights for policy in policies)
