"""StepFinished, UploadReady, CleanUpload: what other services answer."""

import pytest

from uploadpp.core.commands import NoticeType, RetryNotice
from uploadpp.core.model import Millis, StepPlan
from uploadpp.core.states import (
    DesiredState,
    Ignored,
    OnExhausted,
    Outcome,
    Stage,
    StepReason,
    StepState,
)
from uploadpp.testing.builders import UploadScenario, begun, placeless


def test_continue_leads_to_the_next_step_and_then_to_the_release() -> None:
    story = begun("a", "b")
    story.answers("continue", message="fine")
    assert (story.upload.current_step, story.upload.stage) == ("b", Stage.RUNNING)
    first = story.upload.steps[0]
    assert (first.state, first.outcome, first.message) == (StepState.SUCCEEDED, "continue", "fine")
    assert first.finished_at == story.now
    story.answers("continue")
    assert story.published == ["start a 1", "start b 1", "finish continue 1"]
    assert (story.upload.current_step, story.upload.outcome) == ("finished", Outcome.CONTINUE)
    story.ready()
    assert story.upload.stage is Stage.COMPLETED


@pytest.mark.parametrize(
    ("outcome", "end"), [("abort", Stage.ABORTED), ("delete", Stage.DELETED)], ids=["abort", "delete"]
)
def test_a_verdict_ends_the_upload_without_the_other_steps(outcome: str, end: Stage) -> None:
    story = begun("a", "b")
    decision = story.answers(outcome, message="Eicar")
    assert story.published == ["start a 1", f"finish {outcome} 1"]
    assert [(n.type, n.reason, n.message) for n in decision.notices] == [
        (NoticeType.WARNING, "Rejected", f"a answered {outcome}: Eicar")
    ]
    step = story.upload.steps[0]
    assert (step.state, step.reason, step.outcome) == (StepState.FAILED, StepReason.REJECTED, outcome)
    assert step.message == "Eicar"
    story.ready(failed=True)
    assert story.upload.stage is end


def test_a_verdict_without_words_is_told_without_a_colon() -> None:
    assert begun("a").answers("abort").notices[0].message == "a answered abort"


def test_retry_starts_the_step_again_after_the_back_off() -> None:
    story = begun(StepPlan(name="a", backoff=Millis(5_000)))
    decision = story.answers("retry", message="busy")
    (notice,) = decision.commands
    assert isinstance(notice, RetryNotice)
    assert (notice.failures, notice.backoff) == (1, 5_000)
    assert [(n.type, n.reason) for n in decision.notices] == [(NoticeType.WARNING, "RetryScheduled")]
    assert decision.notices[0].message == "a: attempt 1 failed (busy); next attempt in 5 s"
    step = story.upload.step
    assert (story.upload.stage, step.state, step.retries) == (Stage.BACKING_OFF, StepState.BACKING_OFF, 1)
    assert (step.outcome, step.message, step.reason) == ("retry", "busy", None)
    assert story.upload.next_attempt_at == story.now + 5_000
    story.timer()
    assert story.published == ["start a 1", "retry a 1", "start a 2"]
    assert (story.upload.step.attempts, story.upload.step.retries) == (2, 1)
    story.answers("retry")
    assert story.upload.next_attempt_at == story.now + 10_000


@pytest.mark.parametrize("word", ["", "Continue", "nonsense"])
def test_a_word_that_is_no_outcome_counts_as_retry_and_is_reported(word: str) -> None:
    story = begun("a")
    decision = story.answers(word)
    assert story.upload.stage is Stage.BACKING_OFF
    assert [notice.reason for notice in decision.notices] == ["InvalidOutcome", "RetryScheduled"]
    assert repr(word) in story.upload.step.message


@pytest.mark.parametrize("step", ["b", "", "nobody"])
def test_only_the_current_step_may_answer(step: str) -> None:
    story = begun("a", "b")
    before = story.upload
    decision = story.answers("continue", step=step)
    assert decision.ignored is Ignored.NOT_CURRENT_STEP
    assert placeless(story.upload) == placeless(before)
    assert (step or "a step without name") in decision.why


@pytest.mark.parametrize("stage", [Stage.RUNNING, Stage.DELAYING, Stage.HELD, Stage.AWAITING_READY])
def test_a_word_of_others_takes_no_more_room_than_the_name_of_a_step(stage: Stage) -> None:
    """Whatever calls itself a step, the log and the resource stay readable."""
    story = (
        spent(OnExhausted.HOLD) if stage is Stage.HELD else begun("delay" if stage is Stage.DELAYING else "a")
    )
    if stage is Stage.AWAITING_READY:
        story.answers("continue")
    assert story.upload.stage is stage
    words = story.answers("continue", step="x" * 500).why.split()
    assert words[:2] == ["x" * 62 + "…", "answered"]


def test_a_long_word_that_is_not_an_outcome_is_cut() -> None:
    story = begun("a")
    story.answers("y" * 500)
    assert story.upload.step.message == f"a answered '{'y' * 62}…', which is not an outcome; treated as retry"


def test_nobody_answers_for_delay() -> None:
    story = begun(StepPlan(name="delay", delay=Millis(1000)))
    assert story.answers("continue").ignored is Ignored.NOT_RUNNING
    assert story.upload.stage is Stage.DELAYING


def spent(policy: OnExhausted) -> UploadScenario:
    """The first of two steps has no retries left."""
    story = begun(StepPlan(name="a", max_retries=1, on_exhausted=policy), "b")
    story.answers("retry")
    story.timer()
    story.answers("retry", message="busy")
    return story


@pytest.mark.parametrize("outcome", ["abort", "delete"])
def test_out_of_retries_ends_the_upload(outcome: str) -> None:
    story = spent(OnExhausted(outcome.capitalize()))
    assert story.published[-1] == f"finish {outcome} 1"
    assert story.notices[-1].reason == "RetriesExhausted"
    assert story.notices[-1].message == f"a: no retries left after 2 attempts (busy); outcome {outcome}"
    step = story.upload.steps[0]
    assert (step.state, step.reason) == (StepState.FAILED, StepReason.RETRIES_EXHAUSTED)
    story.ready(failed=True)
    assert story.upload.stage is Stage.RETRIES_EXHAUSTED


def test_out_of_retries_goes_on_without_the_step() -> None:
    story = spent(OnExhausted.CONTINUE)
    assert story.published[-1] == "start b 1"
    assert story.notices[-1].reason == "RetriesExhausted"
    assert story.upload.steps[0].state is StepState.FAILED


def test_out_of_retries_is_held_until_somebody_resumes() -> None:
    story = spent(OnExhausted.HOLD)
    assert (story.upload.stage, story.upload.step.state) == (Stage.HELD, StepState.HELD)
    assert story.notices[-1].reason == "Held"
    assert story.published == ["start a 1", "retry a 1", "start a 2"]


def test_an_answer_while_held_is_too_late() -> None:
    story = spent(OnExhausted.HOLD)
    before = story.upload
    for outcome in Outcome:
        assert story.answers(outcome).ignored is Ignored.NOT_RUNNING
    assert placeless(story.upload) == placeless(before)


def test_no_retries_means_one_attempt() -> None:
    story = begun(StepPlan(name="a", max_retries=0))
    story.answers("retry")
    assert story.published == ["start a 1", "finish abort 1"]


def test_a_step_passed_over_does_not_name_the_verdict_of_a_later_one() -> None:
    story = spent(OnExhausted.CONTINUE)
    story.answers("delete")
    story.ready(failed=True)
    assert story.upload.stage is Stage.DELETED


def test_a_failed_release_is_tried_again_with_growing_waits() -> None:
    story = begun("a", max_releases=2, release_backoff=Millis(30_000))
    story.answers("continue")
    waits = []
    for _ in range(2):
        decision = story.ready(failed=True)
        assert story.upload.stage is Stage.RELEASE_BACKING_OFF
        assert decision.notices[0].reason == "ReleaseFailed"
        waits.append((story.upload.next_attempt_at or 0) - story.now)
        story.timer()
    assert waits == [30_000, 60_000]
    assert story.published == ["start a 1", *(f"finish continue {n}" for n in (1, 2, 3))]
    decision = story.ready(failed=True)
    assert decision.notices[0].reason == "UploadFailed"
    assert story.upload.stage is Stage.UPLOAD_FAILED
    assert story.upload.stalled_at == story.now
    assert story.upload.releases == 3


def test_the_wait_before_a_release_has_a_limit() -> None:
    story = begun("a", release_backoff=Millis(30_000), max_release_backoff=Millis(40_000))
    story.answers("continue")
    story.ready(failed=True)
    story.timer()
    story.ready(failed=True)
    assert story.upload.next_attempt_at == story.now + 40_000


@pytest.mark.parametrize("releases", [0, 5])
def test_a_second_answer_about_a_release_counts_once(releases: int) -> None:
    story = begun("a", max_releases=releases)
    story.answers("continue")
    story.ready(failed=True)
    before = story.upload
    assert story.ready(failed=True).ignored is Ignored.DUPLICATE
    assert placeless(story.upload) == placeless(before)
    story.ready()
    assert story.upload.stage is Stage.COMPLETED
    assert story.upload.stalled_at is None


@pytest.mark.parametrize("outcome", ["abort", "delete"])
def test_a_release_that_nobody_ordered_is_shown_as_one(outcome: str) -> None:
    """Only `continue` is answered with success: the file is out, whatever we had ordered."""
    story = begun("a")
    story.answers(outcome)
    decision = story.ready()
    assert (story.upload.stage, story.upload.outcome) == (Stage.COMPLETED, Outcome.CONTINUE)
    assert decision.notices[0].reason == "ReleasedElsewhere"
    assert f"although it was told {outcome}" in story.upload.message


def test_a_release_while_a_step_runs_ends_the_upload_with_a_warning() -> None:
    story = begun("a", "b")
    decision = story.ready()
    assert (story.upload.stage, story.upload.outcome) == (Stage.COMPLETED, Outcome.CONTINUE)
    assert story.upload.steps[0].reason is StepReason.RELEASED_ELSEWHERE
    assert (decision.notices[0].type, decision.commands) == (NoticeType.WARNING, ())
    assert "before postprocessing ended" in story.upload.message
    assert story.answers("continue", step="a").ignored is Ignored.NOT_RUNNING


def test_a_failed_release_that_nobody_awaits_means_nothing() -> None:
    story = begun("a")
    assert story.ready(failed=True).ignored is Ignored.NOT_AWAITED


def test_a_failed_release_of_a_cancelled_upload_is_not_tried_again() -> None:
    story = begun("a")
    story.answers("continue")
    story.wanted(DesiredState.CANCELLED)
    assert story.published[-1] == "finish continue 1"
    story.ready(failed=True)
    assert story.published[-1] == "finish abort 2"
    story.ready(failed=True)
    assert story.upload.stage is Stage.CANCELLED


def test_cleaning_ends_the_upload_and_its_timers() -> None:
    story = begun("a")
    story.answers("retry")
    story.cleaned()
    upload = story.upload
    assert (upload.stage, upload.next_attempt_at, upload.completed_at) == (Stage.CLEANED, None, story.now)
    assert upload.steps[0].reason is StepReason.CLEANED
    assert story.cleaned().ignored is Ignored.UPLOAD_ENDED


def test_how_long_an_ended_upload_is_kept_depends_on_its_end() -> None:
    kept = {}
    for failed in (False, True):
        story = begun("a", ttl_completed=Millis(10), ttl_failed=Millis(20))
        story.answers("delete" if failed else "continue")
        story.ready(failed=failed)
        kept[failed] = (story.upload.expires_at or 0) - story.now
        assert story.upload.completed_at == story.now
    assert kept == {False: 10, True: 20}


def test_long_messages_are_cut() -> None:
    story = begun("a")
    story.answers("retry", message="x" * 5000)
    assert len(story.upload.step.message) == 1024
    story.timer()
    story.answers("abort", message="x" * 5000)
    assert len(story.upload.steps[0].message) == 1024
