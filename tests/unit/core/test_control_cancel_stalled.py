"""Cancelling what the storage does not answer for: it ends, and the storage is told nothing more."""

import pytest

from uploadpp.core.conditions import ConditionStatus, ConditionType, conditions, describe
from uploadpp.core.states import CancelPolicy, DesiredState, Stage
from uploadpp.testing.builders import UploadScenario, begun


def stalled(answer: str) -> UploadScenario:
    story = begun("a", max_finish_resends=1)
    story.answers(answer)
    while story.upload.stalled_at is None:
        story.timer()
    return story


@pytest.mark.parametrize("policy", CancelPolicy)
@pytest.mark.parametrize("answer", ["continue", "abort", "delete"])
def test_cancel_ends_what_the_storage_does_not_answer_for(answer: str, policy: CancelPolicy) -> None:
    story = stalled(answer)
    assert "cancel ends the upload without asking the storage" in describe(story.upload)
    before = list(story.published)
    story.wanted(DesiredState.CANCELLED, policy)
    assert (story.upload.stage, story.published) == (Stage.CANCELLED, before)
    assert "the storage was not told" in describe(story.upload)


def acknowledged(story: UploadScenario) -> tuple[ConditionStatus, str]:
    [found] = [each for each in conditions(story.upload) if each.type is ConditionType.ACKNOWLEDGED]
    return found.status, found.reason


@pytest.mark.parametrize("answer", ["continue", "abort", "delete"])
def test_what_the_storage_does_not_answer_for_is_not_acknowledged(answer: str) -> None:
    story = stalled(answer)
    story.wanted(DesiredState.CANCELLED)
    assert acknowledged(story) == (ConditionStatus.UNKNOWN, "NoAnswerYet")


def test_nor_is_a_cancel_of_which_the_storage_did_not_answer() -> None:
    story = begun("a", max_finish_resends=1)
    story.wanted(DesiredState.CANCELLED)
    while story.upload.stalled_at is None:
        story.timer()
    story.wanted(DesiredState.ACTIVE)
    story.wanted(DesiredState.CANCELLED)
    assert story.upload.stage is Stage.CANCELLED
    assert acknowledged(story) == (ConditionStatus.UNKNOWN, "NoAnswerYet")


def test_nor_is_it_after_a_restart_that_was_refused() -> None:
    story = stalled("abort")
    story.wanted(DesiredState.CANCELLED)
    story.restarted("again", desired=DesiredState.CANCELLED)
    assert story.upload.observed_token == "again"
    assert acknowledged(story) == (ConditionStatus.UNKNOWN, "NoAnswerYet")


def test_a_cancel_that_the_storage_has_carried_out_is_acknowledged() -> None:
    story = begun("a")
    story.wanted(DesiredState.CANCELLED)
    story.ready(failed=True)
    assert story.upload.stage is Stage.CANCELLED
    assert acknowledged(story) == (ConditionStatus.TRUE, "UploadReady")
