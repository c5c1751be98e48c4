"""One upload, and the operator killed at every boundary of its work, one after another."""

import pytest

from uploadpp.core.config import Config
from uploadpp.core.states import OnExhausted
from uploadpp.testing.plans import config, step
from uploadpp.testing.simulation import Result, Simulation

SHORT_SECONDS, LONG_SECONDS = 0.5, 300.0
TWO = config(step("virusscan"), step("policies"))
NEVER = 0

CASES: dict[str, tuple[Config, list[str]]] = {
    "two steps pass": (TWO, ["continue", "continue"]),
    "no steps": (config(), []),
    "a step is retried": (TWO, ["retry", "continue", "continue"]),
    "retries are used up": (config(step("virusscan", retries=1)), ["retry", "retry"]),
    "held when used up": (config(step("virusscan", retries=0, policy=OnExhausted.HOLD)), ["retry"]),
    "abort": (TWO, ["continue", "abort"]),
    "delete": (TWO, ["delete"]),
    "a step never answers": (TWO, ["continue", ""]),
    "a step times out once": (config(step("virusscan", timeout=3)), ["", "continue"]),
    "a delay": (config(step("virusscan"), step("delay")), ["continue"]),
}


def run(case: str, crash_at: int, outage: float, *, survives: bool, twice: float = 0.0) -> Result:
    plan, answers = CASES[case]
    sim = Simulation(1, plan)
    sim.world.script = list(answers)
    sim.world.behaviour.twice = twice
    first = sim.start()
    first.machine.crash_at = crash_at
    first.client.survives = survives
    first.machine.on_crash = lambda: sim.restart_after(outage)
    sim.kernel.run_until(1.0)
    sim.world.upload("up-1")
    sim.settle()
    return sim.result()


@pytest.mark.parametrize("case", CASES)
def test_without_a_crash(case: str) -> None:
    result = run(case, NEVER, SHORT_SECONDS, survives=True)
    assert not result.violations, f"{result.violations}\n{result.trace.text()}"
    assert result.boundaries >= 10


@pytest.mark.parametrize("outage", [SHORT_SECONDS, LONG_SECONDS], ids=["short", "long"])
@pytest.mark.parametrize("case", CASES)
def test_killed_at_every_boundary(case: str, outage: float) -> None:
    boundaries = run(case, NEVER, outage, survives=True).boundaries
    for crash_at in range(1, boundaries + 1):
        for survives in (True, False):
            result = run(case, crash_at, outage, survives=survives)
            assert not result.violations, (
                f"{crash_at=} {survives=}: {result.violations}\n{result.trace.text()}"
            )
