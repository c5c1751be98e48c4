"""What an upload was to pass is sealed: killed before the first status, the next owner goes by that.

The operator removes a resource that a webhook has altered at its creation, and is killed before it can.
"""

from collections.abc import Callable

import pytest

from uploadpp.api.timestamps import format_time, parse_time
from uploadpp.core.commands import Kind
from uploadpp.core.model import Millis
from uploadpp.core.policy import PolicyAction
from uploadpp.core.states import Stage
from uploadpp.testing.apiserver import Json
from uploadpp.testing.configs import config, step
from uploadpp.testing.operator_process import OperatorProcess
from uploadpp.testing.policies import always, rule_of
from uploadpp.testing.simulation import Result, Simulation
from uploadpp.testing.user_actions import PERSON

UPLOAD = "up-1"
UNLISTED = "Virus Scan!"
HELD = rule_of(PolicyAction.HOLD, 1)


def kill_behind_creation(sim: Simulation, process: OperatorProcess, edit: Callable[[], None]) -> None:
    """Kill a process once the API server has carried out its POST, before the answer is looked at."""
    machine, boundary = process.machine, process.machine.boundary

    def killed() -> None:
        edit()
        sim.restart_after(1)

    def passed(what: str) -> None:
        if what == "after POST /, unanswered" and machine.alive:
            machine.crash_at, machine.on_crash = machine.boundaries + 1, killed
        boundary(what)

    machine.boundary = passed  # type: ignore[method-assign]


def altering(sim: Simulation, alter: Callable[[Json], None]) -> None:
    """Let a webhook alter what the operator creates."""
    create = sim.server.create

    def altered(actor: str, resource: Json) -> Json:
        if actor.startswith("operator"):
            alter(resource)
        return create(actor, resource)

    sim.server.create = altered  # type: ignore[method-assign]


def run(sim: Simulation, edit: Callable[[], None] = lambda: None) -> Result:
    process = sim.start()
    sim.kernel.run_until(1.0)
    kill_behind_creation(sim, process, edit)
    sim.world.upload(UPLOAD)
    sim.settle()
    result = sim.result()
    assert "KILLED after POST /" in result.trace.text()
    return result


@pytest.mark.parametrize("left", [["virusscan"], ["policies"], [], None])
def test_an_upload_keeps_the_steps_that_a_webhook_drops(left: list[str] | None) -> None:
    def drop(resource: Json) -> None:
        spec = resource["spec"]
        if left is None:
            del spec["steps"]
        else:
            spec["steps"] = [each for each in spec["steps"] if each["name"] in left]

    sim = Simulation(1, config(step("virusscan"), step("policies"), ttl=3600))
    altering(sim, drop)
    result = run(sim)
    assert not result.violations, result.report()
    starts = [mark.detail for mark in sim.journal.marks(Kind.START, UPLOAD)]
    assert starts == ["virusscan", "policies"], result.report()
    upload = sim.checks.read(sim.server.resources[UPLOAD])
    assert upload.stage is Stage.COMPLETED
    assert [plan.name for plan in upload.plan] == ["virusscan", "policies"], "and says so"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("maxFilesize", 1),
        ("retryPolicy", {"onExhausted": "Continue", "maxRetries": 0}),
        ("ofALaterVersion", 1),
    ],
)
def test_an_upload_that_has_begun_keeps_its_plan(field: str, value: object) -> None:
    """A newer CRD fills in its defaults, or an earlier version has let a webhook add something."""
    sim = Simulation(1, config(step("virusscan"), step("policies"), ttl=3600))
    sim.world.script = ["", "retry", "continue", "continue"]  # nobody answers the first time
    process = sim.start()
    sim.kernel.run_until(1.0)
    sim.world.upload(UPLOAD)
    sim.kernel.run_until(15.0)
    process.machine.kill()
    spec = sim.server.resources[UPLOAD]["spec"]
    (spec if field == "retryPolicy" else spec["steps"][1])[field] = value
    sim.start()
    sim.kernel.run_until(40.0)
    sim.doings.tokens[UPLOAD] += 1
    sim.server.edit(PERSON, UPLOAD, restart={"token": "t", "mode": "Resume"})
    sim.settle()
    result = sim.result()
    assert not result.violations, result.report()
    starts = [mark.detail for mark in sim.journal.marks(Kind.START, UPLOAD)]
    assert starts == ["virusscan"] * 3 + ["policies"], result.report()
    upload = sim.checks.read(sim.server.resources[UPLOAD])
    assert (upload.stage, upload.plan) == (Stage.COMPLETED, sim.config.steps)


@pytest.mark.parametrize("crash_at", [None, *range(1, 9)])
@pytest.mark.parametrize(("state", "stage"), [("Cancelled", Stage.CANCELLED), ("Suspended", Stage.SUSPENDED)])
def test_what_a_webhook_asks_for_at_the_creation_is_done(
    state: str, stage: Stage, crash_at: int | None
) -> None:
    """Also if we are killed before the status tells it."""
    sim = Simulation(1, config(step("virusscan"), step("policies"), ttl=3600))
    altering(sim, lambda resource: resource["spec"].update(desiredState=state))
    process = sim.start()
    sim.kernel.run_until(1.0)
    machine = process.machine
    machine.crash_at = machine.boundaries + crash_at if crash_at else None
    machine.on_crash = lambda: sim.restart_after(1)
    sim.doings.edited.add(UPLOAD)
    sim.world.upload(UPLOAD)
    sim.settle()
    result = sim.result()
    assert not result.violations, result.report()
    upload = sim.checks.read(sim.server.resources[UPLOAD])
    assert (upload.stage, upload.observed_generation) == (stage, 1), result.report()


@pytest.mark.parametrize("moved", [-3600, -1, 1, 3600])
@pytest.mark.parametrize("name", ["virusscan", UNLISTED])
@pytest.mark.parametrize("answer", ["continue", "abort"])
def test_an_upload_keeps_the_time_of_its_announcement(moved: int, name: str, answer: str) -> None:
    """Our events tell of it: by another one, those in the log would count for an earlier upload."""
    sim = Simulation(1, config(step(name), ttl=3600))
    sim.world.script = [answer] * 9

    def move(resource: Json) -> None:
        file = resource["spec"]["upload"]
        file["receivedTime"] = format_time(Millis(parse_time(file["receivedTime"]) + moved * 1000))

    altering(sim, move)
    result = run(sim)
    assert not result.violations, result.report()
    upload = sim.checks.read(sim.server.resources[UPLOAD])
    assert upload.stage is (Stage.COMPLETED if answer == "continue" else Stage.ABORTED), result.report()
    assert [mark.number for mark in sim.journal.marks(Kind.START, UPLOAD)] == [1], result.report()
    assert len(sim.journal.marks(Kind.FINISH, UPLOAD)) == 1, result.report()


@pytest.mark.parametrize("left", [["virusscan"], ["virusscan", "policies"]])
@pytest.mark.parametrize("again", [False, True])
def test_what_has_lost_its_sealed_part_is_no_resource_of_a_person(left: list[str], *, again: bool) -> None:
    """It began by itself although the storage had announced it again, and perhaps with fewer steps."""

    def drop(resource: Json) -> None:
        spec = resource["spec"]
        del spec["sealed"]
        spec["steps"] = [each for each in spec["steps"] if each["name"] in left]

    sim = Simulation(1, config(step("virusscan"), step("policies"), ttl=3600))
    altering(sim, drop)
    process = sim.start()
    sim.kernel.run_until(1.0)
    kill_behind_creation(sim, process, lambda: None)
    if again:
        sim.world.know(UPLOAD)
        sim.world.sessions[UPLOAD].node = False
        sim.world.announce(UPLOAD)
    else:
        sim.world.upload(UPLOAD)
    sim.settle()
    result = sim.result()
    assert "KILLED after POST /" in result.trace.text()
    assert not result.violations, result.report()
    starts = [mark.detail for mark in sim.journal.marks(Kind.START, UPLOAD)]
    assert starts == ([] if again else ["virusscan", "policies"]), result.report()
    stage = sim.checks.read(sim.server.resources[UPLOAD]).stage
    assert stage is (Stage.HELD if again else Stage.COMPLETED), result.report()


def test_what_has_not_begun_keeps_its_steps_too() -> None:
    """Nothing of it is in the log: only the resource says how it is to go on."""
    sim = Simulation(1, config(step("virusscan"), ttl=3600))
    policies = always(rule_of(PolicyAction.HOLD, 1, (step("deep-scan"), step("sign"))), None)
    sim.govern(policies)
    altering(sim, lambda resource: resource["spec"]["steps"].pop())
    result = run(sim, policies.change)
    assert not result.violations, result.report()
    upload = sim.checks.read(sim.server.resources[UPLOAD])
    assert (upload.stage, upload.policy_holds) == (Stage.HELD, True), result.report()
    assert [plan.name for plan in upload.plan] == ["deep-scan", "sign"]


@pytest.mark.parametrize("name", ["virusscan", UNLISTED])
@pytest.mark.parametrize("noted", [True, False])
def test_what_a_policy_holds_stays_held(name: str, *, noted: bool) -> None:
    """Also where the spec cannot list its steps, and where a webhook has dropped the annotation."""
    sim = Simulation(1, config(step(name), ttl=3600))
    policies = always(HELD, None)
    sim.govern(policies)
    if not noted:
        altering(sim, lambda resource: resource["metadata"].pop("annotations"))

    def edit() -> None:
        policies.change()
        sim.configs = [config(step("sign"), ttl=3600)]

    result = run(sim, edit)
    assert not result.violations, result.report()
    upload = sim.checks.read(sim.server.resources[UPLOAD])
    assert (upload.stage, upload.policy_holds, upload.policy) == (Stage.HELD, True, HELD.ref), result.report()
    assert [plan.name for plan in upload.plan] == [name]
    assert not sim.journal.marks(Kind.START, UPLOAD)
