"""What an upload does at a step with a breaker: fail before it opens, while it is open, and afterwards."""

from dataclasses import replace

import pytest

from uploadpp.core.commands import Kind, RetryNotice
from uploadpp.core.evolve import evolve
from uploadpp.core.inputs import BreakerOpened, Granted, Input, Published, StepFinished, StreakEnded, Tick
from uploadpp.core.model import FINISHED_STEP, MAX_MESSAGE, Millis, StepPlan, StepStatus, Streak
from uploadpp.core.states import (
    DesiredState,
    Ignored,
    OnExhausted,
    RequiredResult,
    Stage,
    StepReason,
    StepState,
)
from uploadpp.testing.builders import FRESH_URL, START, UploadScenario, begun, config_of, mark_of, meet

SCAN = StepPlan(name="scan", max_retries=2, timeout=Millis(60_000))
SILENT = StepPlan(name="scan", stall_after=Millis(60_000))
BREAKER = {"scan": 3}
CLOSED, OPEN = Streak(START, START, 1), Streak(START, START, 3, START)
WHY = "step scan is not well"


def scanning(step: StepPlan = SCAN) -> UploadScenario:
    """An upload that was granted the step."""
    story = begun(step, "b", breaker_after=BREAKER)
    story.granted()
    return story


def fails(story: UploadScenario, streak: Streak | None, message: str = "") -> None:
    """The step wants to be tried again."""
    story.tell(StepFinished("scan", "retry", message, streak=streak))


def retries(story: UploadScenario) -> int:
    """How many retries the upload has used."""
    return story.upload.retry_count


def test_a_step_with_a_breaker_has_a_queue() -> None:
    story = begun(SCAN, "b", breaker_after=BREAKER)
    assert (story.upload.stage, story.published) == (Stage.QUEUED, [])
    story.granted()
    assert (story.upload.stage, story.published) == (Stage.RUNNING, ["start scan 1"])


def test_without_the_setting_nobody_stays_in_the_queue() -> None:
    story = begun(SCAN, "b", breaker_after=BREAKER)
    story.config = config_of(SCAN, "b")
    story.edited(story.upload.control)
    assert story.upload.stage is Stage.RUNNING


def test_a_failure_before_it_opens_takes_a_retry_and_is_remembered() -> None:
    story = scanning()
    fails(story, CLOSED)
    assert (story.upload.stage, retries(story)) == (Stage.BACKING_OFF, 1)
    assert story.upload.step.streak == CLOSED._replace(counted=1)
    story.timer()
    story.granted()
    assert story.upload.step.streak == CLOSED._replace(counted=1)


def test_a_failure_while_it_is_open_takes_none() -> None:
    story = scanning()
    for number in range(1, 5):
        fails(story, OPEN, "no")
        assert (story.upload.stage, retries(story)) == (Stage.QUEUED, 0)
        assert story.published[-1] == f"retry scan {number}"
        assert story.upload.step.message == "no"
        story.granted()
    assert "its breaker is open" in story.notices[-1].message


def test_a_failure_while_it_is_open_is_recorded_in_every_detail() -> None:
    story = scanning(evolve(SCAN, backoff=Millis(7_000)))
    started = story.upload.step.started_at
    fails(story, OPEN, "no" * MAX_MESSAGE)
    step = StepStatus(
        state=StepState.WAITING,
        attempts=1,
        started_at=started,
        finished_at=story.now,
        outcome="retry",
        message="no" * (MAX_MESSAGE // 2),
        streak=OPEN,
    )
    assert (story.upload.since, story.upload.step) == (story.now, step)
    mark = mark_of(story, Kind.RETRY, 1, "scan")
    assert story.commands[-1] == RetryNotice(mark, 0, Millis(7_000))


def test_its_notice_tells_how_many_retries_were_taken_before_the_streak() -> None:
    story = scanning()
    fails(story, None)
    story.timer()
    story.granted()
    fails(story, OPEN)
    notice = story.commands[-1]
    assert isinstance(notice, RetryNotice)
    assert (notice.mark.number, notice.failures) == (2, 1)


def test_the_failure_that_opens_it_gives_the_earlier_ones_back() -> None:
    story = scanning()
    fails(story, CLOSED)
    story.timer()
    story.granted()
    fails(story, OPEN)
    assert (retries(story), story.upload.step.streak) == (0, OPEN)


def test_retries_of_an_earlier_streak_stay_taken() -> None:
    story = scanning()
    fails(story, CLOSED._replace(since=Millis(START - 9)))
    story.timer()
    story.granted()
    fails(story, OPEN)
    assert retries(story) == 1


def test_a_timeout_and_an_unknown_word_are_failures() -> None:
    story = scanning()
    story.tell(Tick(OPEN), after=Millis(60_000))
    assert (story.upload.stage, story.upload.step.reason, retries(story)) == (
        Stage.QUEUED,
        StepReason.TIMED_OUT,
        0,
    )
    story.granted()
    story.tell(StepFinished("scan", "what?", streak=OPEN))
    assert (story.upload.stage, retries(story)) == (Stage.QUEUED, 0)


def test_an_answer_without_its_scan_is_a_failure() -> None:
    story = scanning(StepPlan(name="scan", require_result=RequiredResult.SCAN))
    story.tell(StepFinished("scan", "continue", streak=OPEN))
    assert (story.upload.stage, retries(story)) == (Stage.QUEUED, 0)


def test_silence_is_a_failure_that_takes_no_retry() -> None:
    story = scanning(SILENT)
    story.tell(Tick(CLOSED), after=Millis(60_000))
    assert (story.upload.stage, story.upload.stalled_at is not None) == (Stage.RUNNING, True)
    assert (story.upload.step.streak, retries(story)) == (CLOSED, 0)


def test_no_retries_left_ends_it_as_before_while_it_is_closed() -> None:
    story = scanning(StepPlan(name="scan", max_retries=0))
    fails(story, CLOSED)
    assert (story.published[-1], story.upload.steps[0].streak) == ("finish abort 1", CLOSED)
    held = scanning(StepPlan(name="scan", max_retries=0, on_exhausted=OnExhausted.HOLD))
    fails(held, OPEN)
    assert held.upload.stage is Stage.QUEUED


def test_a_suspended_upload_does_not_go_into_the_queue() -> None:
    story = scanning()
    story.wanted(DesiredState.SUSPENDED)
    fails(story, OPEN)
    assert story.upload.stage is Stage.SUSPENDED
    story.wanted(DesiredState.ACTIVE)
    assert (story.upload.stage, story.upload.step.streak) == (Stage.QUEUED, OPEN)


def test_a_late_answer_gives_back_the_one_retry_that_its_timeout_took() -> None:
    story = scanning()
    story.tell(Tick(CLOSED), after=Millis(60_000))
    assert (story.upload.step.reason, story.upload.step.streak) == (
        StepReason.TIMED_OUT,
        CLOSED._replace(counted=1),
    )
    assert retries(story) == 1
    story.tell(StepFinished("scan", "continue"))
    assert (story.upload.current_step, retries(story)) == ("b", 0)


def test_a_late_answer_counts_and_takes_nothing_back_that_was_not_taken() -> None:
    story = scanning()
    fails(story, None)
    story.timer()
    story.granted()
    story.tell(Tick(OPEN), after=Millis(60_000))
    assert retries(story) == 1
    story.answers("continue", "scan")
    assert (story.upload.current_step, story.upload.steps[0].retries) == ("b", 1)
    assert story.upload.steps[0].streak is None


def test_opening_gives_retries_back_and_ends_the_back_off() -> None:
    story = scanning()
    fails(story, CLOSED)
    story.tell(BreakerOpened("scan", OPEN, WHY))
    assert (story.upload.stage, story.upload.since, retries(story)) == (Stage.QUEUED, story.now, 0)
    assert story.upload.step.streak == CLOSED._replace(opened_at=START)
    story.tell(BreakerOpened("scan", OPEN, WHY))
    assert story.upload.message == WHY
    assert story.tell(BreakerOpened("scan", OPEN, WHY)).ignored is Ignored.NOTHING_DUE


def test_opening_leaves_a_running_attempt_alone() -> None:
    story = scanning()
    fails(story, CLOSED)
    story.timer()
    story.granted()
    story.tell(BreakerOpened("scan", OPEN, WHY))
    assert (story.upload.stage, retries(story), story.upload.message) == (Stage.RUNNING, 0, "")


def test_opening_says_nothing_about_an_earlier_streak() -> None:
    story = scanning()
    earlier = CLOSED._replace(since=Millis(START - 9))
    fails(story, earlier)
    story.tell(BreakerOpened("scan", OPEN, WHY))
    assert (story.upload.stage, story.upload.step.streak) == (Stage.QUEUED, earlier)


def test_opening_leaves_a_back_off_alone_that_is_part_of_no_streak() -> None:
    story = scanning()
    fails(story, None)
    assert story.tell(BreakerOpened("scan", OPEN, WHY)).ignored is Ignored.NOTHING_DUE
    assert story.tell(BreakerOpened("b", OPEN, WHY)).ignored is Ignored.NOT_CURRENT_STEP


@pytest.mark.parametrize(
    ("event", "why"),
    [
        (BreakerOpened("scan", OPEN, WHY), "the breaker has taken nothing from the upload"),
        (StreakEnded("scan"), "the upload was not part of the streak"),
    ],
    ids=["opened", "ended"],
)
def test_it_says_why_it_changes_nothing(event: Input, why: str) -> None:
    story = scanning()
    before = story.upload
    decision = story.tell(event)
    assert (decision.ignored, decision.why) == (Ignored.NOTHING_DUE, why)
    assert decision.upload is before


@pytest.mark.parametrize("step", ["b", FINISHED_STEP])
@pytest.mark.parametrize("event", [BreakerOpened("", OPEN, WHY), StreakEnded("")], ids=["opened", "ended"])
def test_an_upload_that_is_not_in_the_step_is_left_alone(
    event: BreakerOpened | StreakEnded, step: str
) -> None:
    """A suspended upload that has passed all steps stands behind the last one, in none of them."""
    story = scanning()
    story.answers("continue")
    story.wanted(DesiredState.SUSPENDED)
    story.answers("continue")
    assert story.upload.current_step == FINISHED_STEP
    before = story.upload
    decision = story.tell(replace(event, step=step))
    assert (decision.ignored, decision.why) == (Ignored.NOT_CURRENT_STEP, f"the upload is not in step {step}")
    assert decision.upload is before


def test_a_good_answer_to_another_upload_ends_the_streak() -> None:
    story = scanning()
    fails(story, CLOSED)
    story.tell(StreakEnded("scan"))
    assert (story.upload.stage, retries(story), story.upload.step.streak) == (Stage.BACKING_OFF, 1, None)
    assert story.tell(StreakEnded("scan")).ignored is Ignored.NOTHING_DUE
    assert story.tell(StreakEnded("b")).ignored is Ignored.NOT_CURRENT_STEP


def test_the_end_of_a_streak_that_had_opened_it_gives_back_what_opening_has_not() -> None:
    """As when the owner ends between the two."""
    story = scanning()
    fails(story, CLOSED)
    story.tell(StreakEnded("scan", opened=True))
    assert (story.upload.stage, retries(story), story.upload.step.streak) == (Stage.BACKING_OFF, 0, None)


def test_its_end_takes_the_reason_from_those_who_wait() -> None:
    story = begun(SCAN, "b", breaker_after=BREAKER)
    story.tell(BreakerOpened("scan", OPEN, WHY))
    story.tell(StreakEnded("scan", opened=True))
    assert (story.upload.stage, story.upload.message) == (Stage.QUEUED, "")


def test_a_url_that_comes_late_goes_into_the_queue() -> None:
    story = UploadScenario(config_of(SCAN, breaker_after=BREAKER))
    story.arrives(expires_at=Millis(START + 10))
    story.granted()
    while story.upload.stalled_at is None:
        story.timer()
    story.arrives(FRESH_URL)
    assert story.upload.stage is Stage.QUEUED


def test_a_replay_that_meets_the_notice_of_a_timeout_knows_that_it_took_no_retry() -> None:
    story = scanning()
    notice = Published(mark_of(story, Kind.RETRY, 1, "scan"), 50, None, OPEN)
    story.tell(notice, after=Millis(60_000))
    assert (story.upload.stage, retries(story)) == (Stage.QUEUED, 0)


def test_a_replay_that_meets_the_probe_after_a_timeout_knows_its_cause() -> None:
    story = scanning()
    probe = Published(mark_of(story, Kind.START, 2, "scan"), 50, None, OPEN)
    story.tell(probe, after=Millis(90_000))
    step = story.upload.step
    assert (story.upload.stage, step.attempts, step.retries, step.streak) == (Stage.RUNNING, 2, 0, OPEN)


def test_a_replay_that_was_not_told_the_streak_counts_the_retry() -> None:
    story = scanning()
    caught_up = meet(story, mark_of(story, Kind.RETRY, 1, "scan"), after=Millis(60_000))
    assert caught_up is not None
    assert caught_up.stage is Stage.BACKING_OFF


def test_who_is_granted_the_step_while_it_is_open_is_a_probe() -> None:
    story = scanning()
    fails(story, OPEN)
    story.tell(Granted())
    assert (story.published[-1], story.upload.step.streak) == ("start scan 2", OPEN)
