"""Two resources name one upload: the one that does not count never begins, whatever becomes of the other."""

import pytest

from uploadpp.api import API_VERSION, KIND
from uploadpp.core.commands import Kind
from uploadpp.core.naming import VOID_ANNOTATION
from uploadpp.testing.apiclient import ApiFaults
from uploadpp.testing.configs import config, step
from uploadpp.testing.simulation import Simulation
from uploadpp.testing.user_actions import PERSON


def make(sim: Simulation, **spec: object) -> None:
    """A person makes a resource of another name for the upload."""
    metadata: dict[str, object] = {"name": "mine", "namespace": "uploads", "labels": {}}
    made = {"apiVersion": API_VERSION, "kind": KIND, "metadata": metadata}
    sim.server.create(PERSON, {**made, "spec": {"upload": {"id": "up-1"}, **spec}})
    sim.doings.tokens["up-1"] += 1


def ended_once(sim: Simulation) -> None:
    """The upload was aborted once, and its resource is gone: the other one is still there, and says why."""
    sim.settle()
    result = sim.result()
    assert not result.violations, result.report()
    aborts = [mark for mark in sim.journal.marks(Kind.FINISH, "up-1") if mark.detail == "abort"]
    assert len(aborts) == 1, result.report()
    assert list(sim.server.resources) == ["mine"], result.report()
    annotations = sim.server.resources["mine"]["metadata"]["annotations"]
    assert "up-1" in annotations[VOID_ANNOTATION], result.report()
    assert "event on mine: LeftAlone" in result.trace.text(), result.report()


@pytest.mark.parametrize("crash_at", range(16))
@pytest.mark.parametrize("state", ["Active", "Suspended"])
def test_one_that_was_there_before_the_announcement_never_begins_again(crash_at: int, state: str) -> None:
    """It came alive after a restart, asked the storage, and a second abort destroyed the bytes."""
    sim = Simulation(2, config(step("virusscan"), ttl=10))
    process = sim.start()
    sim.kernel.run_until(1.0)
    sim.world.script = ["abort"] * 9
    make(sim, desiredState=state)
    sim.kernel.run_until(2.0)
    process.machine.crash_at = process.machine.boundaries + crash_at if crash_at else None
    process.machine.on_crash = lambda: sim.restart_after(1)
    sim.world.upload("up-1")
    sim.disturb(200)
    sim.kernel.run_until(100.0)
    sim.server.edit(PERSON, "mine", desiredState="Active")
    sim.doings.edited.add("up-1")
    sim.kernel.run_until(110.0)
    sim.running[0].machine.kill()
    sim.start()
    ended_once(sim)


@pytest.mark.parametrize("crash_at", range(8))
@pytest.mark.parametrize("refused", [False, True])
def test_one_that_was_made_after_the_end_never_begins(crash_at: int, *, refused: bool) -> None:
    """It began by itself once the resource of the upload was removed; `refused`: nothing can be written."""
    sim = Simulation(2, config(step("virusscan"), ttl=60))
    process = sim.start(faults := ApiFaults())
    sim.kernel.run_until(1.0)
    sim.world.script = ["abort"] * 9
    sim.world.upload("up-1")
    sim.kernel.run_until(20.0)
    process.machine.crash_at = process.machine.boundaries + crash_at if crash_at else None
    process.machine.on_crash = lambda: sim.restart_after(1)
    if refused:
        faults.refused = "PATCH"
        sim.kernel.after(100.0, setattr, faults, "refused", "")
    make(sim)
    sim.disturb(300)
    sim.kernel.run_until(110.0)
    if refused and process.machine.alive:
        assert set(sim.server.resources) == {"up-1", "mine"}, "kept until the other one is marked"
    sim.kernel.run_until(250.0)
    sim.running[0].machine.kill()
    sim.start()
    ended_once(sim)


@pytest.mark.parametrize("deleted", [0.0, 0.002, 0.01, 0.1, 2.0])
@pytest.mark.parametrize("refused", [False, True])
@pytest.mark.parametrize("state", ["Active", "Suspended"])
def test_one_never_begins_when_a_person_deletes_the_other(
    deleted: float, state: str, *, refused: bool
) -> None:
    """Also before it is marked. The upload was aborted; `refused`: the mark cannot be written for long."""

    def delete() -> None:
        sim.server.delete(PERSON, "up-1")
        sim.doings.deleted.add("up-1")
        sim.server.edit(PERSON, "mine", desiredState="Active")
        sim.doings.edited.add("up-1")

    sim = Simulation(2, config(step("virusscan"), ttl=3600))
    sim.start(faults := ApiFaults())
    sim.kernel.run_until(1.0)
    sim.world.script = ["abort"] * 9
    sim.world.upload("up-1")
    sim.kernel.run_until(20.0)
    if refused:
        faults.refused = "PATCH"
        sim.kernel.after(100.0, setattr, faults, "refused", "")
    make(sim, desiredState=state)
    sim.kernel.after(deleted, delete)
    sim.disturb(300)
    sim.kernel.run_until(250.0)
    sim.running[0].machine.kill()
    sim.start()
    ended_once(sim)
