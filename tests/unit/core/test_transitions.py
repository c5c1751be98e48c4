"""The transitions that rules are made of; above all the one that must never be made twice."""

from collections.abc import Callable

import pytest

from uploadpp.core.commands import Kind
from uploadpp.core.config import Config
from uploadpp.core.model import Millis
from uploadpp.core.states import CancelPolicy, DesiredState, Outcome, RestartMode, Stage
from uploadpp.core.transitions import begin_run, forbids_second_abort
from uploadpp.testing.builders import FRESH_URL, UploadScenario, begun, of_kind

AGAIN: dict[str, Callable[[UploadScenario], object]] = {
    "its timer": lambda story: story.timer(),
    "a resume": lambda story: story.resumed(),
    "a new announcement": lambda story: story.arrives(FRESH_URL),
    "the same answer": lambda story: story.answers("abort", "a"),
    "another answer": lambda story: story.answers("delete", "a"),
    "a resume in the spec": lambda story: story.restarted("t", RestartMode.RESUME),
    "a restart in the spec": lambda story: story.restarted("t", RestartMode.RESTART),
    "a cancel": lambda story: story.wanted(DesiredState.CANCELLED),
    "a cancel with delete": lambda story: story.wanted(DesiredState.CANCELLED, CancelPolicy.DELETE),
}
"""What could lead to another PostprocessingFinished."""


def aborted() -> UploadScenario:
    """An upload of which the storage was told `abort`, and has not answered."""
    story = begun("a")
    story.answers("abort")
    assert story.upload.stage is Stage.AWAITING_READY
    return story


@pytest.mark.parametrize("what", AGAIN)
@pytest.mark.parametrize("before", ["nothing", "a timer"])
def test_nothing_but_force_restart_sends_a_second_abort(what: str, before: str) -> None:
    story = aborted()
    if before == "a timer":
        story.timer()
    AGAIN[what](story)
    assert [command.mark.detail for command in of_kind(story, Kind.FINISH)] == ["abort"]


def test_force_restart_begins_a_new_run_that_may_abort() -> None:
    story = aborted()
    story.restarted("t", RestartMode.FORCE_RESTART)
    story.answers("abort")
    assert [command.mark.run for command in of_kind(story, Kind.FINISH)] == [1, 2]


@pytest.mark.parametrize("outcome", [None, Outcome.CONTINUE, Outcome.DELETE, Outcome.ABORT])
def test_only_an_abort_is_never_sent_again(outcome: Outcome | None) -> None:
    story = begun("a")
    if outcome is not None:
        story.answers(outcome)
    assert forbids_second_abort(story.upload) is (outcome is Outcome.ABORT)


def test_a_run_never_begins_before_the_announcement() -> None:
    """A clock was set back: a status that begins before the announcement tells of an earlier run."""
    story = begun("a")
    before = Millis(story.upload.received_at - 30_000)
    decision = begin_run(story.upload, before, Config())
    assert decision.upload.started_at == story.upload.received_at
    assert decision.upload.since == before
