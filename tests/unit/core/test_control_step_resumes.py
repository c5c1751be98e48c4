"""Requests in the spec, to the letter: what is published for them, and what a refusal leaves undone."""

import pytest

from uploadpp.core.commands import Kind, Mark, Notice, NoticeType, ResumeStep
from uploadpp.core.evolve import evolve
from uploadpp.core.inputs import Resume
from uploadpp.core.model import Control, Millis, RestartRequest
from uploadpp.core.states import DesiredState, Ignored, RestartMode, Stage
from uploadpp.testing.builders import SECOND, START, UploadScenario, begun, by_hand, config_of

RESUME, RESUME_STEP = RestartMode.RESUME, RestartMode.RESUME_STEP
SUSPENDED, ACTIVE = DesiredState.SUSPENDED, DesiredState.ACTIVE


def suspended() -> UploadScenario:
    """An upload that waits before its second step."""
    story = begun("a", "b")
    story.wanted(SUSPENDED)
    story.answers("continue")
    assert (story.upload.stage, story.upload.current_step) == (Stage.SUSPENDED, "b")
    return story


def wishing() -> UploadScenario:
    """The spec asks for a whole step, and the status does not say yet that it was carried out."""
    story = begun("a", "b")
    request = RestartRequest(token="t1", mode=RESUME_STEP)
    story.state = evolve(story.upload, control=Control(restart=request, generation=2))
    return story


def test_a_wish_for_a_step_goes_out_with_its_token_and_says_so() -> None:
    story = begun("a", "b")
    story.restarted("t0")
    decision = story.restarted("t1", RESUME_STEP)
    assert decision.commands == (
        ResumeStep(Mark(Kind.RESUME, story.upload.received_at, 2, 1, "t1", "t1"), "a"),
    )
    text = "resumed all uploads in step a, as requested by restart token t1"
    assert decision.notices == (Notice(NoticeType.NORMAL, "StepResumed", text),)


def test_a_wish_for_a_step_that_is_met_in_the_log_is_carried_out() -> None:
    """Killed after publishing it and before the status that says so was written."""
    story = wishing()
    decision = story.tell(Resume("a", "t1"))
    assert story.published == ["start a 1", "start a 2"]
    assert (decision.ignored, story.upload.since, story.upload.step.attempts) == (None, story.now, 2)
    assert (story.upload.observed_token, story.upload.restarts) == ("t1", 1)


def test_a_wish_for_a_step_that_is_met_elsewhere_is_noted_all_the_same() -> None:
    story = wishing()
    story.answers("continue")
    decision = story.tell(Resume("a", "t1"))
    assert (decision.ignored, decision.commands) == (None, ())
    assert (story.upload.observed_token, story.upload.current_step) == ("t1", "b")


def test_a_suspended_upload_asks_for_its_own_step_only() -> None:
    """Its desired state may lead it out of the stage, and that comes before a request for others."""
    story = suspended()
    decision = story.restarted("t1", RESUME_STEP, "a", desired=SUSPENDED)
    assert decision.commands == ()
    assert (
        decision.notices[0].message
        == "this upload is Suspended; set the token on an upload that is in the step"
    )
    decision = story.restarted("t2", RESUME_STEP, "b", desired=SUSPENDED)
    assert [command.step for command in decision.commands if isinstance(command, ResumeStep)] == ["b"]


def test_an_upload_that_was_not_looked_at_yet_starts_and_asks_for_no_others() -> None:
    request = RestartRequest(token="t1", mode=RESUME_STEP, from_step="a")
    story = by_hand(Control(restart=request))
    decision = story.edited(story.upload.control)
    assert (
        decision.notices[0].message
        == "this upload is Pending; set the token on an upload that is in the step"
    )
    assert story.published == ["start a 1"]


@pytest.mark.parametrize("mode", [RestartMode.RESTART, RestartMode.FORCE_RESTART])
def test_a_restart_cannot_begin_after_the_last_step(mode: RestartMode) -> None:
    story = begun("a")
    decision = story.restarted("t1", mode, "finished")
    assert (decision.commands, story.upload.run) == ((), 1)
    assert decision.notices[0].message == "spec.restart.fromStep: the upload has no step 'finished'"


def test_suspending_is_carried_out_although_the_resume_beside_it_is_refused() -> None:
    story = begun("a", max_in_flight={"a": 1})
    decision = story.restarted("t1", RESUME, desired=SUSPENDED)
    assert [notice.reason for notice in decision.notices] == ["RestartRefused"]
    assert (story.upload.stage, story.upload.since) == (Stage.SUSPENDED, story.now)


def test_a_resume_of_who_is_queued_is_refused_and_leaves_it_in_the_queue() -> None:
    story = begun("a", max_in_flight={"a": 1})
    queued_at = story.now
    decision = story.restarted("t1", RESUME)
    why = "the upload is waiting for a slot at step a"
    assert decision.notices == (Notice(NoticeType.WARNING, "RestartRefused", why),)
    assert (story.upload.stage, story.upload.since, story.upload.restarts) == (Stage.QUEUED, queued_at, 0)
    assert story.upload.message == f"restart refused: {why}"


# -- twice within a second, as in a loop -------------------------------------------------------


def restarted(story: UploadScenario, token: str, *, after: int, from_step: str = "") -> list[str]:
    """What is published for a restart that is asked for some time after the last message."""
    before = len(story.published)
    story.now = Millis(story.now - SECOND + after)
    story.restarted(token, from_step=from_step)
    return story.published[before:]


@pytest.mark.parametrize(("after", "starts"), [(0, []), (999, []), (1_000, ["start a 1"])], ids=str)
def test_a_second_restart_within_a_second_is_the_same_one(after: int, starts: list[str]) -> None:
    story = begun("a", "b")
    assert restarted(story, "t1", after=500) == ["start a 1"], "the first one always counts"
    assert restarted(story, "t2", after=after) == starts
    assert (story.upload.observed_token, story.upload.restarts) == ("t2", 2)


def test_a_second_restart_from_another_step_is_another_one() -> None:
    story = begun("a", "b")
    restarted(story, "t1", after=500)
    assert restarted(story, "t2", after=10, from_step="b") == ["start b 1"]


@pytest.mark.parametrize("after", [0, 999])
def test_a_resume_of_a_step_within_a_second_of_its_start_is_done(after: int) -> None:
    story = begun("a")
    before = story.upload
    decision = story.tell(Resume("a"), after=Millis(after))
    assert decision.ignored is Ignored.DUPLICATE
    assert decision.why == "what the resume asks for was done less than a second ago"
    assert evolve(story.upload, log=before.log) == before


def test_a_resume_of_a_step_a_second_after_its_start_starts_it_again() -> None:
    story = begun("a")
    story.tell(Resume("a"), after=SECOND)
    assert story.published == ["start a 1", "start a 2"]


def test_a_resume_of_a_step_within_a_second_asks_for_no_second_url() -> None:
    """It also queued an upload again that had just got its slot, so another one got that."""
    story = UploadScenario(config_of("a"))
    story.arrives(expires_at=START)
    assert story.tell(Resume("a"), after=Millis(999)).ignored is Ignored.DUPLICATE
    story.tell(Resume("a"), after=Millis(1))
    assert story.published == ["restart a 1", "restart a 2"]


def test_a_resume_of_the_release_within_a_second_of_it_is_done_too() -> None:
    story = begun()
    assert story.tell(Resume("finished"), after=Millis(999)).ignored is Ignored.DUPLICATE
    story.tell(Resume("finished"), after=Millis(1))
    assert story.published == ["finish continue 1", "finish continue 2"]
