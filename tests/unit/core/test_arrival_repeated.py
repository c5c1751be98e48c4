"""The storage answers each RestartPostprocessing, also those that we repeated because it was slow."""

import pytest

from uploadpp.core.evolve import evolve
from uploadpp.core.states import Ignored, Stage
from uploadpp.testing.builders import FRESH_URL, RESTART_USER, START, UploadScenario, config_of

LATER_URL = '"https://storage.test/data/1-later"'
GOING_ON = [
    Stage.RUNNING,
    Stage.BACKING_OFF,
    Stage.QUEUED,
    Stage.DELAYING,
    Stage.AWAITING_TURN,
    Stage.AWAITING_READY,
]


def answered(requests: int) -> UploadScenario:
    """An upload that has asked for a fresh URL so often, and has got one."""
    story = UploadScenario(config_of("a"))
    story.arrives(expires_at=START)
    for _ in range(requests - 1):
        story.timer()
    assert (story.upload.stage, story.upload.url_requests) == (Stage.AWAITING_URL, requests)
    story.arrives(FRESH_URL, user=RESTART_USER)
    assert (story.upload.stage, story.published[-1]) == (Stage.RUNNING, "start a 1")
    return story


@pytest.mark.parametrize("stage", GOING_ON)
def test_one_more_answer_begins_no_run(stage: Stage) -> None:
    story = answered(2)
    story.state = evolve(story.upload, stage=stage)
    published = list(story.published)
    decision = story.arrives(LATER_URL, user=RESTART_USER)
    assert (decision.ignored, decision.why) == (
        Ignored.DUPLICATE,
        "one more answer to RestartPostprocessing",
    )
    assert (story.upload.stage, story.upload.run, story.published) == (stage, 1, published)
    assert story.upload.origin.url == LATER_URL, "it lasts longer than the one before"


@pytest.mark.parametrize("stage", [Stage.HELD, Stage.SUSPENDED, Stage.UPLOAD_FAILED, Stage.RETRIES_EXHAUSTED])
def test_what_rests_or_has_ended_begins_anew(stage: Stage) -> None:
    story = answered(2)
    story.state = evolve(story.upload, stage=stage)
    story.arrives(LATER_URL, user=RESTART_USER)
    assert (story.upload.stage, story.upload.run) == (Stage.RUNNING, 2)


def test_after_a_single_request_a_person_has_asked_for_it() -> None:
    story = answered(1)
    story.arrives(LATER_URL, user=RESTART_USER)
    assert story.upload.run == 2


def test_what_the_storage_announces_of_its_own_accord_begins_anew() -> None:
    story = answered(2)
    story.arrives(LATER_URL)
    assert story.upload.run == 2
