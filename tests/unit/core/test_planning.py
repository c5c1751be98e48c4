"""What an upload becomes when an event of ours tells by which plan it had begun."""

import pytest

from uploadpp.core.commands import Kind, Mark
from uploadpp.core.config import Config
from uploadpp.core.decision import Decision
from uploadpp.core.evolve import evolve
from uploadpp.core.inputs import Published, StartedElsewhere
from uploadpp.core.model import Millis, StepPlan, StepStatus, Upload
from uploadpp.core.plan_text import Planned
from uploadpp.core.rules.planning import by_plan, of_another_plan, withdrawn
from uploadpp.core.states import Ignored, Stage, StepReason, StepState
from uploadpp.testing.builders import FRESH_URL, UploadScenario, begun, config_of, short


def unpublished(story: UploadScenario) -> UploadScenario:
    """The same story; what it publishes from now on is held."""
    story.reads_own_events = False
    return story


def of_earlier_version(*steps: str) -> UploadScenario:
    """An upload whose first step was started by an event without a plan, and has answered."""
    story = unpublished(UploadScenario(config_of(*steps)))
    story.arrives()
    story.tell(Published(story.commands[0].mark, story.sequence + 1))
    story.answers("continue")
    assert not story.upload.plan_fixed
    return story


def told(story: UploadScenario, *steps: str, run: int = 1, first: int = 0) -> Decision:
    """What an event of a run makes of the upload, by a plan with these steps."""
    mark = Mark(Kind.START, story.upload.received_at, run, 1, steps[0] if steps else "")
    planned = Planned(config_of(*steps).steps, first)
    return by_plan(story.upload, mark, planned, story.now, story.config)


def changed(decision: Decision) -> Upload:
    assert decision.upload is not None
    return decision.upload


# -- a start that the log has not shown ------------------------------------------------------


def test_a_first_start_that_is_not_in_the_log_has_not_been() -> None:
    story = unpublished(UploadScenario(config_of("a", "b")))
    story.arrives()
    assert withdrawn(story.upload).steps == (StepStatus(),) * 2


def test_the_attempts_before_a_start_that_is_not_in_the_log_have_been() -> None:
    story = begun("a")
    story.answers("retry")
    unpublished(story).timer()
    assert story.upload.step.attempts == 2
    step = withdrawn(story.upload).step
    assert (step.state, step.attempts, step.retries) == (StepState.WAITING, 1, 1)
    assert step.started_at == story.upload.step.started_at


def test_a_planned_first_start_that_is_not_in_the_log_has_no_time() -> None:
    story = begun("a", "b")
    unpublished(story).answers("continue")
    assert story.upload.plan_fixed
    assert withdrawn(story.upload).steps[1] == StepStatus()


def test_attempts_of_another_service_are_not_ours() -> None:
    """Our numbers begin with our first event, whatever another service has started before."""
    story = unpublished(UploadScenario(config_of("a")))
    story.arrives()
    story.tell(StartedElsewhere("a", story.sequence + 1))
    story.answers("retry")
    story.timer()
    assert story.upload.step.attempts == 2
    assert (withdrawn(story.upload).step.attempts, withdrawn(story.upload).step.started_at) == (0, None)


@pytest.mark.parametrize("outcome", ["", "retry", "continue"], ids=["running", "backing off", "released"])
def test_nothing_else_is_taken_back(outcome: str) -> None:
    story = begun("a")
    if outcome:
        unpublished(story).answers(outcome)
    assert withdrawn(story.upload) is story.upload


# -- the plan of an event --------------------------------------------------------------------


@pytest.mark.parametrize("run", [1, 2])
def test_an_upload_that_has_answered_nothing_begins_again_by_the_plan(run: int) -> None:
    """Also when the event belongs to an earlier run: the plan is the same in all of them."""
    story = unpublished(UploadScenario(config_of("x")))
    story.arrives()
    if run == 2:
        story.arrives(FRESH_URL)
    decision = told(story, "a", "b")
    upload = changed(decision)
    assert [short(command) for command in decision.commands] == ["start a 1"]
    assert ([step.name for step in upload.plan], upload.plan_fixed, upload.run) == (["a", "b"], True, run)


@pytest.mark.parametrize(
    ("run", "state", "start"),
    [(1, StepState.RUNNING, "start a 1"), (2, StepState.SKIPPED, "start b 1")],
    ids=["another run", "this run"],
)
def test_the_steps_that_a_run_left_out_are_left_out_in_that_run_only(
    run: int, state: StepState, start: str
) -> None:
    story = unpublished(UploadScenario(config_of("x")))
    story.arrives()
    story.arrives(FRESH_URL)
    assert story.upload.run == 2
    decision = told(story, "a", "b", run=run, first=1)
    first = changed(decision).steps[0]
    assert (first.state, [short(command) for command in decision.commands]) == (state, [start])
    assert first.reason is (StepReason.BEFORE_RESTART if state is StepState.SKIPPED else None)


def test_an_upload_that_has_not_begun_keeps_its_stage() -> None:
    story = UploadScenario(config_of("x"))
    story.arrives(user='{"id":{"opaque_id":"postprocessing-restart"}}')
    assert story.upload.is_held_unbegun
    decision = told(story, "a", "b")
    assert decision == Decision(evolve(story.upload, plan=config_of("a", "b").steps, plan_fixed=True))


def test_a_release_decided_by_the_present_steps_is_taken_back() -> None:
    """The plan has a step that the present settings do not have, and that has not passed."""
    story = of_earlier_version("a")
    assert story.published[-1] == "finish continue 1"
    decision = told(story, "b", "a", "c")
    upload = changed(decision)
    assert [short(command) for command in decision.commands] == ["start b 1"]
    assert (upload.stage, upload.outcome, upload.finishes) == (Stage.RUNNING, None, 0)
    assert [step.state for step in upload.steps] == ["Running", "Succeeded", "Waiting"]


def test_a_release_that_the_plan_decides_as_well_has_the_same_number() -> None:
    story = of_earlier_version("a")
    decision = told(story, "a")
    assert [command.mark for command in decision.commands] == [story.commands[-1].mark]


def test_a_release_that_is_out_is_not_taken_back() -> None:
    story = of_earlier_version("a")
    story.tell(Published(story.commands[-1].mark, story.sequence + 1))
    decision = told(story, "b", "a", "c")
    upload = changed(decision)
    assert (decision.commands, upload.stage, upload.finishes) == ((), Stage.AWAITING_READY, 1)
    assert (upload.cursor, [step.state for step in upload.steps]) == (3, ["Waiting", "Succeeded", "Waiting"])


def test_the_current_step_stays_the_current_one() -> None:
    """Its start is decided and still to be published, whatever place the plan gives it."""
    story = of_earlier_version("a", "b")
    before = story.upload
    decision = told(story, "c", "b", "a")
    upload = changed(decision)
    assert (decision.commands, upload.stage, upload.current_step) == ((), Stage.RUNNING, "b")
    assert upload.steps == (StepStatus(), before.steps[1], before.steps[0])


def test_a_current_step_that_is_not_in_the_plan_gives_way_to_the_first_that_is_open() -> None:
    story = of_earlier_version("a", "x")
    decision = told(story, "b", "a", "c")
    assert [short(command) for command in decision.commands] == ["start b 1"]
    assert [step.state for step in changed(decision).steps] == ["Running", "Succeeded", "Waiting"]


# -- an event by another plan than the upload's ----------------------------------------------


def test_a_start_by_another_plan_is_counted() -> None:
    """So the next start of that step has the next number; nothing else comes of it."""
    upload = begun("a", "b").upload
    decision = of_another_plan(upload, Mark(Kind.START, upload.received_at, 1, 3, "b"))
    assert decision == Decision(upload.with_step(1, evolve(upload.steps[1], attempts=3)))


@pytest.mark.parametrize(
    ("kind", "run", "number", "detail"),
    [
        (Kind.FINISH, 1, 1, "continue"),
        (Kind.RETRY, 1, 1, "a"),
        (Kind.START, 2, 2, "a"),
        (Kind.START, 1, 2, "x"),
        (Kind.START, 1, 1, "a"),
    ],
    ids=["release", "retry", "another run", "a step it does not have", "a number it has"],
)
def test_nothing_else_by_another_plan_counts(kind: Kind, run: int, number: int, detail: str) -> None:
    upload = begun("a", "b").upload
    decision = of_another_plan(upload, Mark(kind, upload.received_at, run, number, detail))
    assert (decision.upload, decision.ignored) == (upload, Ignored.ALREADY_APPLIED)
    assert decision.why == "our own event, by other steps than those that the upload had begun with"


def test_no_start_counts_once_the_upload_has_ended() -> None:
    story = begun("a")
    story.cleaned()
    upload = story.upload
    decision = of_another_plan(upload, Mark(Kind.START, upload.received_at, 1, 2, "a"))
    assert (decision.upload, decision.ignored) == (upload, Ignored.ALREADY_APPLIED)


# -- when it began ---------------------------------------------------------------------------


@pytest.mark.parametrize("stage", [Stage.RUNNING, Stage.SUSPENDED])
def test_an_upload_that_went_out_late_began_when_it_was_announced(stage: Stage) -> None:
    """A delay was over when its start went out after an outage; one that was suspended began only then."""
    story = unpublished(UploadScenario(config_of("x")))
    story.arrives()
    announced, story.now = story.now, Millis(story.now + 60_000)
    story.state = evolve(story.upload, stage=stage)
    upload = changed(told(story, "delay", "a"))
    began = announced if stage is Stage.RUNNING else story.now
    assert (upload.stage, upload.since, upload.step.started_at) == (Stage.DELAYING, began, began)


def test_a_step_that_is_not_configured_has_the_settings_of_all_steps() -> None:
    known, other = StepPlan(name="a", max_retries=1), StepPlan(name="other", max_retries=2)
    unlisted = StepPlan(name="c", max_retries=3)
    config = Config(steps=(known,), unlisted_steps=(unlisted,), other_step=other)
    assert config.defaults_of("a") is known
    assert config.defaults_of("c") is unlisted
    assert config.defaults_of("b") is other
