"""What an upload was to pass is sealed: killed before the first status, the next owner goes by that.

The operator removes a resource that a webhook has altered at its creation, and is killed before it can.
"""

from collections.abc import Callable

import pytest

from uploadpp.core.commands import Kind
from uploadpp.core.policy import PolicyAction
from uploadpp.core.states import Stage
from uploadpp.testing.apiserver import Json
from uploadpp.testing.configs import config, step
from uploadpp.testing.operator_process import OperatorProcess
from uploadpp.testing.policies import always, rule_of
from uploadpp.testing.simulation import Result, Simulation

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
