"""A start of another service after a timer was due that suspends or holds the upload, and that has not run.

As during a replay: for the owner before us the timer had run first, and then the start meant nothing.
"""

from collections.abc import Callable

import pytest

from uploadpp.core.evolve import evolve
from uploadpp.core.inputs import FinishedElsewhere, SpecChanged, StartedElsewhere
from uploadpp.core.machine import decide
from uploadpp.core.model import Control, Millis, RestartRequest, StepPlan
from uploadpp.core.rules.timers import wake_at
from uploadpp.core.states import (
    CancelPolicy,
    DesiredState,
    Ignored,
    OnExhausted,
    OnTooLarge,
    Stage,
    StepReason,
    StepState,
)
from uploadpp.testing.builders import (
    SECOND,
    START,
    UPLOAD_ID,
    UploadScenario,
    arrival,
    begun,
    config_of,
    placeless,
)

DELAY = StepPlan(name="delay", delay=Millis(10_000))
SUSPENDED = Control(desired=DesiredState.SUSPENDED, generation=2)


def delayed_and_suspended() -> UploadScenario:
    """The delay runs to its end, and no step is started after it."""
    story = begun(DELAY, "b")
    story.wanted(DesiredState.SUSPENDED)
    return story


def suspended_while_nobody_looked() -> UploadScenario:
    """The resource says Suspended, as it is read at a start; the delay began before."""
    story = begun(DELAY, "b")
    story.state = evolve(story.upload, control=SUSPENDED)
    return story


def too_large_after_a_delay() -> UploadScenario:
    """A person has to say whether the step sees the file."""
    return begun(DELAY, StepPlan(name="b", max_filesize=10, on_too_large=OnTooLarge.HOLD))


def backing_off_and_suspended() -> UploadScenario:
    """The attempt was over when it was suspended, or is over since."""
    story = begun("b")
    story.answers("retry")
    story.wanted(DesiredState.SUSPENDED)
    return story


def out_of_time_and_held() -> UploadScenario:
    """The last attempt has not answered, and a person decides what becomes of it."""
    plan = StepPlan(name="b", timeout=Millis(60_000), max_retries=0, on_exhausted=OnExhausted.HOLD)
    return begun(plan)


def left_by_its_timeout_and_suspended() -> UploadScenario:
    """The step is passed over when it has not answered, and the next one is not started."""
    plan = StepPlan(name="a", timeout=Millis(60_000), max_retries=0, on_exhausted=OnExhausted.CONTINUE)
    story = begun(plan, "b")
    story.wanted(DesiredState.SUSPENDED)
    return story


STOPPED: dict[str, tuple[Callable[[], UploadScenario], Stage]] = {
    "suspended after a delay": (delayed_and_suspended, Stage.SUSPENDED),
    "suspended while nobody looked": (suspended_while_nobody_looked, Stage.SUSPENDED),
    "held after a delay": (too_large_after_a_delay, Stage.HELD),
    "suspended after a back-off": (backing_off_and_suspended, Stage.SUSPENDED),
    "held after its last attempt": (out_of_time_and_held, Stage.HELD),
    "suspended after a step that was passed over": (left_by_its_timeout_and_suspended, Stage.SUSPENDED),
}
"""An upload whose next timer stops it at its step `b`, and where it stands after that."""


def due(story: UploadScenario) -> Millis:
    """How long it is until the timer of the upload is due."""
    moment = wake_at(story.upload, story.config)
    assert moment is not None
    return Millis(moment - story.now)


@pytest.mark.parametrize("late", [0, 1, 60_000])
@pytest.mark.parametrize(("stopped", "stage"), STOPPED.values(), ids=STOPPED)
def test_a_start_after_the_timer_was_due_starts_nothing(
    stopped: Callable[[], UploadScenario], stage: Stage, late: int
) -> None:
    story = stopped()
    before, out = story.upload, len(story.commands)
    decision = story.tell(StartedElsewhere("b", story.sequence + 1), after=Millis(due(story) + late))
    assert (decision.ignored, decision.notices, decision.met) == (Ignored.NO_RULE, (), None)
    assert decision.why == f"StartedElsewhere means nothing while {stage}"
    assert placeless(story.upload) == placeless(before)
    story.timer()
    assert (story.upload.stage, story.upload.current_step) == (stage, "b")
    assert len(story.commands) == out


@pytest.mark.parametrize(("stopped", "stage"), STOPPED.values(), ids=STOPPED)
def test_it_stands_where_it_would_had_the_timer_been_read_first(
    stopped: Callable[[], UploadScenario], stage: Stage
) -> None:
    first, second = stopped(), stopped()
    moment = due(first)
    first.tell(StartedElsewhere("b", 50), after=moment)
    first.timer()
    second.timer()
    second.tell(StartedElsewhere("b", 50), after=Millis(0))
    assert second.upload.stage is stage
    assert placeless(first.upload) == placeless(second.upload)


def test_a_start_before_the_timer_is_due_counts() -> None:
    """Suspended lets the running step end, whoever has started it, and starts none."""
    story = backing_off_and_suspended()
    story.tell(StartedElsewhere("b", story.sequence + 1), after=Millis(due(story) - 1))
    assert (story.upload.stage, story.upload.step.attempts) == (Stage.RUNNING, 2)
    story.answers("continue")
    assert (story.upload.stage, story.upload.current_step) == (Stage.SUSPENDED, "finished")
    assert story.upload.steps[0].state is StepState.SUCCEEDED


@pytest.mark.parametrize("sort", ["service", "delay"])
def test_a_start_in_place_of_ours_that_is_not_out_counts_however_late(sort: str) -> None:
    """No timer runs before a start is out."""
    plan = StepPlan(name="a", timeout=SECOND, max_retries=0, on_exhausted=OnExhausted.HOLD)
    story = UploadScenario(config_of(plan if sort == "service" else DELAY, "b"))
    story.reads_own_events = False
    story.arrives()
    story.state = evolve(story.upload, control=SUSPENDED)
    decision = story.tell(StartedElsewhere(story.upload.current_step, 50), after=Millis(60_000))
    assert decision.ignored is None
    assert decision.met == story.commands[0].mark
    assert story.upload.log.start == 50


@pytest.mark.parametrize("stopped", [stopped for stopped, _ in STOPPED.values()], ids=STOPPED)
@pytest.mark.parametrize("outcome", ["continue", "abort"])
def test_what_was_told_to_the_storage_counts_all_the_same(
    stopped: Callable[[], UploadScenario], outcome: str
) -> None:
    """It cannot be taken back."""
    story = stopped()
    out = len(story.commands)
    story.tell(FinishedElsewhere(outcome, story.sequence + 1), after=due(story))
    assert (story.upload.stage, story.upload.outcome) == (Stage.AWAITING_READY, outcome)
    assert len(story.commands) == out


def edited_during_a_replay(control: Control) -> UploadScenario:
    """The resource was edited while nobody looked; its edit is looked at once the log is read."""
    story = begun(DELAY, "b")
    story.state = evolve(story.upload, control=control)
    story.tell(StartedElsewhere("b", story.sequence + 1), after=DELAY.delay)
    return story


def test_a_start_after_a_delay_counts_until_a_restart_is_looked_at() -> None:
    request = RestartRequest(token="again")
    story = edited_during_a_replay(Control(restart=request, generation=2))
    assert (story.upload.stage, story.upload.current_step) == (Stage.RUNNING, "b")
    decision = decide(story.upload, UPLOAD_ID, SpecChanged(story.upload.control), story.now, story.config)
    assert decision.upload is not None
    assert (decision.upload.run, decision.upload.stage) == (2, Stage.DELAYING)


@pytest.mark.parametrize("policy", CancelPolicy)
def test_a_start_after_a_delay_counts_until_a_cancellation_is_looked_at(policy: CancelPolicy) -> None:
    cancelled = Control(desired=DesiredState.CANCELLED, cancel_policy=policy, generation=2)
    story = edited_during_a_replay(cancelled)
    assert (story.upload.stage, story.upload.current_step) == (Stage.RUNNING, "b")
    decision = decide(story.upload, UPLOAD_ID, SpecChanged(story.upload.control), story.now, story.config)
    assert decision.upload is not None
    assert [step.reason for step in decision.upload.steps] == [None, StepReason.CANCELLED]
    assert decision.upload.outcome == cancelled.cancel_outcome


def test_a_file_that_was_let_in_is_not_held_again() -> None:
    """Resumed by a person, the step runs, and the start of another service is its next attempt."""
    story = too_large_after_a_delay()
    story.timer()
    story.resumed()
    assert story.upload.stage is Stage.RUNNING
    story.tell(StartedElsewhere("b", story.sequence + 1), after=SECOND)
    assert (story.upload.stage, story.upload.step.attempts) == (Stage.RUNNING, 2)


def test_a_step_that_is_reported_as_stalled_by_a_timer_goes_on_by_a_start() -> None:
    story = begun(StepPlan(name="b", stall_after=Millis(60_000)))
    story.tell(StartedElsewhere("b", story.sequence + 1), after=Millis(due(story) + 1))
    assert (story.upload.stage, story.upload.step.attempts, story.upload.stalled_at) == (
        Stage.RUNNING,
        2,
        None,
    )


def test_a_start_of_a_step_whose_url_nobody_answers_for_any_more_starts_nothing() -> None:
    """The upload is over by then; a person may resume it."""
    story = UploadScenario(config_of("b", max_url_requests=1))
    story.tell(arrival(expires_at=Millis(START + 1)))
    story.timer()
    assert (story.upload.stage, story.upload.stalled_at) == (Stage.AWAITING_URL, story.now)
    decision = story.tell(StartedElsewhere("b", story.sequence + 1), after=due(story))
    assert (decision.ignored, decision.why) == (
        Ignored.NO_RULE,
        "StartedElsewhere means nothing while Unanswered",
    )


@pytest.mark.parametrize("policy", [OnExhausted.ABORT, OnExhausted.DELETE])
def test_a_timer_that_would_publish_something_has_to_be_in_the_log_to_count(policy: OnExhausted) -> None:
    """It is not, so the storage was told nothing, and the step has begun once more."""
    story = begun(StepPlan(name="b", timeout=Millis(60_000), max_retries=0, on_exhausted=policy))
    decision = story.tell(StartedElsewhere("b", story.sequence + 1), after=due(story))
    assert decision.ignored is None
    assert (story.upload.stage, story.upload.step.attempts) == (Stage.RUNNING, 2)
