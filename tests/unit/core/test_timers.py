"""Tick: a timer is due, and `wake_at` says when the next one is."""

import pytest

from uploadpp.core.commands import Kind, Mark, Notice, NoticeType
from uploadpp.core.inputs import Follows, Published, Tick
from uploadpp.core.machine import decide
from uploadpp.core.model import Millis, StepPlan
from uploadpp.core.rules.timers import fire, wake_at
from uploadpp.core.states import Ignored, OnExhausted, Stage, StepReason, StepState
from uploadpp.testing.builders import START, UploadScenario, begun, config_of

STALL = StepPlan(name="a", stall_after=Millis(60_000))


def early(story: UploadScenario) -> None:
    """One millisecond before a timer is due, it does nothing."""
    due = wake_at(story.upload, story.config)
    assert due is not None
    assert story.tell(Tick(), after=Millis(due - story.now - 1)).ignored is Ignored.NOTHING_DUE


def test_a_step_without_an_answer_is_reported_once() -> None:
    story = begun(STALL)
    early(story)
    decision = story.timer()
    assert story.now == story.upload.since + 60_000
    assert [(n.type, n.reason) for n in decision.notices] == [(NoticeType.WARNING, "Stalled")]
    assert story.upload.message == (
        "step a has not answered for 60 s; is a service for it running? resume starts the step again"
    )
    assert (story.upload.stage, story.upload.stalled_at) == (Stage.RUNNING, story.now)
    assert wake_at(story.upload, story.config) is None
    assert story.tell(Tick()).ignored is Ignored.NOTHING_DUE
    story.answers("continue")
    assert (story.upload.stalled_at, story.upload.message) == (None, "")


def test_a_timeout_counts_as_retry() -> None:
    story = begun(StepPlan(name="a", timeout=Millis(30_000), backoff=Millis(5_000), max_retries=1))
    early(story)
    story.timer()
    step = story.upload.step
    assert (story.upload.stage, step.reason, step.retries) == (Stage.BACKING_OFF, StepReason.TIMED_OUT, 1)
    assert step.message == "no answer within 30 s"
    story.timer()
    assert (story.upload.step.reason, story.upload.step.message) == (None, "")
    story.timer()
    assert story.published == ["start a 1", "retry a 1", "start a 2", "finish abort 1"]
    story.ready(failed=True)
    assert story.upload.stage is Stage.STEP_TIMED_OUT


def test_the_report_of_a_stall_comes_before_a_longer_timeout() -> None:
    story = begun(StepPlan(name="a", timeout=Millis(90_000), stall_after=Millis(60_000)))
    story.timer()
    assert story.upload.stalled_at is not None
    assert wake_at(story.upload, story.config) == story.upload.since + 90_000
    story.timer()
    assert story.upload.stage is Stage.BACKING_OFF
    assert wake_at(story.upload, story.config) == story.upload.next_attempt_at


def test_after_a_long_sleep_a_timeout_needs_no_report() -> None:
    story = begun(StepPlan(name="a", timeout=Millis(90_000), stall_after=Millis(60_000)))
    story.tell(Tick(), after=Millis(90_000))
    assert (story.upload.stage, story.notices[-1].reason) == (Stage.BACKING_OFF, "RetryScheduled")


def test_delay_lets_time_pass_and_goes_on() -> None:
    story = begun(StepPlan(name="delay", delay=Millis(7_000)), "a")
    assert story.upload.next_attempt_at == story.now + 7_000
    early(story)
    story.timer()
    assert story.published == ["start delay 1", "start a 1"]
    assert story.upload.steps[0].state is StepState.SUCCEEDED
    assert story.upload.steps[0].outcome == "continue"


def test_a_back_off_is_not_cut_short() -> None:
    story = begun("a")
    story.answers("retry")
    early(story)
    story.timer()
    assert story.upload.stage is Stage.RUNNING


def test_a_back_off_longer_than_the_url_lives_asks_for_a_fresh_one() -> None:
    story = UploadScenario(config_of(StepPlan(name="a", backoff=Millis(3_600_000))))
    story.arrives(expires_at=Millis(START + 3_600_000))
    story.answers("retry")
    story.timer()
    assert story.published[-1] == "restart a 1"


def test_a_release_is_not_tried_again_too_early() -> None:
    story = begun("a")
    story.answers("continue")
    story.ready(failed=True)
    early(story)
    story.timer()
    assert story.published[-1] == "finish continue 2"


@pytest.mark.parametrize("outcome", ["continue", "delete"])
def test_a_missing_upload_ready_is_asked_for_again_and_then_reported(outcome: str) -> None:
    story = begun("a", max_finish_resends=2, ready_after=Millis(60_000))
    story.answers(outcome)
    early(story)
    for _ in range(3):
        story.timer()
    assert story.published[1:] == [f"finish {outcome} {n}" for n in (1, 2, 3)]
    assert story.upload.stalled_at == story.now
    assert story.upload.message.endswith(
        f"({outcome}) with UploadReady; was the file deleted, was the answer lost, or are asynchronous "
        "uploads off? resume sends it again, cancel ends the upload without asking the storage"
    )
    assert story.notices[-1].reason == "Stalled"
    assert wake_at(story.upload, story.config) == story.now + story.config.unanswered_after
    assert story.tell(Tick()).ignored is Ignored.NOTHING_DUE
    assert story.upload.stage is Stage.AWAITING_READY


def test_abort_is_never_sent_again() -> None:
    story = begun("a")
    story.answers("abort")
    story.timer()
    assert story.published == ["start a 1", "finish abort 1"]
    assert story.upload.stalled_at is not None
    assert "resume" not in story.upload.message


def test_failed_releases_do_not_use_up_what_is_left_for_missing_answers() -> None:
    story = begun("a", max_finish_resends=1)
    story.answers("continue")
    for _ in range(3):
        story.ready(failed=True)
        story.timer()
    story.timer()
    assert story.published[-1] == "finish continue 5"
    story.timer()
    assert story.upload.stalled_at is not None


def test_after_a_resume_by_hand_a_missing_answer_is_reported_again() -> None:
    """What was re-sent stays counted: a person watches now, and is told when it did not help."""
    story = begun("a", max_finish_resends=1)
    story.answers("continue")
    story.timer()
    story.timer()
    story.resumed()
    assert (story.published[-1], story.upload.stalled_at) == ("finish continue 3", None)
    story.timer()
    assert (story.published[-1], story.upload.stalled_at) == ("finish continue 3", story.now)


def test_a_missing_url_is_asked_for_again_and_then_reported() -> None:
    story = UploadScenario(config_of("a", max_url_requests=2))
    story.arrives(expires_at=START)
    early(story)
    story.timer()
    story.timer()
    assert story.published == ["restart a 1", "restart a 2"]
    assert story.upload.stalled_at == story.now
    assert "RestartPostprocessing" in story.upload.message
    assert wake_at(story.upload, story.config) == story.now + story.config.unanswered_after
    assert story.tell(Tick()).ignored is Ignored.NOTHING_DUE


def test_who_waits_for_a_person_has_no_timer() -> None:
    story = begun(StepPlan(name="a", max_retries=0, on_exhausted=OnExhausted.HOLD))
    story.answers("retry")
    assert wake_at(story.upload, story.config) is None
    assert story.tell(Tick()).ignored is Ignored.NO_RULE
    fired = fire(story.upload, story.now, story.config)
    assert (fired.upload, fired.ignored) == (story.upload, Ignored.NOTHING_DUE)


def test_fire_does_what_is_due_even_if_the_clock_is_behind() -> None:
    story = begun(STALL)
    told = fire(story.upload, START, story.config).upload
    assert told is not None
    assert told.stalled_at == story.upload.since + 60_000
    assert fire(told, START, story.config).ignored is Ignored.NOTHING_DUE


def test_after_a_delay_the_next_step_comes_before_one_that_nothing_proves_over() -> None:
    """The log told of the delay and of no answer before it: `a` only has to answer before the release."""
    story = begun("a", StepPlan(name="delay", delay=Millis(7_000)), "b")
    mark = Mark(Kind.START, story.upload.received_at, 1, 1, "delay")
    story.tell(Published(mark, story.sequence + 1))
    story.timer()
    story.answers("continue")
    assert story.published == ["start a 1", "start b 1", "start a 2"]


SILENT = {
    "continue": "resume sends it again",
    "delete": "resume sends it again",
    "abort": "it is not sent again, because a second abort can remove the bytes",
}


@pytest.mark.parametrize("outcome", SILENT)
def test_a_storage_that_never_confirms_an_outcome_is_waited_for_no_longer(outcome: str) -> None:
    story = begun("a", max_finish_resends=0, ready_after=Millis(60_000), unanswered_after=Millis(600_000))
    story.answers(outcome)
    story.timer()
    assert story.upload.stalled_at == story.now
    early(story)
    decision = story.timer()
    text = f"the storage has not confirmed PostprocessingFinished({outcome}) for 660 s; {SILENT[outcome]}"
    assert decision.notices == (Notice(NoticeType.WARNING, "Unanswered", text),)
    assert (story.upload.stage, story.upload.message) == (Stage.UNANSWERED, text)
    assert len(story.published) == 2


def test_a_storage_that_never_sends_a_url_is_waited_for_no_longer() -> None:
    story = UploadScenario(
        config_of("a", max_url_requests=1, url_after=Millis(60_000), unanswered_after=Millis(600_000))
    )
    story.arrives(expires_at=START)
    story.timer()
    early(story)
    decision = story.timer()
    text = "the storage has not answered RestartPostprocessing for 660 s; resume starts over and asks again"
    assert decision.notices == (Notice(NoticeType.WARNING, "Unanswered", text),)
    assert (story.upload.stage, story.upload.message) == (Stage.UNANSWERED, text)
    (step,) = story.upload.steps
    assert (step.state, step.message) == (StepState.SKIPPED, "the storage sent no fresh download URL")
    assert step.finished_at == story.upload.completed_at == story.now
    assert story.published == ["restart a 1"]


TIMED = [
    Stage.RUNNING,
    Stage.DELAYING,
    Stage.BACKING_OFF,
    Stage.RELEASE_BACKING_OFF,
    Stage.AWAITING_READY,
    Stage.AWAITING_URL,
    Stage.AWAITING_TURN,
]


def waiting(stage: Stage) -> UploadScenario:
    """An upload that has come to a stage with a timer."""
    story = UploadScenario(
        config_of(StepPlan(name="delay", delay=Millis(7_000)) if stage is Stage.DELAYING else "a")
    )
    story.arrives(expires_at=START if stage is Stage.AWAITING_URL else None)
    if stage is Stage.AWAITING_TURN:
        story.tell(Follows("up-0"))
    if stage is Stage.BACKING_OFF:
        story.answers("retry")
    elif stage in {Stage.AWAITING_READY, Stage.RELEASE_BACKING_OFF, Stage.AWAITING_TURN}:
        story.answers("continue")
    if stage is Stage.RELEASE_BACKING_OFF:
        story.ready(failed=True)
    assert story.upload.stage is stage
    return story


@pytest.mark.parametrize("stage", TIMED)
def test_fire_does_what_the_timer_of_a_stage_does(stage: Stage) -> None:
    story = waiting(stage)
    due = wake_at(story.upload, story.config)
    assert due is not None
    told = fire(story.upload, due, story.config)
    assert told == decide(story.upload, story.upload.id, Tick(), due, story.config)
    assert told.ignored is None
