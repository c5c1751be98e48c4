"""Resume: what the upload waits for is done again."""

import pytest

from uploadpp.core.commands import Kind
from uploadpp.core.evolve import evolve
from uploadpp.core.inputs import Resume
from uploadpp.core.machine import decide
from uploadpp.core.model import Control, Millis, StepPlan
from uploadpp.core.states import (
    DesiredState,
    Ignored,
    OnExhausted,
    Stage,
)
from uploadpp.testing.builders import START, UploadScenario, begun, by_hand, config_of, placeless

HELD = StepPlan(name="a", max_retries=0, on_exhausted=OnExhausted.HOLD)
SUSPENDED, ACTIVE, CANCELLED = DesiredState.SUSPENDED, DesiredState.ACTIVE, DesiredState.CANCELLED


def test_resume_starts_the_running_step_again_as_a_new_attempt() -> None:
    story = begun("a")
    story.timer()
    story.resumed()
    assert story.published == ["start a 1", "start a 2"]
    assert (story.upload.step.retries, story.upload.stalled_at) == (0, None)


@pytest.mark.parametrize("step", ["", "a"])
def test_resume_cancels_the_back_off(step: str) -> None:
    story = begun("a")
    story.answers("retry")
    story.resumed(step)
    assert story.published[-1] == "start a 2"
    assert (story.upload.stage, story.upload.next_attempt_at) == (Stage.RUNNING, None)
    assert story.upload.step.retries == 1, "only a held step gets its budget back"


def test_resume_begins_a_delay_anew() -> None:
    story = begun(StepPlan(name="delay", delay=Millis(9_000)))
    story.resumed()
    assert story.published == ["start delay 1", "start delay 2"]
    assert story.upload.next_attempt_at == story.now + 9_000


def test_resume_gives_a_held_step_its_retries_back() -> None:
    story = begun(evolve(HELD, max_retries=1))
    story.answers("retry")
    story.timer()
    story.answers("retry")
    story.resumed()
    assert (story.upload.stage, story.upload.step.retries, story.upload.step.attempts) == (
        Stage.RUNNING,
        0,
        3,
    )
    story.answers("retry")
    assert story.upload.stage is Stage.BACKING_OFF


def test_resume_of_another_step_means_nothing() -> None:
    story = begun("a", "b")
    for step in ("b", "finished"):
        assert story.resumed(step).ignored is Ignored.OTHER_STEP
    assert story.published == ["start a 1"]


def test_resume_asks_for_the_url_again() -> None:
    story = UploadScenario(config_of("a"))
    story.arrives(expires_at=START)
    story.resumed()
    assert story.published == ["restart a 1", "restart a 2"]


@pytest.mark.parametrize("outcome", ["continue", "delete"])
def test_resume_sends_the_order_again(outcome: str) -> None:
    story = begun("a")
    story.answers(outcome)
    story.resumed("finished")
    assert story.published[1:] == [f"finish {outcome} 1", f"finish {outcome} 2"]


def test_resume_after_abort_is_refused() -> None:
    story = begun("a")
    story.answers("abort")
    assert story.resumed().ignored is Ignored.UPLOAD_ABORTED
    story.ready(failed=True)
    assert story.resumed().ignored is Ignored.UPLOAD_ENDED


@pytest.mark.parametrize("tries", [0, 5])
def test_resume_releases_again_with_a_fresh_budget(tries: int) -> None:
    story = begun("a", max_releases=tries)
    story.answers("continue")
    story.ready(failed=True)
    story.resumed("finished")
    upload = story.upload
    assert (upload.stage, upload.releases, upload.finishes) == (Stage.AWAITING_READY, 0, 2)
    assert (upload.completed_at, upload.expires_at, upload.stalled_at) == (None, None, None)


def test_resume_of_an_unknown_upload_asks_the_storage_for_it() -> None:
    decision = decide(None, "x", Resume(), START, config_of("a"))
    (command,) = decision.commands
    assert decision.upload is None
    assert (command.mark.kind, command.mark.received_at, command.mark.number) == (Kind.RESTART, START, 1)
    assert decide(None, "x", Resume(step="a"), START, config_of("a")).ignored is Ignored.UNKNOWN_UPLOAD


@pytest.mark.parametrize("answer", [None, "continue", "retry"])
def test_resume_does_not_disturb_a_suspended_upload(answer: str | None) -> None:
    story = begun(evolve(HELD, max_retries=1), "b")
    story.wanted(SUSPENDED)
    if answer:
        story.answers(answer)
    before = story.upload
    assert story.resumed().ignored is Ignored.SUSPENDED
    assert placeless(story.upload) == placeless(before)


def test_resume_starts_what_was_not_looked_at_yet() -> None:
    story = by_hand()
    story.resumed()
    assert story.published == ["start a 1"]
    cancelled = by_hand(Control(desired=CANCELLED))
    assert cancelled.resumed().ignored is Ignored.UPLOAD_ENDED
