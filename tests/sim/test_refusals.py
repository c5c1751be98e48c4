"""What the API server refuses: no upload is lost, nothing is done twice (invariant 2.7)."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from uploadpp.core.commands import Kind
from uploadpp.testing.apiclient import ApiFaults
from uploadpp.testing.apiserver import RESOURCES
from uploadpp.testing.configs import config, step
from uploadpp.testing.events import step_finished
from uploadpp.testing.operator_process import OperatorProcess
from uploadpp.testing.scenarios import LONG_SECONDS, TWO
from uploadpp.testing.simulation import Result, Simulation
from uploadpp.testing.trace import logged_in

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


def ends_while_created(sims: list[Simulation], *, arrives: bool = True) -> tuple[Simulation, OperatorProcess]:
    """Its creation was refused, is on its way again when it ends, and arrives then (seed 31003815)."""
    sim = Simulation(1, config(step("virusscan"), ttl=10_000))
    sims.append(sim)
    sim.checks.refused |= {"POST", "PATCH status"}
    sim.world.script = [""]
    process = sim.start(ApiFaults(refused="POST"))
    sim.kernel.run_until(1.0)
    sim.world.upload("up-1")
    sim.kernel.run_until(5.0)
    api: Any = process._api
    request = api.request

    async def late(method: str, path: str, *args: object, **kwargs: object) -> object:
        if method == "POST" and path == RESOURCES:
            await asyncio.sleep(20.0 - sim.kernel.now)
            process.faults.refused = "" if arrives else "POST"
            answer = await request(method, path, *args, **kwargs)
            process.faults.refused = "PATCH status"
            return answer
        return await request(method, path, *args, **kwargs)

    api.request = late
    sim.kernel.run_until(15.0)
    answer = step_finished("up-1", "virusscan", "continue")
    sim.journal.publish("PostprocessingStepFinished", answer)
    sim.kernel.run_until(19.9)
    assert sim.world.sessions["up-1"].released
    assert sim.server.resources == {}
    return sim, process


def test_an_end_is_not_acknowledged_while_its_creation_is_on_its_way(sims: list[Simulation]) -> None:
    """The resource would say after a restart that the upload has not begun, and nothing would answer that."""
    sim, process = ends_while_created(sims)
    assert not acknowledged(sim)
    sim.kernel.run_until(30.0)
    assert "status" not in sim.server.resources["up-1"]
    assert not acknowledged(sim)
    process.faults.refused = ""
    sim.settle()
    assert acknowledged(sim)
    result = sim.result()
    assert not result.violations, result.report()


def test_a_kill_after_such_a_creation_leaves_nothing_pending(sims: list[Simulation]) -> None:
    sim, process = ends_while_created(sims)
    sim.kernel.run_until(30.0)
    process.machine.kill()
    sim.start()
    sim.settle()
    result = sim.result()
    assert not result.violations, result.report()
    assert sim.server.resources["up-1"]["status"]["conditions"][0]["reason"] == "Completed"
    assert len(sim.journal.marks(Kind.FINISH, "up-1")) == 1


def test_an_end_is_acknowledged_when_the_creation_on_its_way_is_refused(sims: list[Simulation]) -> None:
    sim, _ = ends_while_created(sims, arrives=False)
    assert not acknowledged(sim)
    sim.kernel.run_until(30.0)
    assert acknowledged(sim)
    assert sim.server.resources == {}


def test_an_end_is_not_acknowledged_while_an_altered_resource_of_it_cannot_be_removed(
    sims: list[Simulation],
) -> None:
    sim, process = begin(sims, "DELETE")
    sim.checks.refused.add("POST")
    api: Any = process._api
    request = api.request

    async def altered(method: str, path: str, body: dict[str, Any] | None = None, **kwargs: object) -> object:
        if body is not None and method == "POST" and path == RESOURCES:
            body = body | {"spec": body["spec"] | {"steps": body["spec"]["steps"][:1]}}
        return await request(method, path, body, **kwargs)

    api.request = altered
    sim.kernel.run_until(30.0)
    assert sim.world.sessions["up-1"].released
    assert "status" not in sim.server.resources["up-1"]
    assert not acknowledged(sim)
    api.request, process.faults.refused = request, ""
    sim.kernel.run_until(120.0)
    assert sim.server.resources["up-1"]["status"]["conditions"][0]["reason"] == "Completed", sim.trace.text()
    assert acknowledged(sim)


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


def until_half_full(sims: list[Simulation], refused: str, monkeypatch: pytest.MonkeyPatch) -> Simulation:
    """Forty messages may wait. Statuses are refused from the moment on at which the uploads are recorded."""
    monkeypatch.setattr("uploadpp.wire.stream.MAX_ACK_PENDING", 40)
    sim = Simulation(1, config(step("virusscan"), ttl=10_000))
    sims.append(sim)
    sim.checks.refused |= {"PATCH status", "DELETE"}
    process = sim.start(ApiFaults())
    sim.kernel.run_until(1.0)
    process.faults.refused = refused
    for number in range(12):
        sim.world.upload(f"up-{number}")
        sim.kernel.run_until(2.0 + number)
    sim.kernel.run_until(120.0)
    assert all(each.released for each in sim.world.sessions.values())
    return sim


def unacknowledged(sim: Simulation) -> int:
    return sim.stream.last - max(consumer.floor for consumer in sim.stream.consumers.values())


def test_past_half_the_window_an_end_that_cannot_be_recorded_lets_its_messages_go(
    sims: list[Simulation], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its resource says that it is under way, and is removed: after a crash nothing begins again."""
    sim = until_half_full(sims, "PATCH status", monkeypatch)
    assert 0 < unacknowledged(sim) < 20, "below half, the others wait for their record"
    assert 0 < len(sim.server.resources) < 12
    sim.processes[-1].machine.kill()
    sim.start()
    sim.kernel.run_until(300.0)
    assert [len(sim.journal.marks(Kind.FINISH, f"up-{number}")) for number in range(12)] == [1] * 12
    ends = [each["status"]["conditions"][0]["reason"] for each in sim.server.resources.values()]
    assert set(ends) == {"Completed"}
    assert acknowledged(sim)


def test_what_is_wrong_and_cannot_be_removed_holds_its_messages(
    sims: list[Simulation], monkeypatch: pytest.MonkeyPatch
) -> None:
    sim = until_half_full(sims, "PATCH status,DELETE", monkeypatch)
    assert unacknowledged(sim) > 20
    assert len(sim.server.resources) == 12
