"""An end that is in the log counts, although a replay has come to another one that is not."""

import pytest

from uploadpp.core.commands import Kind, Mark
from uploadpp.core.inputs import Published, UploadReady
from uploadpp.core.machine import decide
from uploadpp.core.plan_text import Planned
from uploadpp.core.replay import Position, apply
from uploadpp.core.states import DesiredState, Outcome, Stage
from uploadpp.testing.builders import UploadScenario, begun, config_of, mark_of


def reads(story: UploadScenario, mark: Mark, *steps: str) -> None:
    """The log shows one of our events, published by a plan with these steps."""
    story.sequence += 1
    event = Published(mark, story.sequence, Planned(config_of(*steps).steps) if steps else None)
    at = Position(story.stream, story.sequence)
    decision = apply(story.upload, story.upload.id, event, at, story.now, story.config)
    assert decision.commands == ()
    story.state = decision.upload


# -- an earlier number of the same run -------------------------------------------------------


def released_twice() -> UploadScenario:
    """A replay. It did not wait for another upload of the file, and a person has resumed what it released."""
    story = begun("a")
    story.reads_own_events = False
    story.answers("continue")
    story.resumed()
    assert story.published[-2:] == ["finish continue 1", "finish continue 2"]
    return story


@pytest.mark.parametrize("outcome", [Outcome.ABORT, Outcome.DELETE])
def test_an_end_with_a_lower_number_counts(outcome: Outcome) -> None:
    story = released_twice()
    reads(story, mark_of(story, Kind.FINISH, 1, outcome))
    upload = story.upload
    assert (upload.stage, upload.outcome, upload.finishes) == (Stage.AWAITING_READY, outcome, 1)
    assert upload.log.start == story.sequence
    story.ready(failed=True)
    assert story.upload.stage.ended
    assert story.upload.outcome is outcome


def test_an_end_that_is_in_the_log_stays() -> None:
    story = released_twice()
    reads(story, mark_of(story, Kind.FINISH, 2, "continue"))
    reads(story, mark_of(story, Kind.FINISH, 1, "abort"))
    assert (story.upload.outcome, story.upload.finishes) == (Outcome.CONTINUE, 2)


def test_an_end_from_before_what_has_been_applied_is_no_news() -> None:
    """It led to what was applied since: the storage could not release the file, and it was cancelled."""
    story = begun("a")
    story.answers("continue")
    place = story.upload.log.start
    assert place is not None
    story.ready(failed=True)
    story.reads_own_events = False
    story.wanted(DesiredState.CANCELLED)
    assert story.published[-1] == "finish abort 2"
    mark = mark_of(story, Kind.FINISH, 1, "continue")
    decision = decide(story.upload, story.upload.id, Published(mark, place), story.now, story.config)
    assert decision.ignored is not None
    assert (story.upload.outcome, story.upload.finishes) == (Outcome.ABORT, 2)


def test_what_has_ended_is_not_opened_again_by_a_lower_number() -> None:
    story = released_twice()
    story.tell(UploadReady(failed=False))
    assert story.upload.stage is Stage.COMPLETED
    reads(story, mark_of(story, Kind.FINISH, 1, "abort"))
    assert story.upload.stage is Stage.COMPLETED
