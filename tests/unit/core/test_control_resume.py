"""Resume: what the upload waits for is done again."""

from collections.abc import Callable

import pytest

from uploadpp.core.commands import Kind
from uploadpp.core.evolve import evolve
from uploadpp.core.inputs import Resume, StepFinished
from uploadpp.core.machine import decide
from uploadpp.core.model import Control, Millis, PolicyRef, RestartRequest, StepPlan
from uploadpp.core.policy import Choice, PolicyAction
from uploadpp.core.states import (
    DesiredState,
    Ignored,
    OnExhausted,
    RestartMode,
    Stage,
)
from uploadpp.testing.builders import START, UploadScenario, arrival, begun, by_hand, config_of, placeless

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


# -- what it asks for is decided, and not in the log yet ------------------------------------------


def unpublished(*steps: str | StepPlan) -> UploadScenario:
    """An upload whose events wait for the stream, or a replay that has not met them."""
    story = UploadScenario(config_of(*steps))
    story.reads_own_events = False
    story.arrives()
    return story


@pytest.mark.parametrize("step", ["a", StepPlan(name="delay", delay=Millis(9_000))])
def test_resume_counts_no_attempt_beside_one_that_is_to_be_published(step: str | StepPlan) -> None:
    story = unpublished(step)
    before = story.upload
    assert story.resumed().ignored is Ignored.DUPLICATE
    assert placeless(story.upload) == placeless(before)
    story.read_own_event(story.commands[-1])
    story.resumed()
    assert story.published[-1].endswith(" 2")


def test_resume_of_a_release_that_is_to_be_published_renews_its_budget_only() -> None:
    story = unpublished("a")
    story.read_own_event(story.commands[-1])
    story.answers("continue")
    assert story.resumed().ignored is Ignored.DUPLICATE
    story.read_own_event(story.commands[-1])
    story.ready(failed=True)
    story.timer()
    assert (story.upload.releases, story.published[-1]) == (1, "finish continue 2")
    assert story.resumed("elsewhere").ignored is Ignored.DUPLICATE
    assert story.upload.releases == 1
    assert story.resumed().ignored is None
    assert (story.upload.releases, story.published[-1]) == (0, "finish continue 2")


def test_resume_by_an_edit_is_carried_out_even_so() -> None:
    """It is in no log, so no replay can come to it too early."""
    story = unpublished("a")
    story.restarted("t1", RestartMode.RESUME)
    assert story.published == ["start a 1", "start a 2"]


def test_request_for_a_step_is_done_by_the_attempt_that_is_to_be_published() -> None:
    story = unpublished("a")
    request = RestartRequest(token="t1", mode=RestartMode.RESUME_STEP)
    story.state = evolve(story.upload, control=Control(restart=request))
    assert story.tell(Resume("a", "t1")).ignored is None
    assert (story.upload.observed_token, story.published) == ("t1", ["start a 1"])


def suspended_while_it_was_resumed() -> UploadScenario:
    story = begun("a", "b")
    story.wanted(SUSPENDED)
    story.answers("continue")
    assert story.resumed().ignored is Ignored.SUSPENDED
    story.wanted(ACTIVE)
    return story


def queued_while_it_was_resumed() -> UploadScenario:
    story = UploadScenario(evolve(config_of("b"), max_in_flight={"b": 1}))
    story.arrives()
    assert story.resumed().ignored is Ignored.NOTHING_DUE
    story.granted()
    return story


def resumed_by_a_policy_that_held_it() -> UploadScenario:
    hold = Choice(ref=PolicyRef("default", 1, "hold"), action=PolicyAction.HOLD)
    story = UploadScenario(config_of("b"))
    story.tell(evolve(arrival(), choice=hold))
    assert story.resumed().ignored is None
    return story


@pytest.mark.parametrize("outcome", ["continue", "abort", "delete"])
@pytest.mark.parametrize(
    "live", [suspended_while_it_was_resumed, queued_while_it_was_resumed, resumed_by_a_policy_that_held_it]
)
def test_a_replay_that_decides_a_start_early_still_hears_its_answer(
    live: Callable[[], UploadScenario], outcome: str
) -> None:
    """It does not know of the wait in which the request did nothing, and decides the start at once.

    A second attempt would be counted otherwise, the first answer would be dropped as one to an earlier
    attempt, and the release would look as if the step had never answered.
    """
    story = live()
    story.answers(outcome, "b")
    story.ready(failed=outcome == "abort")
    log = [StepFinished("a", "continue")] if len(story.upload.plan) > 1 else []
    starts = [command for command in story.commands if command.mark.kind is Kind.START]
    replayed = unpublished(*(plan.name for plan in story.upload.plan))
    for answer, command in zip(log, starts, strict=False):
        replayed.read_own_event(command)
        replayed.tell(answer)
    replayed.resumed()
    replayed.read_own_event(starts[-1])
    replayed.answers(outcome, "b")
    replayed.read_own_event(story.commands[-1])
    replayed.ready(failed=outcome == "abort")
    assert (replayed.upload.stage, replayed.upload.outcome) == (story.upload.stage, story.upload.outcome)
    told = [(step.state, step.reason, step.attempts) for step in replayed.upload.steps]
    assert told == [(step.state, step.reason, step.attempts) for step in story.upload.steps]
