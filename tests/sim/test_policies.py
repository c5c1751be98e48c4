"""An upload keeps what a policy chose for it, wherever the operator is killed and whoever goes on."""

from collections.abc import Callable, Iterable

import pytest

from uploadpp.api import decode as api_decode
from uploadpp.core.policy import Choice, PolicyAction
from uploadpp.core.rules import arrival
from uploadpp.core.states import Stage
from uploadpp.core.transitions import begin_run
from uploadpp.resources import event_handler
from uploadpp.testing import readings
from uploadpp.testing.configs import config, step
from uploadpp.testing.events import resume
from uploadpp.testing.invariants import Invariant
from uploadpp.testing.policies import always, any_policies, rule_of
from uploadpp.testing.scenarios import SHORT_SECONDS
from uploadpp.testing.simulate import simulate
from uploadpp.testing.simulation import Simulation
from uploadpp.testing.trace import logged_in
from uploadpp.wire import decode as wire_decode

UPLOAD = "up-1"
CONFIG = config(step("virusscan"), ttl=1_000)
DEEP = (step("deep-scan"), step("sign"))
SAID: dict[str, Callable[[int], Choice | None]] = {
    "nothing": lambda _: None,
    "run": lambda generation: rule_of(PolicyAction.RUN, generation, DEEP),
    "skip": lambda generation: rule_of(PolicyAction.SKIP, generation),
    "hold": lambda generation: rule_of(PolicyAction.HOLD, generation, DEEP[:1]),
}
PAIRS = [(first, second) for first in SAID for second in SAID if first != second]


def torn(
    first: str, second: str, crash_at: int = 0, *, survives: bool = True, let_go: bool = False
) -> Simulation:
    """One upload; the operator is killed, and the policies are edited before it comes back."""
    sim = Simulation(1, CONFIG)
    policies = always(SAID[first](1), SAID[second](2))
    sim.govern(policies)

    def killed() -> None:
        policies.change()
        sim.restart_after(SHORT_SECONDS)

    with logged_in(sim.trace):
        process = sim.start()
        process.client.survives = survives
        process.machine.crash_at, process.machine.on_crash = crash_at, killed
        sim.kernel.run_until(1.0)
        sim.world.upload(UPLOAD)
        if let_go:
            sim.disturb(30.0)
            sim.kernel.after(20.0, sim.journal.publish, "ResumePostprocessing", resume(UPLOAD))
        sim.settle()
    return sim


def wrong(sim: Simulation, *, let_go: bool = False) -> str:
    """What is not as the policies say; empty when all is."""
    upload = sim.checks.read(sim.server.resources[UPLOAD])
    started = [record.payload["StepToStart"] for record in sim.journal.of("StartPostprocessingStep", UPLOAD)]
    action = upload.policy.rule.split("-")[0] if upload.policy is not None else "nothing"
    steps = {"nothing": ["virusscan"], "run": ["deep-scan", "sign"], "skip": [], "hold": ["deep-scan"]}[
        action
    ]
    kept = action == "hold" and not let_go
    right = (started, upload.stage, upload.policy_holds) == (
        [] if kept else steps,
        Stage.HELD if kept else Stage.COMPLETED,
        kept,
    )
    result = sim.result()
    if right and not result.violations:
        return ""
    return f"{action}: {upload.stage}, started {started}\n{result.report()}"


def boundaries(first: str, second: str, *, let_go: bool = False) -> range:
    return range(1, torn(first, second, let_go=let_go).result().boundaries + 1)


@pytest.mark.parametrize(("first", "second"), PAIRS)
def test_killed_at_every_boundary_before_the_policies_are_edited(first: str, second: str) -> None:
    assert not wrong(torn(first, second))
    for crash_at in boundaries(first, second):
        sim = torn(first, second, crash_at)
        was_cut_off = sim.processes[0].client.was_cut_off
        assert not wrong(sim), crash_at
        assert not was_cut_off or not wrong(torn(first, second, crash_at, survives=False)), crash_at


@pytest.mark.parametrize("second", ["nothing", "run", "skip"])
def test_what_was_held_and_let_go_runs_the_steps_of_its_rule(second: str) -> None:
    for crash_at in boundaries("hold", second, let_go=True):
        assert not wrong(torn("hold", second, crash_at, let_go=True), let_go=True), crash_at


def test_two_thirds_of_all_rules_do_something_in_random_worlds() -> None:
    found = [policies for seed in range(200) if (policies := any_policies(seed, 40.0)) is not None]
    assert 60 < len(found) < 140
    actions = [str(rule.action) for policies in found for rule in policies.rules()]
    assert min(map(actions.count, PolicyAction)) > 40
    assert any(len(policies.changes) > 1 for policies in found)


def test_a_world_asks_its_policies() -> None:
    seed = next(seed for seed in range(100) if any_policies(seed, 40.0) is not None)
    result = simulate(seed)
    assert not result.violations, result.report()


def violations(sims: Iterable[Simulation]) -> set[Invariant]:
    return {each.invariant for sim in sims for each in sim.result().violations}


# -- each half of the rule is needed -----------------------------------------------------------


def test_without_the_note_on_the_resource_an_upload_may_lose_its_rule(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Neither in the sealed part nor, as in earlier versions, in the annotation."""
    monkeypatch.setattr(api_decode, "_annotated", lambda _: None)
    for module in (event_handler, readings):
        monkeypatch.setattr(module, "read_sealed_plan", lambda _: None)
    assert any(wrong(torn("hold", "run", crash_at)) for crash_at in boundaries("hold", "run"))


def test_without_the_rule_in_our_events_a_new_owner_takes_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire_decode, "read_policy", lambda _: None)
    found = violations(torn("run", "skip", crash_at) for crash_at in boundaries("run", "skip"))
    assert Invariant.PLAN_KEPT in found


def test_without_the_hold_an_upload_begins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrival, "hold_by_policy", lambda upload, now, _: begin_run(upload, now, CONFIG))
    assert violations([torn("hold", "hold")]) == {Invariant.RULE_FOLLOWED}
