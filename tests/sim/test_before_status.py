"""The operator is killed between the creation of a resource and its first status."""

import pytest

from uploadpp.core.commands import Kind
from uploadpp.core.states import Stage
from uploadpp.testing.configs import config, step
from uploadpp.testing.events import upload_ready
from uploadpp.testing.simulation import Result, Simulation
from uploadpp.testing.user_actions import PERSON

CREATED = "after POST /, unanswered"


def kill_once(sim: Simulation, moment: str) -> None:
    """Kill the operator right after a request was carried out; another one starts two seconds later."""
    machine = sim.processes[0].machine
    boundary = machine.boundary

    def kill(what: str) -> None:
        if what == moment and machine.alive:
            machine.crash_at = machine.boundaries + 1
            machine.on_crash = lambda: sim.restart_after(2)
        boundary(what)

    machine.boundary = kill  # type: ignore[method-assign]


@pytest.fixture
def sim() -> Simulation:
    """The operator dies at its first creation."""
    sim = Simulation(2, config(step("virusscan"), ttl=3600))
    sim.start()
    sim.kernel.run_until(1.0)
    kill_once(sim, CREATED)
    return sim


def untold(sim: Simulation, stage: Stage = Stage.HELD) -> Result:
    """What it comes to: this stage, and nothing is published about it."""
    sim.settle()
    result = sim.result()
    assert "KILLED" in result.trace.text()
    assert not result.violations, result.report()
    assert sim.checks.read(sim.server.resources["up-1"]).stage is stage, result.report()
    assert not sim.journal.marks(Kind.START, "up-1")
    assert not sim.journal.marks(Kind.FINISH, "up-1")
    return result


def announce_again(sim: Simulation) -> None:
    """The storage announces an upload whose history nobody knows; it was aborted once."""
    sim.world.know("up-1")
    sim.world.sessions["up-1"].node = False
    sim.world.announce("up-1")


def test_what_is_announced_again_is_held(sim: Simulation) -> None:
    announce_again(sim)
    untold(sim)


def test_what_is_announced_again_and_cancelled_ends_without_a_word(sim: Simulation) -> None:
    """An abort of what was aborted before destroys its bytes."""

    def cancel() -> None:
        sim.server.edit(PERSON, "up-1", desiredState="Cancelled")
        sim.doings.edited.add("up-1")

    announce_again(sim)
    sim.kernel.after(1.5, cancel)
    untold(sim, Stage.CANCELLED)


def test_a_failure_that_came_before_the_announcement_counts(sim: Simulation) -> None:
    sim.journal.publish("UploadReady", upload_ready("up-1", failed=True))
    sim.world.upload("up-1")
    assert "reported this upload as failed before" in untold(sim).trace.text()


@pytest.mark.parametrize("event", ["ResumePostprocessing", "CleanUpload"])
def test_what_came_before_the_announcement_does_not_begin_it(sim: Simulation, event: str) -> None:
    sim.journal.publish(event, {"UploadID": "up-1", "Step": ""})
    announce_again(sim)
    untold(sim)
