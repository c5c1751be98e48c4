"""A step that answers after its time is slow, not failed: what it says counts until it is tried again."""

from collections.abc import Callable

import pytest

from uploadpp.core.commands import Kind
from uploadpp.core.evolve import evolve
from uploadpp.core.inputs import StepFinished
from uploadpp.core.model import Millis, StepPlan
from uploadpp.core.states import (
    DesiredState,
    Ignored,
    OnExhausted,
    OnTooLarge,
    RequiredResult,
    Stage,
    StepReason,
    StepState,
)
from uploadpp.testing.builders import START, UploadScenario, begun, config_of, of_kind

SLOW = StepPlan(name="scan", timeout=Millis(3_000), max_retries=2, backoff=Millis(5_000))
HELD = evolve(SLOW, max_retries=0, on_exhausted=OnExhausted.HOLD)
PASSED = evolve(SLOW, max_retries=0, on_exhausted=OnExhausted.CONTINUE)


def timed_out(*steps: str | StepPlan) -> UploadScenario:
    story = begun(*steps)
    story.timer()
    return story


def backing_off() -> UploadScenario:
    return timed_out(SLOW, "b")


def held() -> UploadScenario:
    return timed_out(HELD, "b")


def suspended() -> UploadScenario:
    """Its next attempt is due, and nothing starts."""
    story = timed_out(SLOW, "b")
    story.wanted(DesiredState.SUSPENDED)
    story.timer()
    return story


def queued() -> UploadScenario:
    """Its next attempt is due, and there is no place at the step."""
    story = UploadScenario(config_of(SLOW, "b", max_in_flight={"scan": 1}))
    story.arrives()
    story.granted()
    story.timer()
    story.timer()
    return story


def awaiting_url() -> UploadScenario:
    """Its next attempt is due, and the URL is about to expire."""
    story = UploadScenario(config_of(SLOW, "b"))
    story.arrives(expires_at=Millis(START + 8_000))
    story.timer()
    story.timer()
    return story


SITUATIONS: dict[Stage, Callable[[], UploadScenario]] = {
    Stage.BACKING_OFF: backing_off,
    Stage.HELD: held,
    Stage.SUSPENDED: suspended,
    Stage.QUEUED: queued,
    Stage.AWAITING_URL: awaiting_url,
}


@pytest.fixture(params=SITUATIONS, ids=str)
def slow(request: pytest.FixtureRequest) -> UploadScenario:
    """An upload whose current step has not answered in time."""
    story = SITUATIONS[request.param]()
    assert (story.upload.stage, story.upload.current_step) == (request.param, "scan")
    return story


def test_a_late_continue_counts(slow: UploadScenario) -> None:
    slow.answers("continue", message="clean")
    first = slow.upload.steps[0]
    assert (first.state, first.attempts, first.retries) == (StepState.SUCCEEDED, 1, 0)
    assert (first.reason, first.message, first.finished_at) == (None, "clean", slow.now)
    expected = Stage.SUSPENDED if slow.upload.control.desired is DesiredState.SUSPENDED else Stage.RUNNING
    assert (slow.upload.stage, slow.upload.current_step) in {
        (expected, "b"),
        (Stage.AWAITING_URL, "b"),
    }


@pytest.mark.parametrize("verdict", ["abort", "delete"])
def test_what_it_has_found_counts(slow: UploadScenario, verdict: str) -> None:
    slow.answers(verdict, message="Eicar")
    assert slow.published[-1] == f"finish {verdict} 1"
    first = slow.upload.steps[0]
    assert (first.state, first.reason, first.message) == (StepState.FAILED, StepReason.REJECTED, "Eicar")


@pytest.mark.parametrize("word", ["retry", "what?", ""])
def test_that_it_wants_to_be_tried_again_is_known(slow: UploadScenario, word: str) -> None:
    before = slow.upload.steps
    decision = slow.answers(word)
    assert decision.ignored is Ignored.NOT_RUNNING
    assert slow.upload.steps == before


def test_an_answer_of_another_step_means_nothing(slow: UploadScenario) -> None:
    assert slow.answers("delete", "b").ignored is Ignored.NOT_RUNNING
    assert slow.answers("delete", "absent").ignored is Ignored.NOT_RUNNING


def test_a_required_scan_is_required_of_the_late_too() -> None:
    story = timed_out(evolve(SLOW, require_result=RequiredResult.SCAN))
    assert story.answers("continue").ignored is Ignored.NOT_RUNNING
    story.tell(StepFinished("scan", "continue", scanned=True))
    assert story.published[-1] == "finish continue 1"


def test_four_seconds_of_work_and_three_of_time_end_well() -> None:
    """As reported: each attempt timed out, and the upload was aborted though each had answered."""
    story = timed_out(SLOW)
    assert story.upload.stage is Stage.BACKING_OFF
    story.answers("continue")
    story.ready()
    assert (story.upload.stage, len(of_kind(story, Kind.START))) == (Stage.COMPLETED, 1)


def test_an_answer_after_the_next_attempt_began_counts_for_that() -> None:
    story = timed_out(SLOW)
    story.timer()
    story.answers("continue")
    assert (story.upload.step.attempts if story.upload.stage.in_step else story.upload.steps[0].attempts) == 2
    assert story.published[-1] == "finish continue 1"


def test_who_has_answered_retry_has_answered() -> None:
    """One answer for each attempt: this is a second one."""
    story = begun(SLOW)
    story.answers("retry")
    assert story.answers("delete").ignored is Ignored.NOT_RUNNING


def test_no_retry_is_given_back_to_a_step_that_had_used_them_up() -> None:
    story = timed_out(evolve(SLOW, max_retries=1, on_exhausted=OnExhausted.HOLD), "b")
    story.timer()
    story.timer()
    assert (story.upload.stage, story.upload.step.retries) == (Stage.HELD, 1)
    story.answers("continue")
    assert story.upload.steps[0].retries == 1


def test_only_the_retry_that_was_not_needed_is_given_back() -> None:
    story = timed_out(SLOW, "b")
    story.timer()
    story.timer()
    assert (story.upload.stage, story.upload.step.retries) == (Stage.BACKING_OFF, 2)
    story.answers("continue")
    assert story.upload.steps[0].retries == 1


def test_a_step_that_was_resumed_has_no_retry_to_give_back() -> None:
    story = UploadScenario(config_of(HELD, max_in_flight={"scan": 1}))
    story.arrives()
    story.granted()
    story.timer()
    story.resumed()
    assert (story.upload.stage, story.upload.step.retries) == (Stage.QUEUED, 0)
    story.answers("delete")
    assert (story.upload.steps[0].retries, story.published[-1]) == (0, "finish delete 1")


# -- passed over: the upload is further on -----------------------------------------------------


LARGE = StepPlan(name="b", max_filesize=1, on_too_large=OnTooLarge.HOLD)


@pytest.mark.parametrize(
    ("next_step", "stage"),
    [("b", Stage.RUNNING), ("delay", Stage.DELAYING), (LARGE, Stage.HELD)],
    ids=["running", "delaying", "held"],
)
def test_what_is_found_by_a_step_that_was_passed_over_counts(next_step: str | StepPlan, stage: Stage) -> None:
    story = timed_out(PASSED, next_step)
    assert story.upload.stage is stage
    story.answers("delete", "scan")
    assert story.published[-1] == "finish delete 1"
    states = [(step.state, step.reason) for step in story.upload.steps]
    assert states == [
        (StepState.FAILED, StepReason.REJECTED),
        (StepState.SKIPPED, StepReason.CANCELLED),
    ]
    assert [step.finished_at for step in story.upload.steps] == [story.now] * 2
    story.ready(failed=True)
    assert story.upload.stage is Stage.DELETED


def test_the_turn_of_a_step_that_waits_for_its_place_does_not_come() -> None:
    story = UploadScenario(config_of(PASSED, "b", max_in_flight={"b": 1}))
    story.arrives()
    story.timer()
    assert story.upload.stage is Stage.QUEUED
    story.answers("delete", "scan")
    assert story.upload.steps[1].state is StepState.WAITING


def test_what_was_passed_over_and_is_clean_after_all_says_so() -> None:
    story = timed_out(PASSED, "b")
    story.answers("continue", "scan", "clean")
    assert (story.upload.stage, story.upload.current_step) == (Stage.RUNNING, "b")
    first = story.upload.steps[0]
    assert (first.state, first.reason, first.message) == (StepState.SUCCEEDED, None, "clean")
    assert (first.outcome, first.finished_at) == ("continue", story.now)
    assert story.answers("delete", "scan").ignored is Ignored.NOT_CURRENT_STEP, "it has answered"


def test_a_suspended_upload_hears_what_was_passed_over() -> None:
    """All steps are over; it waits before the release."""
    story = begun(PASSED)
    story.wanted(DesiredState.SUSPENDED)
    story.timer()
    assert (story.upload.stage, story.upload.current_step) == (Stage.SUSPENDED, "finished")
    story.answers("delete", "scan")
    assert story.published[-1] == "finish delete 1"


def test_once_the_storage_is_told_it_is_too_late() -> None:
    story = timed_out(PASSED)
    assert story.upload.stage is Stage.AWAITING_READY
    assert story.answers("delete", "scan").ignored is Ignored.NOT_RUNNING


def test_an_upload_that_is_held_before_its_first_run_has_no_slow_step() -> None:
    """As when its status was lost: what a step answers then means nothing."""
    story = begun(SLOW)
    story.state = evolve(story.upload, run=0, steps=(), stage=Stage.HELD)
    for step in ("scan", "absent"):
        assert story.answers("delete", step).ignored is Ignored.NOT_RUNNING
