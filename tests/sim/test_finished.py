"""Uploads that are over leave memory, and come back for whatever still concerns them."""

from collections.abc import Callable, Iterator

import pytest

from uploadpp.core.commands import Kind
from uploadpp.pipeline.uploads import Uploads
from uploadpp.resources.finished import FinishedUploads
from uploadpp.testing.apiserver import Json
from uploadpp.testing.configs import config, step
from uploadpp.testing.events import resume, step_finished
from uploadpp.testing.operator_process import OperatorProcess
from uploadpp.testing.simulation import Simulation

UPLOAD = "up-1"
HOUR = 3600


def memory(process: OperatorProcess) -> tuple[Uploads, FinishedUploads]:
    """What a process has in memory, and what it has evicted."""
    assert process.candidate is not None
    assert process.candidate.ownership is not None
    works = process.candidate.ownership._components
    return works.uploads, works.finished


Over = tuple[Simulation, OperatorProcess]


@pytest.fixture
def over() -> Iterator[Over]:
    """An upload that is released, stored and evicted."""
    sim = Simulation(1, config(step("virusscan"), ttl=HOUR))
    process = sim.start()
    sim.kernel.run_until(1.0)
    sim.world.upload(UPLOAD)
    sim.kernel.run_until(30.0)
    in_memory, evict = memory(process)
    assert (len(in_memory), len(evict)) == (0, 1), sim.trace.text()
    yield sim, process
    for each in sim.running:
        each.machine.kill()
    sim.kernel.run_until(sim.kernel.now + 1)


def answer_late(sim: Simulation) -> None:
    """A service answers what was over long ago."""
    payload = step_finished(UPLOAD, "virusscan", "delete")
    sim.journal.publish("PostprocessingStepFinished", payload)


def announce_again(sim: Simulation) -> None:
    """The storage says the same again."""
    sim.world.announce(UPLOAD, fresh=False)


def label(sim: Simulation) -> None:
    """Somebody writes what is not for us."""
    labels = {**sim.server.resources[UPLOAD]["metadata"]["labels"], "team": "blue"}
    sim.server.label("person", UPLOAD, labels)


def check_nothing_came_of_it(sim: Simulation, process: OperatorProcess, before: Json) -> None:
    """The status is what it was, nothing was published, and all is acknowledged."""
    assert sim.server.resources[UPLOAD]["status"] == before
    assert len(sim.journal.marks(Kind.START, UPLOAD)) == len(sim.journal.marks(Kind.FINISH, UPLOAD)) == 1
    assert process.candidate is not None
    assert process.candidate.ownership is not None
    assert process.candidate.ownership.unacknowledged == 0


@pytest.mark.parametrize("happens", [answer_late, announce_again, label])
def test_what_changes_nothing_is_not_written_and_the_upload_is_put_away_again(
    happens: Callable[[Simulation], None], over: Over
) -> None:
    sim, process = over
    before = sim.server.resources[UPLOAD]["status"]
    happens(sim)
    sim.kernel.run_until(40.0)
    in_memory, evict = memory(process)
    assert (len(in_memory), len(evict)) == (0, 1), sim.trace.text()
    check_nothing_came_of_it(sim, process, before)


def test_a_wish_restarts_an_upload_that_was_put_away(over: Over) -> None:
    sim, _ = over
    sim.server.edit("person", UPLOAD, restart={"token": "again", "mode": "ForceRestart"})
    sim.kernel.run_until(60.0)
    assert [mark.run for mark in sim.journal.marks(Kind.START, UPLOAD)] == [1, 2], sim.trace.text()


@pytest.mark.parametrize("whom", [resume("up-2"), resume(step="finished")])
def test_a_resume_releases_what_could_not_be_released(whom: dict[str, str], over: Over) -> None:
    sim, process = over
    sim.world.behaviour.release_fails = 1.0
    sim.world.upload("up-2")
    sim.kernel.run_until(120.0)
    assert sim.server.resources["up-2"]["status"]["outcome"] == "continue"
    assert [len(each) for each in memory(process)] == [0, 2], sim.trace.text()
    sim.world.behaviour.release_fails = 0.0
    sim.journal.publish("ResumePostprocessing", {**whom})
    sim.kernel.run_until(140.0)
    assert sim.world.sessions["up-2"].released, sim.trace.text()
    assert [len(each) for each in memory(process)] == [0, 2], sim.trace.text()


def test_a_deleted_resource_is_forgotten(over: Over) -> None:
    sim, process = over
    sim.server.delete("person", UPLOAD)
    sim.kernel.run_until(40.0)
    assert [len(each) for each in memory(process)] == [0, 0], sim.trace.text()


def test_the_next_owner_does_not_read_what_is_over(over: Over) -> None:
    sim, process = over
    process.machine.kill()
    successor = sim.start()
    sim.kernel.run_until(60.0)
    in_memory, evict = memory(successor)
    assert (len(in_memory), len(evict)) == (0, 1), sim.trace.text()
    answer_late(sim)
    sim.kernel.run_until(70.0)
    assert [len(each) for each in memory(successor)] == [0, 1], sim.trace.text()


def test_messages_wait_while_a_resource_cannot_be_read(over: Over) -> None:
    sim, process = over
    process.faults.away = True
    sim.journal.publish("ResumePostprocessing", resume(UPLOAD))
    sim.kernel.run_until(33.0)
    assert process.candidate is not None
    assert process.candidate.ownership is not None
    assert process.candidate.ownership.unacknowledged == 1, sim.trace.text()
    process.faults.away = False
    sim.kernel.run_until(60.0)
    assert process.candidate.ownership.unacknowledged == 0, sim.trace.text()


# -- where very many are kept that are over, they are not read before the replay -------------------


def take_over_without_reading(sim: Simulation, process: OperatorProcess) -> OperatorProcess:
    """A successor that works before it knows who is over."""
    process.machine.kill()
    successor = sim.start()
    assert successor.soon_read < 0
    successor.faults.slow_lists = 1.0  # so that much happens before all are listed
    return successor


@pytest.mark.parametrize("happens", [answer_late, announce_again, label])
def test_who_is_not_listed_yet_is_asked_for(happens: Callable[[Simulation], None], over: Over) -> None:
    sim, process = over
    before = sim.server.resources[UPLOAD]["status"]
    successor = take_over_without_reading(sim, process)
    happens(sim)  # to be replayed
    sim.kernel.run_until(80.0)  # lists take up to five seconds each
    assert [len(each) for each in memory(successor)] == [0, 1], sim.trace.text()
    assert memory(successor)[1].is_complete
    happens(sim)
    sim.kernel.run_until(110.0)
    check_nothing_came_of_it(sim, successor, before)


def test_a_wish_from_before_the_start_is_found(over: Over) -> None:
    sim, process = over
    process.machine.kill()
    sim.server.edit("person", UPLOAD, restart={"token": "again", "mode": "ForceRestart"})
    sim.start()
    sim.kernel.run_until(90.0)
    assert [mark.run for mark in sim.journal.marks(Kind.START, UPLOAD)] == [1, 2], sim.trace.text()


def test_what_is_new_meanwhile_goes_on_and_is_replayed_exactly(over: Over) -> None:
    """Announced, started and answered before the kill; no status was written."""
    sim, process = over
    process.faults.away = True
    sim.world.upload("up-2")
    sim.kernel.run_until(31.0)
    take_over_without_reading(sim, process)
    sim.world.upload("up-3")
    sim.kernel.run_until(90.0)
    for upload in ("up-2", "up-3"):
        assert len(sim.journal.marks(Kind.START, upload)) == 1, sim.trace.text()
        assert sim.world.sessions[upload].released, sim.trace.text()


def test_one_made_by_hand_is_known_by_its_upload_not_by_its_name(over: Over) -> None:
    sim, process = over
    made = sim.server.resources.pop(UPLOAD)
    meta = {**made["metadata"], "name": "made-by-hand", "labels": {}}
    sim.server.resources["made-by-hand"] = {**made, "metadata": meta}
    successor = take_over_without_reading(sim, process)
    announce_again(sim)
    sim.kernel.run_until(90.0)
    assert [len(each) for each in memory(successor)] == [0, 1], sim.trace.text()
    assert len(sim.journal.marks(Kind.START, UPLOAD)) == 1
    assert list(sim.server.resources) == ["made-by-hand"]


def test_one_that_cannot_be_read_keeps_no_other_from_going_on_and_is_replayed_later(over: Over) -> None:
    """Its events are in the log as well: what they show as published does not go out again."""
    sim, process = over
    sim.configs = (config(step("policies"), step("virusscan"), ttl=HOUR),)  # of the successor
    process.faults.away = True
    sim.world.upload("up-2")
    sim.kernel.run_until(31.0)
    started = len(sim.journal.marks(Kind.START, "up-2"))
    successor = take_over_without_reading(sim, process)
    successor.faults.unreadable = "up-2"
    sim.world.upload("up-3")
    sim.kernel.run_until(300.0)  # the server does not recognise what was published by its id any more
    assert sim.world.sessions["up-3"].released, sim.trace.text()
    assert memory(successor)[0].by_id("up-2") is None
    successor.faults.unreadable = ""
    sim.kernel.run_until(340.0)
    assert sim.world.sessions["up-2"].released, sim.trace.text()
    assert started == len(sim.journal.marks(Kind.START, "up-2")) == 1
    assert len(sim.journal.marks(Kind.FINISH, "up-2")) == 1
    assert len(sim.journal.marks(Kind.START, "up-3")) == 2
    assert sim.server.resources["up-2"]["status"]["outcome"] == "continue"
