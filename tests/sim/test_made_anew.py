"""A person makes a resource anew after its upload was aborted: no second abort, whatever crashes."""

import pytest

from uploadpp.api import API_VERSION, KIND
from uploadpp.core.commands import Kind
from uploadpp.core.naming import VOID_ANNOTATION
from uploadpp.core.states import DesiredState
from uploadpp.testing.configs import config, step
from uploadpp.testing.simulation import Simulation
from uploadpp.testing.user_actions import PERSON


def make(sim: Simulation, name: str, **spec: object) -> None:
    """A person makes a resource of the upload, which the storage knows."""
    metadata: dict[str, object] = {"name": name, "namespace": "uploads", "labels": {}}
    made = {"apiVersion": API_VERSION, "kind": KIND, "metadata": metadata}
    sim.server.create(PERSON, {**made, "spec": {"upload": {"id": "up-1"}, **spec}})
    sim.doings.tokens["up-1"] += 1


def begun(ttl: int) -> Simulation:
    sim = Simulation(2, config(step("virusscan"), ttl=ttl))
    sim.start()
    sim.kernel.run_until(1.0)
    sim.world.script = ["abort"] * 9
    sim.world.know("up-1")
    return sim


def aborted_once(sim: Simulation) -> None:
    """The upload was aborted once, whatever has happened since."""
    sim.settle()
    result = sim.result()
    assert not result.violations, result.report()
    aborts = [mark for mark in sim.journal.marks(Kind.FINISH, "up-1") if mark.detail == "abort"]
    assert len(aborts) == 1, result.report()


def tear(sim: Simulation, crash_at: int) -> None:
    """Crash the operator at a boundary from here on; 0 is for never."""
    machine = sim.running[0].machine
    machine.crash_at = machine.boundaries + crash_at if crash_at else None
    machine.on_crash = lambda: sim.restart_after(1)


@pytest.mark.parametrize("crash_at", range(10))
@pytest.mark.parametrize("desired", [DesiredState.ACTIVE, DesiredState.SUSPENDED, DesiredState.CANCELLED])
def test_after_its_time_to_live(crash_at: int, desired: DesiredState) -> None:
    sim = begun(ttl=10)
    make(sim, "up-1")
    sim.kernel.run_until(100.0)
    assert not sim.server.resources
    tear(sim, crash_at)
    make(sim, "up-1", desiredState=desired.value)
    sim.disturb(60)
    sim.kernel.run_until(150.0)
    sim.running[0].machine.kill()
    sim.start()
    aborted_once(sim)
    said = sim.server.resources["up-1"]["status"]["message"] if sim.server.resources else ""
    assert ("PostprocessingFinished(abort) is in the log" in said) is (desired is not DesiredState.CANCELLED)


@pytest.mark.parametrize("crash_at", range(10))
def test_one_that_was_cancelled_and_is_put_back(crash_at: int) -> None:
    """Before it had a URL, so nothing was sealed."""
    sim = begun(ttl=3600)
    make(sim, "up-1", desiredState="Cancelled")
    sim.kernel.run_until(50.0)
    sim.server.delete(PERSON, "up-1")
    sim.kernel.run_until(60.0)
    tear(sim, crash_at)
    make(sim, "up-1", desiredState="Cancelled")
    sim.disturb(60)
    aborted_once(sim)


@pytest.mark.parametrize("crash_at", range(10))
def test_one_with_the_name_of_an_upload_that_has_ended_in_another(crash_at: int) -> None:
    sim = begun(ttl=200)
    make(sim, "mine", desiredState="Cancelled")
    sim.kernel.run_until(50.0)
    tear(sim, crash_at)
    make(sim, "up-1", desiredState="Cancelled")
    sim.disturb(60)
    sim.kernel.run_until(100.0)
    assert VOID_ANNOTATION in sim.server.resources["up-1"]["metadata"]["annotations"], sim.trace.text()
    sim.disturb(400)
    sim.kernel.run_until(500.0)
    assert list(sim.server.resources) == ["up-1"]
    sim.running[0].machine.kill()
    sim.start()
    aborted_once(sim)
