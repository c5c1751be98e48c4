"""A person makes a resource for an upload that the storage announces at the same time."""

import pytest

from uploadpp.api import API_VERSION, KIND
from uploadpp.core.commands import Kind
from uploadpp.core.states import Stage
from uploadpp.kube.store import Store
from uploadpp.testing.apiclient import ApiFaults
from uploadpp.testing.configs import config, step
from uploadpp.testing.host import SimulatedHost
from uploadpp.testing.simulation import Result, Simulation
from uploadpp.testing.user_actions import PERSON


def world(
    crash_at: int | None = None, *, answer_lost: bool = False, **spec: object
) -> tuple[Simulation, Result]:
    """The announcement is read before the watch shows what the person has made."""
    sim = Simulation(1, config(step("virusscan"), step("policies"), ttl=3600))
    process = sim.start()
    sim.kernel.run_until(1.0)
    process.faults.watch_late = 1.0
    sim.server.create(PERSON, resource(**spec))
    sim.doings.tokens["up-1"] += 1
    sim.kernel.run_until(1.5)
    process.machine.crash_at = process.machine.boundaries + crash_at if crash_at else None
    process.machine.on_crash = lambda: sim.restart_after(1)
    if answer_lost:
        lose_the_answer_to(sim, process.machine, "after PATCH /up-1, unanswered")
    sim.world.upload("up-1")
    sim.settle()
    return sim, sim.result()


def resource(name: str = "up-1", /, **spec: object) -> dict[str, object]:
    return {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "metadata": {"name": name, "namespace": "uploads", "labels": {}},
        "spec": {"upload": {"id": name}, **spec},
    }


def lose_the_answer_to(sim: Simulation, machine: SimulatedHost, lost: str) -> None:
    """One request is carried out, and nothing is heard of it."""
    boundary, faults = machine.boundary, sim.processes[0].faults

    def lose(what: str) -> None:
        boundary(what)
        faults.unanswered = float(what == lost)

    machine.boundary = lose  # type: ignore[method-assign]


def sealed_url(sim: Simulation) -> str:
    return sim.checks.read(sim.server.resources["up-1"]).origin.url


@pytest.mark.parametrize("crash_at", range(12))
def test_it_runs_as_announced_whenever_the_operator_is_killed(crash_at: int) -> None:
    sim, result = world(crash_at)
    assert not result.violations, result.report()
    starts = [mark.detail for mark in sim.journal.marks(Kind.START, "up-1")]
    noted, killed = (result.trace.text().find(text) for text in ("/up-1: /spec/sealed", "KILLED"))
    # Killed before the announcement is noted in it, the resource is only what a person has made, and begins.
    once = ["virusscan", "policies"]
    assert starts == once or (0 < killed < noted and starts == ["virusscan", *once]), result.report()
    assert sealed_url(sim) == '"https://storage.test/data/up-1-1"', "what the storage said is not lost"


def test_what_the_person_asks_for_counts() -> None:
    sim, result = world(desiredState="Cancelled", cancelPolicy="Delete")
    assert not result.violations, result.report()
    assert sim.checks.read(sim.server.resources["up-1"]).outcome == "delete", result.report()


def test_a_run_that_has_begun_keeps_its_steps() -> None:
    sim, result = world(steps=[{"name": "policies"}])
    assert not result.violations, result.report()
    upload = sim.checks.read(sim.server.resources["up-1"])
    assert [plan.name for plan in upload.plan] == ["virusscan", "policies"]
    assert "AlreadyBegun" in result.trace.text(), result.report()


def test_what_a_person_has_made_is_not_ours_once_we_have_sealed_it(caplog: pytest.LogCaptureFixture) -> None:
    """The answer to that was lost. With a sealed part and no status it looked like ours, and was removed."""
    sim, result = world(answer_lost=True, steps=[{"name": "policies"}])
    assert not result.violations, result.report()
    assert "PATCH /up-1: TimeoutError" in caplog.text
    assert "DELETE /up-1" not in result.trace.text(), result.report()
    upload = sim.checks.read(sim.server.resources["up-1"])
    assert [plan.name for plan in upload.plan] == ["virusscan", "policies"]


def test_the_end_is_not_acknowledged_while_the_resource_of_a_person_cannot_be_claimed() -> None:
    sim = Simulation(1, config(step("virusscan"), ttl=3600))
    process = sim.start(ApiFaults(refused="PATCH"))
    sim.checks.refused.add("PATCH")
    sim.kernel.run_until(1.0)
    process.faults.watch_late = 1.0
    sim.server.create(PERSON, resource())
    sim.world.script = ["abort"]
    sim.world.upload("up-1")
    sim.kernel.run_until(20.0)
    assert len(sim.journal.marks(Kind.FINISH, "up-1")) == 1
    assert max(c.floor for c in sim.stream.consumers.values()) < sim.stream.last, (
        "a restart would find a resource that has not begun"
    )
    process.machine.kill()
    sim.start()
    sim.settle()
    result = sim.result()
    assert not result.violations, result.report()
    assert len(sim.journal.marks(Kind.FINISH, "up-1")) == 1, result.report()


@pytest.mark.parametrize("crash_at", range(1, 14))
def test_an_announcement_overrules_what_has_begun_by_hand_whenever_the_operator_is_killed(
    crash_at: int,
) -> None:
    """The resource is shown before the announcement is read, and waits for the log (seed 630004077)."""
    sim = overruled_while_queued(crash_at)
    assert not sim.result().violations, sim.result().report()
    finished = sim.journal.of("PostprocessingStepFinished", "up-1")
    assert {record.payload["FinishedStep"] for record in finished} == {"virusscan", "policies"}


def overruled_while_queued(crash_at: int, **spec: object) -> Simulation:
    """The operator reads an announcement after its watch has shown a resource of a person, and is killed."""
    sim = Simulation(1, config(step("virusscan"), step("policies"), ttl=3600, places={"policies": 1}))
    process = sim.start()
    sim.kernel.run_until(1.0)
    process.client.disconnect()
    sim.world.upload("up-1")
    sim.kernel.run_until(2.0)
    for name in ("up-0", "up-1"):
        if name not in sim.world.sessions:
            sim.world.know(name)
        sim.server.create(PERSON, resource(name, steps=[{"name": "policies"}], **spec))
        sim.doings.tokens[name] += 1
    sim.kernel.run_until(5.0)
    assert sim.checks.read(sim.server.resources["up-1"]).stage is Stage.PENDING, "NATS cannot be asked"
    process.machine.crash_at = process.machine.boundaries + crash_at
    process.machine.on_crash = lambda: sim.restart_after(1)
    process.client.reconnect()
    sim.settle()
    return sim


@pytest.mark.parametrize("crash_at", range(18, 28))
def test_so_it_does_with_a_url_from_a_secret(monkeypatch: pytest.MonkeyPatch, crash_at: int) -> None:
    """Then the resource is sealed already, as one that a person has made."""

    async def secret(*_: object) -> str:
        return "https://elsewhere.test/data/x"

    monkeypatch.setattr(Store, "secret", secret)
    sim = overruled_while_queued(crash_at, urlSecretRef={"name": "of-a-person"})
    assert not sim.result().violations, sim.result().report()
    upload = sim.checks.read(sim.server.resources["up-1"])
    assert [plan.name for plan in upload.plan] == ["virusscan", "policies"]


@pytest.mark.parametrize("steps", [(), ("virusscan",)])
def test_what_its_resource_asks_for_counts_before_anything_is_published(steps: tuple[str, ...]) -> None:
    sim = Simulation(2, config(*map(step, steps), ttl=3600))
    sim.start()
    sim.kernel.run_until(1.0)
    sim.server.create(PERSON, resource(desiredState="Suspended"))
    sim.doings.tokens["up-1"] += 1
    sim.doings.edited.add("up-1")
    sim.kernel.run_until(2.0)
    sim.world.upload("up-1")
    sim.settle()
    assert not sim.result().violations, sim.result().report()
    assert sim.checks.read(sim.server.resources["up-1"]).stage is Stage.SUSPENDED
    assert not sim.journal.marks(Kind.START, "up-1")
    assert not sim.journal.marks(Kind.FINISH, "up-1")
