"""Events of ours that are ahead of what was stored: what had led to them is found, whatever hides it."""

from dataclasses import replace

import pytest

from uploadpp.core.commands import Kind, Mark
from uploadpp.core.evolve import evolve
from uploadpp.core.inputs import Published
from uploadpp.core.machine import decide
from uploadpp.core.model import Control, Millis, RestartRequest, StepPlan, Streak
from uploadpp.core.plan_text import Planned
from uploadpp.core.rules.own_events import leads_to
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


def test_a_state_leads_to_what_a_timer_publishes_and_to_nothing_else() -> None:
    story = begun(DELAY, "b")
    later = Millis(story.now + 2_000)
    known, other = (Published(mark_of(story, Kind.START, number, "b"), 50) for number in (1, 2))
    assert leads_to(story.upload, known, later, story.config)
    assert not leads_to(story.upload, other, later, story.config)


def test_a_state_leads_to_the_next_attempt_of_a_step_only_while_its_breaker_is_open() -> None:
    story = begun(StepPlan(name="a", timeout=Millis(2_000)), breaker_after={"a": 3})
    story.granted()
    mark, later = mark_of(story, Kind.START, 2, "a"), Millis(story.now + 2_000)
    assert leads_to(story.upload, Published(mark, 50, None, OPEN), later, story.config)
    assert not leads_to(story.upload, Published(mark, 50), later, story.config)
