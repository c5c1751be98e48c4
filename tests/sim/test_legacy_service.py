"""The legacy service has driven the same stream: before us, between two periods of ours, or beside us."""

from random import Random

import pytest

from uploadpp.core.naming import resource_name
from uploadpp.core.states import Stage
from uploadpp.testing.configs import config, step
from uploadpp.testing.legacy_service import FakeLegacyService
from uploadpp.testing.services import Behaviour
from uploadpp.testing.simulation import Simulation
from uploadpp.testing.stream import Consumer
from uploadpp.testing.stream_recorder import Record
from uploadpp.testing.trace import logged_in
from uploadpp.wire.legacy_consumers import LegacyConsumer, Policy
from uploadpp.wire.stream import LEGACY_DURABLES

RUNS = 25
PLANS = (
    config(step("virusscan"), step("policies")),
    config(step("virusscan"), ttl=100),
    config(step("virusscan"), step("delay"), ttl=5),
    config(),
)
UPLOADS = 6
WORDS = {"continue": 8.0, "retry": 3.0, "abort": 2.0, "delete": 1.0, "": 1.0}


LOOKS = Policy(consumer=LegacyConsumer.KEEP)
NOTICED_SECONDS = 3.0
"""Within so many seconds the operator has noticed the legacy service, whatever else it waits for."""


class Handover:
    """One world with both."""

    def __init__(self, seed: int, words: dict[str, float]) -> None:
        random = Random(seed)  # noqa: S311 -- a game of dice, not a secret
        self.sim = Simulation(seed, random.choice(PLANS))
        self.random = random
        self.sim.world.behaviour = Behaviour(
            outcomes=words,
            twice=random.choice([0.0, 0.3]),
            late=random.choice([0.0, 0.2]),
            release_fails=random.choice([0.0, 0.2]),
        )
        self.old = FakeLegacyService(self.sim.kernel, self.sim.journal, self.sim.config)
        self.over: set[str] = set()

    def uploads(self, first: int, seconds: float) -> None:
        """Some files are uploaded during the next seconds."""
        for number in range(first, first + UPLOADS):
            moment = self.random.uniform(0, seconds)
            self.sim.kernel.after(moment, self.sim.world.upload, f"up-{number}")

    def passes(self, seconds: float) -> None:
        self.sim.kernel.run_until(self.sim.kernel.now + seconds)

    def take_over(self) -> None:
        """The legacy service ends, ours begins, and perhaps dies at once."""
        self.old.stop()
        sim = self.sim
        self.over |= {s.id for s in sim.world.sessions.values() if s.released or not s.open}
        self.over |= {r.upload for r in sim.journal.of_type("PostprocessingFinished")}
        self.before = len(sim.journal.records)
        process = sim.start()
        if self.random.random() < 0.5:
            process.machine.crash_at = self.random.randint(1, 40)
            process.machine.on_crash = lambda: sim.restart_after(self.random.choice([0.2, 30.0]))

    def comes_back(self) -> Consumer:
        """The legacy service is started again beside us, and begins with new events."""
        place = self.sim.stream.add_consumer(LEGACY_DURABLES[0], self.sim.stream.last + 1)
        place.bound = self.old.running = True
        return place

    def ours(self) -> list[Record]:
        """What we have published since."""
        return [record for record in self.sim.journal.records[self.before :] if record.mark is not None]

    def check(self) -> None:
        self.sim.settle()
        result = self.sim.result()
        assert not result.violations, result.report()
        for record in self.ours():
            again = record.type == "PostprocessingFinished" and record.payload["Outcome"] != "abort"
            if record.upload in self.over and not again:
                raise AssertionError(f"{record.text()} of an upload that is over\n{result.report()}")
        for session in self.sim.world.sessions.values():
            assert not session.destroyed, f"{session.id}\n{result.report()}"
            resource = self.sim.server.resources.get(resource_name(session.id))
            if resource is not None:
                stage = self.sim.checks.read(resource).stage
                assert (stage is Stage.COMPLETED) <= session.released, result.report()


@pytest.mark.parametrize("first", range(0, 4 * RUNS, RUNS))
def test_before_us(first: int) -> None:
    for seed in range(first, first + RUNS):
        world = Handover(seed, WORDS)
        with logged_in(world.sim.trace):
            world.old.running = True
            world.uploads(0, 6.0)
            world.passes(world.random.uniform(0.5, 20.0))
            world.take_over()
            world.check()


@pytest.mark.parametrize("first", range(0, 4 * RUNS, RUNS))
def test_between_two_periods_of_ours(first: int) -> None:
    for seed in range(first, first + RUNS):
        world = Handover(seed, WORDS)
        with logged_in(world.sim.trace):
            process = world.sim.start()
            world.uploads(0, 6.0)
            world.passes(world.random.uniform(0.5, 10.0))
            process.terminate()
            world.passes(1.0)
            process.machine.kill()
            world.old.running = True
            world.uploads(UPLOADS, 6.0)
            world.passes(world.random.uniform(1.0, 60.0))
            world.take_over()
            world.check()


@pytest.mark.parametrize("first", range(0, 2 * RUNS, RUNS))
def test_beside_us(first: int) -> None:
    """Both hear each answer, so a verdict is carried out twice; all else must come out right."""
    for seed in range(first, first + RUNS):
        world = Handover(seed, {"continue": 8.0, "": 1.0})
        with logged_in(world.sim.trace):
            world.sim.start()
            world.old.running = True
            world.uploads(0, 6.0)
            world.passes(world.random.uniform(0.5, 10.0))
            world.take_over()
            world.over.clear()
            world.check()


@pytest.mark.parametrize("first", range(0, 2 * RUNS, RUNS))
def test_it_comes_back_while_we_work_and_goes_again(first: int) -> None:
    """We hold meanwhile, perhaps die while we do, and all comes right from what the log says."""
    for seed in range(first, first + RUNS):
        world = Handover(seed, {"continue": 8.0, "": 1.0})
        with logged_in(world.sim.trace):
            process = world.sim.start()
            process.legacy_policy = LOOKS
            world.uploads(0, 6.0)
            world.passes(world.random.uniform(0.5, 10.0))
            place = world.comes_back()
            world.uploads(UPLOADS, 6.0)
            world.passes(NOTICED_SECONDS)
            world.before = len(world.sim.journal.records)
            world.passes(world.random.uniform(0.5, 20.0))
            if world.random.random() < 0.3:
                process.machine.kill()
                world.sim.start().legacy_policy = LOOKS
                world.passes(5.0)
            assert not world.ours(), "published while the legacy service runs"
            world.old.stop()
            del world.sim.stream.consumers[place.name]
            world.check()
