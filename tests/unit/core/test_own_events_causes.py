"""Events of ours that are ahead of what was stored: what had led to them is found, whatever hides it."""

from dataclasses import replace

import pytest

from uploadpp.core.commands import Kind, Mark
from uploadpp.core.evolve import evolve
from uploadpp.core.inputs import Published
from uploadpp.core.machine import decide
from uploadpp.core.model import Control, Millis, RestartRequest, StepPlan
from uploadpp.core.plan_text import Planned
from uploadpp.core.states import CancelPolicy, DesiredState, Outcome, Stage, StepReason, StepState
from uploadpp.testing.builders import UploadScenario, begun, config_of, mark_of, meet

DELAY = StepPlan(name="delay", delay=Millis(2_000))
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
    told = meet(story, mark_of(story, Kind.START, 1, "b"))
    assert told is not None
    assert (told.stage, told.control.desired) == (Stage.RUNNING, DesiredState.SUSPENDED)


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
    told = meet(story, mark_of(story, Kind.FINISH, 1, "continue"), after=DELAY.delay)
    assert told is not None
    assert [(step.state, step.reason) for step in told.steps] == [
        (StepState.SUCCEEDED, None),
        (StepState.SKIPPED, StepReason.UNANSWERED),
    ]


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
