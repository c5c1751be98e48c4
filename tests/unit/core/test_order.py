"""The rules of an upload that may not be released before an earlier one of its file."""

import pytest

from uploadpp.core.conditions import describe
from uploadpp.core.evolve import evolve
from uploadpp.core.inputs import Follows, Foremost, SpecChanged, Tick
from uploadpp.core.model import Control, FileOrder, Millis
from uploadpp.core.states import DesiredState, Ignored, RestartMode, Stage
from uploadpp.testing.builders import SECOND, UploadScenario, arrival, begun, by_hand, config_of

EARLIER = Follows("up-0", 7)


def waiting() -> UploadScenario:
    """An upload that has passed its only step and follows another one of its file."""
    story = UploadScenario(config_of("a", order_timeout=Millis(60 * SECOND)))
    story.tell(evolve(arrival(), follows=EARLIER))
    story.answers("continue")
    assert story.upload.stage is Stage.AWAITING_TURN
    return story


def test_the_release_waits_for_its_turn() -> None:
    story = waiting()
    assert story.upload.cursor == len(story.upload.plan)
    assert describe(story.upload) == "waiting for upload up-0 of the same file, which arrived earlier, to end"
    story.tell(Foremost())
    assert (story.published[-1], story.upload.stage) == ("finish continue 1", Stage.AWAITING_READY)


@pytest.mark.parametrize("outcome", ["abort", "delete"])
def test_what_is_not_released_does_not_wait(outcome: str) -> None:
    story = UploadScenario(config_of("a"))
    story.tell(evolve(arrival(), follows=EARLIER))
    story.answers(outcome)
    assert story.published[-1] == f"finish {outcome} 1"


def test_a_resource_that_was_made_by_hand_waits_as_well_once_it_is_announced() -> None:
    story = by_hand()
    story.tell(evolve(arrival(), follows=EARLIER))
    assert story.upload.order == FileOrder("up-0", 7)


def test_another_upload_may_become_the_one_right_before_it() -> None:
    story = begun("a")
    story.tell(EARLIER)
    assert story.upload.order == FileOrder("up-0", 7)
    known = story.tell(EARLIER)
    assert (known.ignored, known.why) == (
        Ignored.DUPLICATE,
        "it is known to follow up-0, or has been over",
    )
    story.tell(Follows("up-9"))
    assert story.upload.order == FileOrder("up-9", 7)


def test_an_upload_that_has_left_the_line_follows_nobody() -> None:
    story = begun("a")
    story.state = evolve(story.upload, order=FileOrder(left=True))
    assert story.tell(EARLIER).ignored is Ignored.DUPLICATE


def test_an_upload_that_has_been_over_is_in_no_line_any_more_however_often_it_runs() -> None:
    story = waiting()
    story.tell(Foremost())
    story.ready(failed=False)
    assert (story.upload.stage, story.upload.order.left) == (Stage.COMPLETED, False)
    for token in ("1", "2"):
        story.restarted(token, RestartMode.FORCE_RESTART)
        assert (story.upload.stage, story.upload.order) == (Stage.RUNNING, FileOrder(left=True))
        story.answers("abort")
        story.ready(failed=True)
        assert story.upload.order == FileOrder(left=True)


def test_a_resume_does_not_jump_the_line() -> None:
    story = waiting()
    decision = story.resumed()
    assert decision.ignored is Ignored.NOTHING_DUE
    assert decision.why == "the upload is waiting for upload up-0 of the same file"


def test_the_wait_is_over_after_the_timeout_and_people_are_told() -> None:
    story = waiting()
    early = story.tell(Tick(), after=Millis(59 * SECOND))
    assert (early.ignored, early.why) == (Ignored.NOTHING_DUE, "no timer is due")
    story.timer()
    assert story.published[-1] == "finish continue 1"
    assert [notice.reason for notice in story.notices] == ["ReleasedOutOfOrder"]


def test_a_release_that_the_log_shows_is_the_end_of_the_wait() -> None:
    """After a crash the turn that led to the release is not known any more; the release is."""
    story = waiting()
    before = story.upload
    story.tell(Foremost())
    replayed = UploadScenario(story.config, before, story.now)
    replayed.sequence, replayed.now = story.sequence, Millis(story.now + 5 * SECOND)
    replayed.read_own_event(story.commands[-1])
    assert (replayed.upload.stage, replayed.commands) == (Stage.AWAITING_READY, [])
    assert replayed.upload.since == replayed.now


def test_a_suspended_upload_waits_for_the_person_and_not_for_its_turn() -> None:
    story = waiting()
    story.wanted(DesiredState.SUSPENDED)
    assert story.upload.stage is Stage.SUSPENDED


def test_without_a_timeout_a_change_of_settings_ends_the_wait() -> None:
    story = waiting()
    story.config = evolve(story.config, order_timeout=Millis(0))
    story.tell(SpecChanged(evolve(story.upload.control, generation=2)))
    assert story.published[-1] == "finish continue 1"


@pytest.mark.parametrize(
    ("desired", "stage"),
    [(DesiredState.SUSPENDED, Stage.SUSPENDED), (DesiredState.CANCELLED, Stage.AWAITING_READY)],
)
def test_its_turn_brings_what_an_unseen_edit_asks_for(desired: DesiredState, stage: Stage) -> None:
    story = waiting()
    story.state = evolve(story.upload, control=Control(desired=desired, generation=2))
    story.tell(Foremost())
    assert story.upload.stage is stage
    assert "finish continue 1" not in story.published
