"""Uploads that the storage has lost: each ends in bounded time, whatever the storage says or does not say."""

from collections.abc import Callable, Iterator

import pytest

from uploadpp.core.commands import Kind
from uploadpp.core.config import Config
from uploadpp.core.model import Upload
from uploadpp.core.states import Stage
from uploadpp.testing.configs import config, step
from uploadpp.testing.events import resume
from uploadpp.testing.simulation import Simulation

ONE = config(step("virusscan"), ttl=10_000)
NOTHING = config(ttl=10_000)


@pytest.fixture
def sims() -> Iterator[list[Simulation]]:
    """Worlds that are ended after the test, without a broken invariant."""
    made: list[Simulation] = []
    yield made
    for sim in made:
        result = sim.result()
        assert not result.violations, result.report()


def begin(sims: list[Simulation], plan: Config = ONE) -> Simulation:
    sim = Simulation(1, plan)
    sims.append(sim)
    sim.start()
    sim.kernel.run_until(1.0)
    return sim


def upload(sim: Simulation) -> Upload:
    return sim.checks.read(sim.server.resources["up-1"])


def test_an_upload_that_its_storage_dropped_ends_as_gone(sims: list[Simulation]) -> None:
    sim = begin(sims)
    sim.world.script = ["continue"]
    sim.world.upload("up-1")
    sim.world.forget("up-1")
    sim.kernel.run_until(60.0)
    assert upload(sim).stage is Stage.GONE
    sent = len(sim.journal.marks(Kind.FINISH, "up-1"))
    sim.kernel.run_until(400.0)
    assert len(sim.journal.marks(Kind.FINISH, "up-1")) == sent


def test_a_step_without_a_file_is_told_at_the_first_404(sims: list[Simulation]) -> None:
    sim = begin(sims, config(step("virusscan", retries=500), ttl=10_000))
    sim.world.behaviour.outcomes = {"retry": 1.0}
    sim.world.upload("up-1")
    sim.world.forget("up-1")
    sim.kernel.run_until(3.0)
    assert "UploadMissing: the storage does not have the upload: HTTP 404" in sim.trace.text()
    sim.kernel.run_until(20.0)
    assert upload(sim).stage is Stage.GONE


def test_what_cannot_be_asked_ends_in_bounded_time(sims: list[Simulation]) -> None:
    sim = begin(sims, NOTHING)
    sim.world.reachable = False
    sim.world.upload("up-1")
    sim.world.forget("up-1")
    sim.kernel.run_until(60.0)
    assert upload(sim).stage is Stage.AWAITING_READY
    sim.kernel.run_until(120.0)
    assert upload(sim).stage is Stage.UNANSWERED


def test_what_the_storage_has_is_waited_for(sims: list[Simulation]) -> None:
    sim = begin(sims, NOTHING)
    sim.world.behaviour.ready_lost = 1.0
    sim.world.behaviour.release_fails = 1.0  # it keeps the session and says nothing
    sim.world.upload("up-1")
    sim.kernel.run_until(60.0)
    assert (upload(sim).stage, upload(sim).message[:11]) == (Stage.AWAITING_READY, "the storage")
    sim.world.behaviour.ready_lost = sim.world.behaviour.release_fails = 0.0
    sim.journal.publish("ResumePostprocessing", resume("up-1"))
    sim.kernel.run_until(70.0)
    assert upload(sim).stage is Stage.COMPLETED


def test_a_successor_asks_anew(sims: list[Simulation]) -> None:
    sim = begin(sims, NOTHING)
    sim.world.reachable = False
    sim.world.upload("up-1")
    sim.world.forget("up-1")
    sim.kernel.run_until(20.0)
    sim.processes[0].machine.kill()
    sim.world.reachable = True
    sim.restart_after(1.0)
    sim.kernel.run_until(60.0)
    assert upload(sim).stage is Stage.GONE


@pytest.mark.parametrize("seconds", [9.0, 13.0, 25.0])
@pytest.mark.parametrize(
    "trouble", [lambda sim: sim.processes[0].machine.kill(), lambda sim: sim.processes[0].terminate()]
)
def test_a_crash_while_it_is_asked_changes_nothing(
    sims: list[Simulation], trouble: Callable[[Simulation], None], seconds: float
) -> None:
    sim = begin(sims, NOTHING)
    sim.world.upload("up-1")
    sim.world.forget("up-1")
    sim.kernel.run_until(seconds)
    trouble(sim)
    sim.restart_after(1.0)
    sim.settle()
    assert upload(sim).stage is Stage.GONE


@pytest.mark.parametrize("answers", [(404, 404, 200), (404, 404, None), (404, 404, 503), (404, 404, 403)])
def test_only_absence_in_a_row_counts(sims: list[Simulation], answers: tuple[int | None, ...]) -> None:
    sim = begin(sims, NOTHING)
    asked: list[str] = []

    async def ask(url: str) -> int | None:
        asked.append(url)
        return answers[(len(asked) - 1) % len(answers)]

    sim.processes[0].terminate()
    process = sim.start()
    process.ask = ask
    sim.world.upload("up-1")
    sim.world.forget("up-1")
    sim.kernel.run_until(60.0)
    assert len(asked) > len(answers)
    assert upload(sim).stage is Stage.AWAITING_READY
    sim.settle()
    assert upload(sim).stage is Stage.UNANSWERED
