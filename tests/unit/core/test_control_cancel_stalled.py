"""Cancelling what the storage does not answer for: it ends, and the storage is told nothing more."""

import pytest

from uploadpp.core.conditions import describe
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
