"""What the API server refuses: no upload is lost, nothing is done twice (law 2.7)."""

from collections.abc import Iterator
from typing import Any

import pytest

from uploadpp.core.commands import Kind
from uploadpp.testing.apiclient import ApiFaults
from uploadpp.testing.operator_process import OperatorProcess
from uploadpp.testing.plans import config, step
from uploadpp.testing.simulation import Result, Simulation
from uploadpp.testing.trace import logged_in
from uploadpp.testing.worlds import LONG_SECONDS, TWO

REFUSALS = ["POST", "PATCH status", "PATCH", "DELETE"]


@pytest.fixture
def sims() -> Iterator[list[Simulation]]:
    """Worlds that are ended after the test."""
    made: list[Simulation] = []
    yield made
    for sim in made:
        sim.result()


def begin(sims: list[Simulation], refused: str) -> tuple[Simulation, OperatorProcess]:
    sim = Simulation(1, config(step("virusscan"), step("policies"), ttl=10_000))
    sims.append(sim)
    sim.checks.refused.add(refused)
    process = sim.start(ApiFaults(refused=refused))
    sim.kernel.run_until(1.0)
    sim.world.upload("up-1")
    return sim, process


def acknowledged(sim: Simulation) -> bool:
    return max(consumer.floor for consumer in sim.stream.consumers.values()) == sim.stream.last


def test_an_upload_ends_and_is_acknowledged_though_it_is_never_taken(
    sims: list[Simulation],
) -> None:
    sim, _ = begin(sims, "POST")
    sim.kernel.run_until(30.0)
    assert sim.world.sessions["up-1"].released
    assert acknowledged(sim)
    assert sim.server.resources == {}
    assert len(sim.journal.marks(Kind.FINISH, "up-1")) == 1


def test_before_it_ends_its_messages_are_not_acknowledged(sims: list[Simulation]) -> None:
    sim = Simulation(1, TWO)
    sims.append(sim)
    sim.world.script = [""]  # the first step never answers
    sim.start(ApiFaults(refused="POST"))
    sim.kernel.run_until(1.0)
    sim.world.upload("up-1")
    sim.kernel.run_until(60.0)
    assert not acknowledged(sim)
    assert len(sim.journal.marks(Kind.START, "up-1")) == 1


@pytest.mark.parametrize("refused", REFUSALS)
def test_when_the_refusal_ends_the_record_catches_up(sims: list[Simulation], refused: str) -> None:
    sim, process = begin(sims, refused)
    sim.kernel.run_until(20.0)
    process.faults.refused = ""
    sim.kernel.run_until(60.0)
    resource = sim.server.resources["up-1"]
    assert resource["status"]["conditions"][0]["reason"] == "Completed", sim.trace.text()
    assert acknowledged(sim)
    sim.settle()
    assert not sim.result().violations


def test_a_resource_whose_creation_was_not_answered_is_found_though_creation_is_refused(
    sims: list[Simulation],
) -> None:
    sim, process = begin(sims, "")
    process.faults.unanswered = 1.0
    sim.kernel.run_until(1.5)
    assert "up-1" in sim.server.resources
    process.faults.unanswered, process.faults.refused = 0.0, "POST"
    sim.kernel.run_until(60.0)
    assert sim.server.resources["up-1"]["status"]["conditions"][0]["reason"] == "Completed"
    assert acknowledged(sim)


@pytest.mark.parametrize("refused", ["PATCH status", "PATCH"])
def test_what_a_resource_says_otherwise_is_not_acknowledged(sims: list[Simulation], refused: str) -> None:
    """After a restart it would still be running: its messages wait for the record, also after the end."""
    sim, _ = begin(sims, refused)
    sim.kernel.run_until(30.0)
    assert sim.world.sessions["up-1"].released
    assert acknowledged(sim) is (refused == "PATCH")  # that one patches `spec.sealed`, which nothing did


def killed(refused: str, seconds: float) -> Iterator[Result]:
    """Refused until the operator is killed, at every place there is."""
    for crash_at in range(1, 60):
        sim = Simulation(1, TWO)
        sim.checks.refused.add(refused)
        sim.world.script = ["retry", "continue", "continue"]
        with logged_in(sim.trace):
            first = sim.start(ApiFaults(refused=refused))
            first.machine.crash_at = crash_at
            first.machine.on_crash = lambda sim=sim: sim.restart_after(seconds)  # type: ignore[misc]
            sim.kernel.run_until(1.0)
            sim.world.upload("up-1")
            sim.kernel.run_until(100.0)
            first.faults.refused = ""
            sim.settle()
            yield sim.result()
        if first.machine.boundaries < crash_at:
            return


@pytest.mark.parametrize("refused", ["POST", "PATCH status"])
def test_a_kill_during_a_refusal_changes_nothing(refused: str) -> None:
    results = list(killed(refused, LONG_SECONDS))
    assert len(results) > 5
    assert [str(violation) for result in results for violation in result.violations] == []


def test_one_refused_upload_does_not_keep_others_from_being_recorded(sims: list[Simulation]) -> None:
    """Not even when there are more of the refused than writers."""
    sim = Simulation(1, TWO)
    sims.append(sim)
    sim.start(ApiFaults(stuck="up-1"))
    sim.kernel.run_until(1.0)
    for name in ("up-1", "up-2", "Up_3"):
        sim.world.upload(name)
    sim.kernel.run_until(10.0)
    stages = {n: r["status"]["conditions"][0]["reason"] for n, r in sim.server.resources.items()}
    assert set(stages.values()) == {"Completed"}, sim.trace.text()
    assert len(stages) == 2


def test_a_refused_removal_is_tried_ever_more_rarely(sims: list[Simulation]) -> None:
    sim = Simulation(1, config(step("virusscan"), ttl=5))
    sims.append(sim)
    process = sim.start(ApiFaults(refused="DELETE"))
    asked: list[float] = []
    api: Any = process._api
    request = api.request

    async def counted(method: str, path: str, *args: object, **kwargs: object) -> object:
        if method == "DELETE":
            asked.append(sim.kernel.now)
        return await request(method, path, *args, **kwargs)

    api.request = counted
    sim.kernel.run_until(1.0)
    sim.world.upload("up-1")
    sim.kernel.run_until(600.0)
    assert 5 <= len(asked) <= 12
    process.faults.refused = ""
    sim.kernel.run_until(1_300.0)
    assert sim.server.resources == {}
