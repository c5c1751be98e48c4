"""What anybody with `edit` writes into resources, told by what goes out on the stream."""

import pytest

from uploadpp.api import API_VERSION, KIND
from uploadpp.core.commands import Kind
from uploadpp.testing.configs import config, step
from uploadpp.testing.simulation import Result, Simulation
from uploadpp.testing.user_actions import PERSON


def test_s5_what_was_sealed_for_one_upload_is_never_announced_for_another() -> None:
    sim = Simulation(1, config(step("virusscan"), step("policies"), ttl=3600))
    sim.world.script = ["", ""]  # nobody answers: both are in virusscan
    process = sim.start()
    sim.kernel.run_until(1.0)
    for upload in ("up-1", "up-2"):
        sim.world.upload(upload)
    sim.kernel.run_until(15.0)  # the Lease notes that their announcements need not be read again
    process.machine.kill()
    stolen = sim.server.resources["up-1"]["spec"]["sealed"]
    sim.server.edit(PERSON, "up-2", sealed=stolen, restart={"token": "again"})
    sim.start()
    sim.kernel.run_until(60.0)
    sim.server.delete(PERSON, "up-2")
    sim.result()  # ends all
    assert "/data/up-1" not in str([r.payload for r in sim.journal.of("StartPostprocessingStep", "up-2")])
    assert len(sim.journal.marks(Kind.START, "up-2")) == 1, "left alone: it does not start again"
    assert "event on up-2: LeftAlone: spec.sealed was sealed for another upload" in sim.trace.text()
    assert "event on up-1: LeftAlone" not in sim.trace.text()


def test_a_sealed_part_that_somebody_overwrites_is_restored_by_the_owner() -> None:
    """Here with an earlier one of the same upload, whose URL does not lead anywhere any more."""
    sim = Simulation(1, config(step("virusscan"), step("policies"), ttl=3600))
    sim.world.script = ["", "continue", "continue"]  # nobody answers the first time
    process = sim.start()
    sim.kernel.run_until(1.0)
    sim.world.upload("up-1")
    sim.kernel.run_until(15.0)
    sealed = sim.server.resources["up-1"]["spec"]["sealed"]
    sim.server.edit(PERSON, "up-1", sealed=sealed.replace("/data/up-1-1", "/data/up-1-0"))
    sim.kernel.run_until(20.0)
    assert sim.server.resources["up-1"]["spec"]["sealed"] == sealed
    process.machine.kill()
    sim.start()
    sim.kernel.run_until(60.0)
    sim.doings.tokens["up-1"] += 1
    sim.server.edit(PERSON, "up-1", restart={"token": "t", "mode": "Resume"})
    sim.settle()
    result = sim.result()
    assert not result.violations, result.report()
    assert result.trace.text().count("event on up-1: SealedOverwritten") == 1
    assert "/data/up-1-0" not in str([r.payload for r in sim.journal.of("StartPostprocessingStep", "up-1")])
    assert len(sim.journal.marks(Kind.FINISH, "up-1")) == 1, result.report()


VICTIM = "up-1"


def ahead(name: str, crash_at: int | None = None, **spec: object) -> tuple[Simulation, Result]:
    """A resource with steps of its own, made before the storage announces the upload that it names."""
    sim = Simulation(1, config(step("virusscan"), step("policies"), ttl=3600))
    process = sim.start()
    sim.kernel.run_until(1.0)
    resource = {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "metadata": {"name": name, "namespace": "uploads", "labels": {}},
        "spec": {"upload": {"id": VICTIM}, **spec},
    }
    sim.server.create(PERSON, resource)
    sim.doings.again.add(VICTIM)
    sim.doings.tokens[VICTIM] += 1
    sim.kernel.run_until(3.0)
    process.machine.crash_at = process.machine.boundaries + crash_at if crash_at else None
    process.machine.on_crash = lambda: sim.restart_after(1)
    sim.world.upload(VICTIM)
    sim.kernel.run_until(30.0)
    if name != VICTIM:
        sim.server.delete(PERSON, name)
    sim.settle()
    return sim, sim.result()


def scanned_before_release(sim: Simulation) -> bool:
    """Whether each PostprocessingFinished after the announcement came after an answer of the scanner."""
    announced = sim.journal.of("BytesReceived", VICTIM)[0].sequence
    answers = [
        r.sequence
        for r in sim.journal.of("PostprocessingStepFinished", VICTIM)
        if r.payload["FinishedStep"] == "virusscan"
    ]
    ends = [r.sequence for r in sim.journal.of("PostprocessingFinished", VICTIM) if r.sequence > announced]
    return bool(answers and ends) and min(answers) < min(ends)


@pytest.mark.parametrize("crash_at", [None, *range(1, 12)])
@pytest.mark.parametrize("name", [VICTIM, "aaa-twin"])
@pytest.mark.parametrize("steps", [[], [{"name": "policies"}]], ids=["none", "other"])
def test_s9_a_resource_made_ahead_of_the_announcement_releases_nothing(
    name: str, steps: list[dict[str, str]], crash_at: int | None
) -> None:
    sim, result = ahead(name, crash_at, steps=steps)
    assert scanned_before_release(sim), result.report()
    announced = sim.journal.of("BytesReceived", VICTIM)[0].sequence
    assert all(end.sequence > announced for end in sim.journal.of("PostprocessingFinished", VICTIM))
    assert not result.violations, result.report()
    upload = sim.checks.read(sim.server.resources[VICTIM])
    assert [plan.name for plan in upload.plan] == ["virusscan", "policies"]
    assert ("AlreadyBegun" if name == VICTIM else "LeftAlone") in result.trace.text() or crash_at


def test_s9_steps_of_ones_own_run_when_we_have_asked_the_storage() -> None:
    """What people make resources for: the storage answers our RestartPostprocessing."""
    sim = Simulation(1, config(step("virusscan"), step("policies"), ttl=3600))
    sim.start()
    sim.world.know(VICTIM)
    sim.kernel.run_until(1.0)
    resource = {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "metadata": {"name": VICTIM, "namespace": "uploads", "labels": {}},
        "spec": {"upload": {"id": VICTIM}, "steps": [{"name": "policies"}]},
    }
    sim.server.create(PERSON, resource)
    sim.doings.tokens[VICTIM] += 1
    sim.settle()
    result = sim.result()
    assert not result.violations, result.report()
    assert [mark.detail for mark in sim.journal.marks(Kind.START, VICTIM)] == ["policies"]
    assert len(sim.journal.of("BytesReceived", VICTIM)) == 1
