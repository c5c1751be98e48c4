"""Edges that other tests of the core pass by: numbers out of range, duplicates, requests met late."""

from dataclasses import replace

import pytest

from uploadpp.core.bounds import LAST_MOMENT, moment
from uploadpp.core.commands import Kind, Mark
from uploadpp.core.evolve import evolve
from uploadpp.core.inputs import Published, Resume, StartedElsewhere
from uploadpp.core.machine import decide
from uploadpp.core.model import Control, Millis, RestartRequest
from uploadpp.core.rules.control import concerns
from uploadpp.core.states import CancelPolicy, DesiredState, Ignored, Outcome, RestartMode, Stage
from uploadpp.testing.builders import UploadScenario, begun, config_of


def test_no_number_is_no_moment() -> None:
    assert moment(float("nan")) == 0


def test_a_mark_of_a_moment_that_no_date_can_hold_is_not_ours() -> None:
    mark = Mark(Kind.START, Millis(LAST_MOMENT + 1), 1, 1, "a")
    with pytest.raises(ValueError, match="a moment that no date can hold"):
        Mark.decode(mark.encode())


def test_a_delay_that_another_service_starts_too_is_ours_alone() -> None:
    story = begun("delay")
    decision = decide(story.upload, story.upload.id, StartedElsewhere("delay", 60), story.now, story.config)
    assert story.upload.stage is Stage.DELAYING
    assert decision.ignored is Ignored.DUPLICATE
    assert decision.upload == story.upload


@pytest.mark.parametrize("token", ["t2", "", "t1"])
def test_a_request_counts_as_seen_when_its_command_is_met(token: str) -> None:
    """The replay came to the same abort by the cancellation alone; the log knows of the request."""
    story = UploadScenario(config_of())
    story.arrives()
    control = Control(
        desired=DesiredState.CANCELLED,
        cancel_policy=CancelPolicy.ABORT,
        restart=RestartRequest(token="t2"),
        generation=2,
    )
    aborted = evolve(
        story.upload, control=control, outcome=Outcome.ABORT, finishes=2, stage=Stage.AWAITING_READY
    )
    mark = Mark(Kind.FINISH, aborted.received_at, aborted.run, 2, Outcome.ABORT, token)
    unproven = evolve(aborted, log=evolve(aborted.log, start=None))
    decision = decide(unproven, unproven.id, Published(mark, 70), story.now, replace(story.config))
    assert decision.commands == ()
    assert decision.upload is not None
    assert decision.upload.log.start == 70
    seen = ("t2", 2) if token == "t2" else ("", 1)
    assert (decision.upload.observed_token, decision.upload.observed_generation) == seen


def test_a_resume_of_a_step_concerns_who_is_in_it_or_has_asked_for_it() -> None:
    upload = begun("a", "b").upload
    asked = evolve(
        upload,
        control=Control(restart=RestartRequest(token="t1", mode=RestartMode.RESUME_STEP), generation=2),
    )
    assert concerns(upload, Resume(step="a"))
    assert not concerns(upload, Resume(step="b", token="t1"))
    assert concerns(asked, Resume(step="b", token="t1"))
