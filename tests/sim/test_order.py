"""Several uploads of one file: released as they arrived, whatever happens to the operator meanwhile."""

from collections.abc import Callable

import pytest

from uploadpp.core.commands import Kind
from uploadpp.core.config import Config
from uploadpp.core.inputs import Foremost
from uploadpp.core.states import DesiredState, Outcome, Stage
from uploadpp.pipeline.file_order import FileLines
from uploadpp.pipeline.tracked_upload import TrackedUpload
from uploadpp.testing.configs import config, step
from uploadpp.testing.invariants import Invariant
from uploadpp.testing.scenarios import NAP_SECONDS, SHORT_SECONDS, tear
from uploadpp.testing.simulation import Simulation
from uploadpp.testing.trace import logged_in

UPLOADS = ("up-1", "up-2", "up-3")
PLAN = config(step("virusscan"), ttl=100)
LONGER = config(step("delay"), step("virusscan"), ttl=100)
"""All uploads are in the delay for the first two seconds."""
NO_STEPS = config(ttl=100)
ANSWERS = ("retry", "continue", "continue", "retry", "continue")
"""Whichever has to try again, others are ready sooner."""


def one_file(
    *,
    seed: int = 1,
    crash_at: int = 0,
    pause_at: int = 0,
    plan: Config = PLAN,
    then: Callable[[Simulation], None] | None = None,
) -> Simulation:
    """Three uploads of one file, and a fault."""
    sim = Simulation(seed, plan)
    sim.world.script = list(ANSWERS)
    with logged_in(sim.trace):
        machine = sim.start().machine
        tear(sim, machine, crash_at=crash_at, pause_at=pause_at, down=SHORT_SECONDS, nap=NAP_SECONDS)
        sim.kernel.run_until(1.0)
        for upload in UPLOADS:
            sim.world.upload(upload, file="shared")
        if then is not None:
            then(sim)
        sim.settle()
    return sim


def released(sim: Simulation) -> list[str]:
    """The uploads in the order in which the storage was told to release them."""
    marks = (record for record in sim.journal.records if record.mark and record.mark.kind is Kind.FINISH)
    return list(dict.fromkeys(r.upload for r in marks if r.mark and r.mark.detail == Outcome.CONTINUE))


def fails(sim: Simulation) -> str:
    """Why a run is wrong; empty when it is not."""
    result = sim.result()
    wrong = bool(result.violations) or released(sim) != list(UPLOADS)
    return f"released {released(sim)}\n{result.report()}" if wrong else ""


def test_those_that_are_ready_sooner_wait() -> None:
    told = []
    for seed in range(1, 6):  # which step answers first is chance
        sim = one_file(seed=seed)
        assert not (text := fails(sim)), text
        told.append(sim.trace.text())
    assert any("AwaitingTurn" in text for text in told)


@pytest.mark.parametrize("plan", [PLAN, NO_STEPS], ids=["steps", "no steps"])
def test_killed_at_every_boundary(plan: Config) -> None:
    for at in range(1, one_file(plan=plan).result().boundaries + 1):
        assert not (text := fails(one_file(crash_at=at, plan=plan))), f"killed at {at}: {text}"


def test_paused_at_every_boundary() -> None:
    for at in range(1, one_file().result().boundaries + 1):
        assert not (text := fails(one_file(pause_at=at))), f"paused at {at}: {text}"


def _wanted(sim: Simulation, upload: str, desired: DesiredState) -> None:
    sim.server.edit("person", upload, desiredState=desired.value)
    sim.doings.edited.add(upload)


def test_a_suspended_upload_is_waited_for_no_longer_than_it_may() -> None:
    def suspended(sim: Simulation) -> None:
        sim.kernel.after(0.5, _wanted, sim, "up-1", DesiredState.SUSPENDED)

    sim = one_file(then=suspended, plan=LONGER)
    result = sim.result()
    assert not result.violations, result.report()
    assert released(sim) == ["up-2", "up-3"]
    assert "ReleasedOutOfOrder: upload up-1 of the same file arrived earlier" in result.trace.text()
    told = {r.upload: r.at for r in sim.journal.records if r.mark and r.mark.kind is Kind.FINISH}
    assert told["up-2"] - 1 >= PLAN.order_timeout / 1000 - 60


def test_whoever_ends_is_waited_for_no_longer() -> None:
    """The first is cancelled; the second is deleted, and the third is released at once."""

    def meddled(sim: Simulation) -> None:
        sim.kernel.after(0.5, _wanted, sim, "up-1", DesiredState.CANCELLED)
        sim.doings.deleted.add("up-2")
        sim.doings.again.add("up-2")
        sim.kernel.after(0.6, sim.server.delete, "person", "up-2")

    sim = one_file(then=meddled, plan=LONGER)
    result = sim.result()
    assert not result.violations, result.report()
    assert released(sim)[-1] == "up-3"
    assert "ReleasedOutOfOrder" not in result.trace.text()


def test_the_invariant_breaks_when_nobody_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    def at_once(self: FileLines, tracked: TrackedUpload) -> Foremost | None:
        del self
        return Foremost() if tracked.upload.stage is Stage.AWAITING_TURN else None

    monkeypatch.setattr(FileLines, "_place", at_once)
    found = {violation.invariant for violation in one_file().result().violations}
    assert Invariant.RELEASED_IN_ORDER in found


def test_an_upload_that_is_never_told_is_released_after_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FileLines, "settle", lambda _: None)
    sim = one_file()
    result = sim.result()
    assert not result.violations, result.report()
    assert set(released(sim)) == set(UPLOADS)


def test_who_became_the_next_while_no_operator_ran_is_not_out_of_order() -> None:
    """Its time to wait passes meanwhile; then the log shows that the earlier one is gone."""
    sim = Simulation(2, config(step("virusscan"), step("policies"), ttl=1000, order=600))
    sim.world.script = [""]  # the scan of the first upload does not end
    with logged_in(sim.trace):
        process = sim.start()
        sim.kernel.run_until(1.0)
        sim.world.upload("up-1", file="shared")
        sim.kernel.run_until(1.5)
        sim.world.upload("up-2", file="shared")
        sim.kernel.run_until(10.0)
        process.machine.kill()
        sim.kernel.after(5, sim.journal.publish, "CleanUpload", {"UploadID": "up-1"})
        sim.kernel.run_until(700.0)
        sim.start()
        sim.settle()
    assert not sim.result().violations
    assert released(sim) == ["up-2"]
    assert "ReleasedOutOfOrder" not in sim.trace.text()
