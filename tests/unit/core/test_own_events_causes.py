"""Events of ours that are ahead of what was stored: what had led to them is found, whatever hides it."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from uploadpp.core.commands import Kind, Mark
from uploadpp.core.evolve import evolve
from uploadpp.core.inputs import Published
from uploadpp.core.machine import decide
from uploadpp.core.model import Control, Millis, RestartRequest, StepPlan, Streak
from uploadpp.core.plan_text import Planned
from uploadpp.core.states import CancelPolicy, DesiredState, Outcome, Stage, StepReason, StepState
from uploadpp.testing.builders import START, UploadScenario, begun, config_of, mark_of, meet

DELAY = StepPlan(name="delay", delay=Millis(2_000))
OPEN = Streak(START, START, 3, START)
UNSEEN = [DesiredState.SUSPENDED, DesiredState.CANCELLED]


def edited_unseen(story: UploadScenario, desired: DesiredState) -> None:
    """A person edits the spec while no operator looks."""
    story.state = evolve(story.upload, control=Control(desired=desired, generation=2))


@pytest.mark.parametrize("desired", UNSEEN)
def test_an_edit_that_nobody_has_seen_does_not_hide_that_a_delay_was_over(desired: DesiredState) -> None:
    story = begun(DELAY, "b")
    edited_unseen(story, desired)
    told = meet(story, mark_of(story, Kind.START, 1, "b"), after=Millis(2_000))
    assert told is not None
    assert [step.state for step in told.steps] == [StepState.SUCCEEDED, StepState.RUNNING]
    assert (told.control.desired, told.observed_generation) == (desired, 1), (
        "the edit is still to be looked at"
    )


@pytest.mark.parametrize("desired", UNSEEN)
def test_an_edit_that_nobody_has_seen_does_not_hide_that_a_slot_was_granted(desired: DesiredState) -> None:
    story = UploadScenario(config_of("a", max_in_flight={"a": 1}))
    story.arrives()
    edited_unseen(story, desired)
    told = meet(story, mark_of(story, Kind.START, 1, "a"))
    assert told is not None
    assert (told.stage, told.control.desired) == (Stage.RUNNING, desired)


def test_an_edit_that_nobody_has_seen_does_not_hide_that_the_upload_had_been_activated() -> None:
    story = begun("a", "b")
    story.wanted(DesiredState.SUSPENDED)
    story.answers("continue")
    assert story.upload.stage is Stage.SUSPENDED
    seen = story.upload.observed_generation
    story.state = evolve(story.upload, control=evolve(story.upload.control, generation=seen + 2))
    told = meet(story, mark_of(story, Kind.START, 1, "b"))
    assert told is not None
    assert (told.stage, told.control.desired) == (Stage.RUNNING, DesiredState.SUSPENDED)
    assert told.observed_generation == seen, "the second edit is still to be looked at"


def test_an_edit_that_nobody_has_seen_does_not_hide_that_a_probe_followed_a_timeout() -> None:
    story = begun(StepPlan(name="a", timeout=Millis(60_000)), breaker_after={"a": 3})
    story.granted()
    edited_unseen(story, DesiredState.SUSPENDED)
    story.tell(Published(mark_of(story, Kind.START, 2, "a"), 50, None, OPEN), after=Millis(60_000))
    step = story.upload.step
    assert (story.upload.stage, step.attempts, step.retries, step.streak) == (Stage.RUNNING, 2, 0, OPEN)


def test_a_timeout_after_a_report_took_no_retry_if_the_breaker_was_open() -> None:
    impatient = StepPlan(name="a", timeout=Millis(60_000), stall_after=Millis(30_000))
    story = begun(impatient, breaker_after={"a": 3})
    story.granted()
    story.tell(Published(mark_of(story, Kind.RETRY, 1, "a"), 50, None, OPEN), after=Millis(30_000))
    assert (story.upload.stage, story.upload.step.reason) == (Stage.QUEUED, StepReason.TIMED_OUT)
    assert (story.upload.step.retries, story.upload.step.streak) == (0, OPEN)


def test_a_delay_counts_from_the_arrival_also_by_a_plan_that_is_known_only_later() -> None:
    """Its event may go out long after it was decided; the next step starts right behind it then."""
    by_plan = Planned(config_of(DELAY, "b").steps)
    story = UploadScenario(config_of("b"))
    story.reads_own_events = False
    story.arrives()
    story.now = Millis(story.now + 10_000)
    mark = mark_of(story, Kind.START, 1, "delay")
    story.tell(Published(mark, 50, by_plan), after=Millis(0))
    story.tell(Published(mark_of(story, Kind.START, 1, "b"), 51, by_plan), after=Millis(1))
    states = [
        (plan.name, step.state) for plan, step in zip(story.upload.plan, story.upload.steps, strict=True)
    ]
    assert states == [("delay", StepState.SUCCEEDED), ("b", StepState.RUNNING)]


def test_a_delay_that_is_over_has_not_failed_to_answer() -> None:
    story = begun(DELAY, "b")
    running = story.upload.step
    told = meet(story, mark_of(story, Kind.FINISH, 1, "continue"), after=DELAY.delay)
    assert told is not None
    over_at = Millis(story.now + DELAY.delay)
    passed = evolve(running, state=StepState.SUCCEEDED, finished_at=over_at, outcome=Outcome.CONTINUE)
    assert told.steps[0] == passed
    assert [(step.state, step.reason) for step in told.steps] == [
        (StepState.SUCCEEDED, None),
        (StepState.SKIPPED, StepReason.UNANSWERED),
    ]


def test_an_end_that_nothing_explains_is_no_reason_for_a_warning_if_every_step_has_answered() -> None:
    story = begun("a")
    story.answers("continue")
    decision = story.tell(Published(mark_of(story, Kind.FINISH, 3, "continue"), 50))
    assert (story.upload.finishes, decision.ignored, decision.notices) == (3, None, ())


def test_a_retry_that_no_timer_explains_took_none_if_the_breaker_was_open() -> None:
    story = begun("a", breaker_after={"a": 3})
    story.granted()
    story.tell(Published(mark_of(story, Kind.RETRY, 1, "a"), 50, None, OPEN))
    assert story.upload.stage is Stage.QUEUED
    assert (story.upload.step.retries, story.upload.step.streak) == (0, OPEN)


@pytest.mark.parametrize("token", ["t2", "", "t1"])
def test_a_request_counts_as_seen_when_its_command_is_met(token: str) -> None:
    """The replay came to the same abort by the cancellation alone; the log knows of the request."""
    story = UploadScenario(config_of())
    story.arrives()
    control = Control(
        desired=DesiredState.CANCELLED,
        cancel_policy=CancelPolicy.ABORT,
        restart=RestartRequest(token="t2"),
        generation=2,
    )
    aborted = evolve(
        story.upload, control=control, outcome=Outcome.ABORT, finishes=2, stage=Stage.AWAITING_READY
    )
    mark = Mark(Kind.FINISH, aborted.received_at, aborted.run, 2, Outcome.ABORT, token)
    unproven = evolve(aborted, log=evolve(aborted.log, start=None))
    decision = decide(unproven, unproven.id, Published(mark, 70), story.now, replace(story.config))
    assert decision.commands == ()
    assert decision.upload is not None
    assert decision.upload.log.start == 70
    seen = ("t2", 2) if token == "t2" else ("", 1)
    assert (decision.upload.observed_token, decision.upload.observed_generation) == seen


def out_of_retries() -> UploadScenario:
    """A replay, in which the last retry is used up as far as it knows; nothing of that is in the log."""
    story = begun(StepPlan(name="a", max_retries=0), "b")
    story.reads_own_events = False
    story.answers("retry")
    assert (story.upload.stage, story.upload.log.start) == (Stage.AWAITING_READY, None)
    return story


def reads(story: UploadScenario, mark: Mark) -> None:
    """The log shows one of our events."""
    story.sequence = 50
    story.state = meet(story, mark, story.sequence) or story.state


@pytest.mark.parametrize("kinds", [(Kind.RETRY, Kind.START), (Kind.START,)], ids=["each event", "the start"])
def test_a_later_attempt_proves_that_the_breaker_of_its_step_was_open(kinds: tuple[Kind, ...]) -> None:
    story = out_of_retries()
    for kind in kinds:
        reads(story, mark_of(story, kind, 1 if kind is Kind.RETRY else 2, "a"))
    upload = story.upload
    assert (upload.stage, upload.step.attempts, upload.outcome, upload.finishes) == (
        Stage.RUNNING,
        2,
        None,
        0,
    )
    assert upload.log.start is not None
    story.answers("continue")
    assert (story.upload.current_step, story.upload.steps[0].state) == ("b", StepState.SUCCEEDED)


def test_a_retry_proves_that_too() -> None:
    story = out_of_retries()
    reads(story, mark_of(story, Kind.RETRY, 1, "a"))
    assert (story.upload.stage, story.upload.outcome, story.upload.finishes) == (Stage.BACKING_OFF, None, 0)


@pytest.mark.parametrize(
    "change",
    [
        lambda mark: mark._replace(number=1),
        lambda mark: mark._replace(detail="b"),
        lambda mark: mark._replace(kind=Kind.RESTART),
    ],
    ids=["the same attempt", "another step", "a request for a URL"],
)
def test_nothing_else_proves_that(change: Callable[[Mark], Mark]) -> None:
    story = out_of_retries()
    reads(story, change(mark_of(story, Kind.START, 2, "a")))
    assert (story.upload.stage, story.upload.outcome) == (Stage.AWAITING_READY, Outcome.ABORT)


def test_an_outcome_that_is_in_the_log_stays() -> None:
    story = out_of_retries()
    reads(story, mark_of(story, Kind.FINISH, 1, "abort"))
    reads(story, mark_of(story, Kind.START, 2, "a"))
    assert (story.upload.stage, story.upload.outcome) == (Stage.AWAITING_READY, Outcome.ABORT)


def test_a_rejected_upload_stays_rejected() -> None:
    story = begun(StepPlan(name="a", max_retries=0), "b")
    story.reads_own_events = False
    story.answers("abort")
    reads(story, mark_of(story, Kind.START, 2, "a"))
    assert (story.upload.stage, story.upload.outcome) == (Stage.AWAITING_READY, Outcome.ABORT)
