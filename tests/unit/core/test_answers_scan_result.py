"""A step that has to prove its answer with a scan result."""

import pytest

from uploadpp.core.commands import Notice, NoticeType
from uploadpp.core.evolve import evolve
from uploadpp.core.inputs import StepFinished
from uploadpp.core.model import StepPlan
from uploadpp.core.states import OnExhausted, RequiredResult, Stage, StepState
from uploadpp.testing.builders import UploadScenario, begun

SCAN = StepPlan(name="virusscan", require_result=RequiredResult.SCAN)


def scanned(*, proof: bool) -> UploadScenario:
    """A scanner has answered."""
    story = begun(SCAN, "b")
    story.tell(StepFinished("virusscan", "continue", scanned=proof))
    return story


def test_continue_with_a_scan_result_counts() -> None:
    assert scanned(proof=True).published[-1] == "start b 1"


def test_continue_without_a_scan_result_counts_as_retry() -> None:
    story = scanned(proof=False)
    assert (story.upload.stage, story.upload.retry_count) == (Stage.BACKING_OFF, 1)
    assert story.upload.step.message == "virusscan answered continue without a scan result; treated as retry"
    assert [notice.reason for notice in story.notices] == ["NoScanResult", "RetryScheduled"]
    assert story.notices[0] == Notice(NoticeType.WARNING, "NoScanResult", story.upload.step.message)


def test_without_a_scan_result_and_a_retry_left_the_next_step_has_its_turn_if_so_configured() -> None:
    story = begun(evolve(SCAN, max_retries=0, on_exhausted=OnExhausted.CONTINUE), "b")
    story.tell(StepFinished("virusscan", "continue"))
    assert (story.published[-1], story.upload.steps[0].state) == ("start b 1", StepState.FAILED)


@pytest.mark.parametrize("outcome", ["abort", "delete"])
def test_a_rejection_needs_no_proof(outcome: str) -> None:
    story = begun(SCAN)
    story.answers(outcome)
    assert story.published[-1] == f"finish {outcome} 1"


def test_without_the_setting_no_proof_is_asked_for() -> None:
    story = begun("virusscan")
    story.answers("continue")
    assert story.published[-1] == "finish continue 1"
