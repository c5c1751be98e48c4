"""A person makes a resource anew after its upload was aborted: no second abort, whatever crashes."""

import asyncio
from collections.abc import Collection, Mapping

import pytest

from uploadpp.api import API_VERSION, KIND
from uploadpp.core.commands import Kind
from uploadpp.core.model import Origin
from uploadpp.core.naming import VOID_ANNOTATION
from uploadpp.core.states import DesiredState, Outcome
from uploadpp.testing.configs import config, step
from uploadpp.testing.operator_process import OperatorProcess, PlainSeals
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


class SlowLog:
    """A log that takes so long to read."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.seconds = 0.0
        read = OperatorProcess._read_ends

        async def slowly(process: OperatorProcess, upload_ids: Collection[str]) -> Mapping[str, Outcome]:
            await asyncio.sleep(self.seconds)
            return await read(process, upload_ids)

        monkeypatch.setattr(OperatorProcess, "_read_ends", slowly)


@pytest.mark.parametrize("crash_at", range(10))
@pytest.mark.parametrize("by_hand", [True, False])
def test_nothing_of_it_is_recorded_before_the_log_has_answered(
    crash_at: int, *, by_hand: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody adds a sealed part; recorded and sealed, the next owner took it for one that may begin."""
    slow = SlowLog(monkeypatch)
    sim = begun(ttl=10)
    make(sim, "up-1")
    sim.kernel.run_until(100.0)
    slow.seconds = 20.0
    make(sim, "up-1", desiredState="Cancelled")
    sim.kernel.run_until(103.0)
    tear(sim, crash_at)
    sim.server.edit(PERSON, "up-1", sealed=PlainSeals().seal(Origin(url='"u"', by_hand=by_hand), "up-1", {}))
    sim.kernel.run_until(110.0)
    assert "status" not in sim.server.resources["up-1"], sim.trace.text()
    sim.running[0].machine.kill()
    sim.start()
    sim.disturb(60)
    aborted_once(sim)


@pytest.mark.parametrize("lost", [1, 3, 8])
@pytest.mark.parametrize("late", [0.0, 1.5, 3.0])
def test_one_whose_end_is_still_to_be_published(lost: int, late: float) -> None:
    """The stream has no leader for so long: then the log can be read before the end is in it."""
    sim = begun(ttl=3600)
    sim.world.script = [""] * 9
    make(sim, "up-1")
    sim.kernel.run_until(50.0)
    client = sim.running[0].client
    store = client._store

    def led(payload: bytes, event_id: str, reply: str) -> None:
        if sim.kernel.now >= 50.0 + lost:
            store(payload, event_id, reply)

    client._store = led  # type: ignore[method-assign]
    sim.server.edit(PERSON, "up-1", desiredState="Cancelled")
    sim.kernel.run_until(50.1)
    sim.server.delete(PERSON, "up-1")
    sim.kernel.run_until(50.2 + late)
    make(sim, "up-1", desiredState="Cancelled")
    sim.disturb(60)
    aborted_once(sim)
