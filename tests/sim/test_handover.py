"""Invariant 2.8: a planned hand-over pauses no upload for more than a second, in virtual time."""

import re
from collections.abc import Callable

import pytest

from uploadpp.testing.configs import config, step
from uploadpp.testing.operator_process import OperatorProcess
from uploadpp.testing.simulation import Simulation
from uploadpp.testing.trace import logged_in

TWO = config(step("virusscan"), step("policies"))
PAUSE_SECONDS = 1.0
EVERY_SECONDS = 0.2
BEGIN, END = 20.0, 35.0


def uploading(sim: Simulation) -> list[str]:
    """Uploads come one after another."""
    ids = [f"up-{number}" for number in range(int((END - BEGIN) / EVERY_SECONDS))]
    for number, upload_id in enumerate(ids):
        sim.kernel.after(BEGIN + number * EVERY_SECONDS - sim.kernel.now, sim.world.upload, upload_id)
    return ids


def waits(sim: Simulation, ids: list[str]) -> dict[str, float]:
    """How long each upload took from its announcement to its release."""
    at: dict[tuple[str, str], float] = {}
    for record in sim.journal.records:
        at.setdefault((record.type, record.upload), record.at)
    return {each: at["PostprocessingFinished", each] - at["BytesReceived", each] for each in ids}


def terminated(first: OperatorProcess, second: OperatorProcess, sim: Simulation) -> None:
    second.faults.slow_lists = 1.0
    sim.kernel.after(3.0, first.terminate)


def one_after_another(first: OperatorProcess, second: OperatorProcess, sim: Simulation) -> None:
    """A rollout."""
    sim.kernel.after(2.0, first.terminate)
    sim.kernel.after(2.5, sim.start)
    sim.kernel.after(6.0, second.terminate)


Event = Callable[[OperatorProcess, OperatorProcess, Simulation], None]


@pytest.mark.parametrize("happens", [terminated, one_after_another])
def test_no_upload_waits_for_a_hand_over(happens: Event) -> None:
    sim = Simulation(1, TWO)
    with logged_in(sim.trace):
        first = sim.start()
        sim.kernel.run_until(2.0)
        second = sim.start()
        second.soon_read = first.soon_read
        ids = uploading(sim)
        sim.kernel.run_until(BEGIN)
        happens(first, second, sim)
        sim.settle()
        result = sim.result()
    assert not result.violations, result.report()
    longest = max(waits(sim, ids).values())
    assert longest < PAUSE_SECONDS, sim.trace.text()
    assert first.stopped


def test_a_replica_that_joins_gets_its_share_and_no_upload_waits() -> None:
    sim = Simulation(1, TWO)
    sim.shards = (3,)
    with logged_in(sim.trace):
        first = sim.start()
        ids = uploading(sim)
        sim.kernel.run_until(BEGIN + 2.0)
        others = [sim.start(), sim.start()]
        for each in others:
            each.soon_read = first.soon_read
        sim.kernel.run_until(BEGIN + 5.0)
        owned = [
            sum(candidate.ownership is not None for candidate in each.candidates) for each in (first, *others)
        ]
        sim.settle()
        result = sim.result()
    assert not result.violations, result.report()
    assert owned == [1, 1, 1], "spread in three seconds"
    moved = re.findall(r"made consumer \S+-e[2-9]", sim.trace.text())
    assert len(moved) == len(others), "no shard moves twice"
    assert max(waits(sim, ids).values()) < PAUSE_SECONDS


@pytest.mark.parametrize("apart", [0.0, 0.4, 1.0])
def test_replicas_that_start_together_have_their_shares_in_three_seconds(apart: float) -> None:
    """Three shards and three replicas, as at an installation and after a power cut. It took up to 20 s."""
    sim = Simulation(1, TWO)
    sim.shards = (3,)
    with logged_in(sim.trace):
        for number in range(3):
            sim.kernel.after(number * apart, sim.start)
        sim.kernel.run_until(2 * apart + 3.0)
        owned = [sum(each.ownership is not None for each in one.candidates) for one in sim.processes]
        assert owned == [1, 1, 1], sim.trace.text()
        sim.settle()
        result = sim.result()
    assert not result.violations, result.report()


def test_alone_everything_is_stored_before_the_end() -> None:
    """As when the release is uninstalled: uploads are driven on, and nothing is left to a successor."""
    sim = Simulation(1, TWO)
    with logged_in(sim.trace):
        first = sim.start()
        ids = uploading(sim)[:10]
        sim.kernel.run_until(BEGIN + 10 * EVERY_SECONDS - 0.01)
        first.terminate()
        sim.kernel.run_until(BEGIN + 10 * EVERY_SECONDS + 0.15)
        for each in ids[:9]:
            assert each in sim.server.resources
        sim.kernel.run_until(BEGIN + 15.0)
        assert first.stopped
