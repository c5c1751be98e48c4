"""Queued for a step, and granted a place there."""

import pytest

from uploadpp.core.commands import Kind, Mark
from uploadpp.core.conditions import describe
from uploadpp.core.evolve import evolve
from uploadpp.core.inputs import Granted, Published
from uploadpp.core.machine import decide
from uploadpp.core.model import Control, Millis, StepPlan
from uploadpp.core.slots import holds_slot
from uploadpp.core.states import DesiredState, Ignored, Stage, StepState
from uploadpp.testing.builders import FRESH_URL, SECOND, START, UPLOAD_ID, UploadScenario, config_of

LIMITED = StepPlan(name="a", timeout=Millis(60 * SECOND))


def queued(*, expires_at: Millis | None = None) -> UploadScenario:
    """An upload that waits for a slot at its first step."""
    story = UploadScenario(config_of(LIMITED, "b", max_in_flight={"a": 2}))
    story.arrives(expires_at=expires_at)
    assert story.upload.stage is Stage.QUEUED
    return story


def test_nothing_starts_before_a_place_is_granted() -> None:
    story = queued()
    assert (story.published, story.upload.current_step) == ([], "a")
    assert story.upload.step.state is StepState.WAITING
    assert describe(story.upload) == "waiting for a slot at step a"
    story.granted()
    assert (story.published, story.upload.stage) == (["start a 1"], Stage.RUNNING)


def test_a_step_without_a_limit_starts_at_once() -> None:
    story = queued()
    story.granted()
    story.answers("continue")
    assert (story.published[-1], story.upload.stage) == ("start b 1", Stage.RUNNING)


def test_a_retry_waits_for_a_place_again_and_keeps_its_counters() -> None:
    story = queued()
    story.granted()
    story.answers("retry")
    story.timer()
    assert (story.upload.stage, story.upload.retry_count) == (Stage.QUEUED, 1)
    story.granted()
    assert (story.published[-1], story.upload.step.retries) == ("start a 2", 1)


@pytest.mark.parametrize("outcome", ["continue", "retry", "abort"])
def test_who_is_queued_again_takes_no_answer_of_before(outcome: str) -> None:
    story = queued()
    story.granted()
    story.resumed()
    assert story.answers(outcome).ignored is Ignored.NOT_RUNNING


def test_a_resume_does_not_jump_the_queue() -> None:
    story = queued()
    decision = story.resumed()
    assert decision.ignored is Ignored.NOTHING_DUE
    assert decision.why == "the upload is waiting for a slot at step a"


def test_a_resumed_step_waits_for_its_place_again() -> None:
    """Or a person's resume of many would put them all at the step at once."""
    story = queued()
    story.granted()
    story.resumed()
    assert story.upload.stage is Stage.QUEUED


def test_suspended_while_queued_needs_no_place() -> None:
    story = queued()
    stages = []
    for desired in (DesiredState.SUSPENDED, DesiredState.ACTIVE):
        story.wanted(desired)
        stages.append(story.upload.stage)
    assert stages == [Stage.SUSPENDED, Stage.QUEUED]


def test_without_the_limit_nobody_stays_in_the_queue() -> None:
    """The settings have changed while the operator was unavailable."""
    story = queued()
    story.config = config_of(LIMITED, "b")
    story.edited(story.upload.control)
    assert (story.published, story.upload.stage) == (["start a 1"], Stage.RUNNING)


def test_a_url_that_expired_in_the_queue_is_renewed_while_the_place_is_kept() -> None:
    story = queued(expires_at=Millis(START + 10 * SECOND))
    story.now = Millis(START + 100 * SECOND)
    story.granted()
    assert story.upload.stage is Stage.AWAITING_URL
    assert holds_slot(story.upload)
    story.arrives(FRESH_URL)
    assert (story.upload.stage, story.published[-1]) == (Stage.RUNNING, "start a 1")


def test_a_url_that_comes_too_late_puts_the_upload_back_into_the_queue() -> None:
    story = queued(expires_at=Millis(START + 10 * SECOND))
    story.now = Millis(START + 100 * SECOND)
    story.granted()
    while story.upload.stalled_at is None:
        story.timer()
    assert not holds_slot(story.upload)
    story.arrives(FRESH_URL)
    assert (story.upload.stage, story.upload.since) == (Stage.QUEUED, story.now)


def test_a_stalled_step_gives_its_place_back() -> None:
    story = UploadScenario(config_of("a", max_in_flight={"a": 1}))
    story.arrives()
    story.granted()
    assert holds_slot(story.upload)
    story.timer()
    assert story.upload.stalled_at is not None
    assert not holds_slot(story.upload)


def test_a_grant_means_nothing_to_who_does_not_wait() -> None:
    story = queued()
    story.granted()
    assert story.granted().ignored is Ignored.NO_RULE
    assert decide(None, UPLOAD_ID, Granted(), START, story.config).ignored is Ignored.UNKNOWN_UPLOAD


def test_an_edit_that_asks_for_nothing_leaves_it_in_the_queue() -> None:
    story = queued()
    story.edited(Control())
    assert (story.upload.stage, story.upload.observed_generation, story.published) == (Stage.QUEUED, 2, [])


@pytest.mark.parametrize(
    ("desired", "stage", "published"),
    [
        (DesiredState.CANCELLED, Stage.AWAITING_READY, ["finish abort 1"]),
        (DesiredState.SUSPENDED, Stage.SUSPENDED, []),
    ],
)
def test_a_place_is_not_used_against_what_was_asked_for_while_nobody_looked(
    desired: DesiredState, stage: Stage, published: list[str]
) -> None:
    story = queued()
    story.state = evolve(story.upload, control=Control(desired=desired, generation=2))
    story.granted()
    assert (story.upload.stage, story.upload.since, story.published) == (stage, story.now, published)


def test_who_was_suspended_while_queued_goes_on_with_the_step_it_was_queued_for() -> None:
    story = UploadScenario(config_of("b", LIMITED, max_in_flight={"a": 2}))
    story.arrives()
    story.answers("continue")
    story.state = evolve(story.upload, control=Control(desired=DesiredState.SUSPENDED, generation=2))
    story.granted()
    assert (story.upload.stage, story.upload.current_step) == (Stage.SUSPENDED, "a")


def test_a_start_met_in_the_log_proves_the_grant_and_what_led_to_it() -> None:
    """The back-off was over, the upload queued and granted a place, and none of it was stored."""
    story = queued()
    story.granted()
    story.answers("retry")
    stored = story.upload
    story.timer()
    story.granted()
    (start,) = story.commands[-1:]
    replayed = UploadScenario(story.config, stored, now=story.now)
    assert replayed.tell(Published(start.mark, 9)).commands == ()
    assert (replayed.upload.stage, replayed.upload.step.attempts) == (Stage.RUNNING, 2)


def test_a_resume_of_ours_is_no_echo_of_a_decision() -> None:
    story = queued()
    mark = Mark(Kind.RESUME, story.upload.received_at, 1, 1, "token")
    assert story.tell(Published(mark, 9)).ignored is Ignored.ALREADY_APPLIED
