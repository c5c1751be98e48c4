"""Events of ours prove that a step had retries left, although a replay has used them up (docs/adr/0055)."""

from collections.abc import Callable, Mapping

import pytest

from uploadpp.core.commands import Kind, Mark
from uploadpp.core.evolve import evolve
from uploadpp.core.inputs import Published, StepFinished
from uploadpp.core.model import Control, FileOrder, Millis, RestartRequest, StepPlan, StepStatus, Streak
from uploadpp.core.states import DesiredState, OnExhausted, Outcome, RestartMode, Stage, StepReason, StepState
from uploadpp.testing.builders import START, UploadScenario, begun, config_of, mark_of, meet


def out_of_retries() -> UploadScenario:
    """A replay, in which the last retry is used up as far as it knows; nothing of that is in the log."""
    story = begun(StepPlan(name="a", max_retries=0), "b")
    story.reads_own_events = False
    story.answers("retry")
    assert (story.upload.stage, story.upload.log.start) == (Stage.AWAITING_READY, None)
    return story


def reads(story: UploadScenario, mark: Mark) -> None:
    """The log shows one of our events."""
    story.sequence = 50
    story.state = meet(story, mark, story.sequence) or story.state


@pytest.mark.parametrize("kinds", [(Kind.RETRY, Kind.START), (Kind.START,)], ids=["each event", "the start"])
def test_a_later_attempt_proves_that_the_breaker_of_its_step_was_open(kinds: tuple[Kind, ...]) -> None:
    story = out_of_retries()
    for kind in kinds:
        reads(story, mark_of(story, kind, 1 if kind is Kind.RETRY else 2, "a"))
    upload = story.upload
    assert (upload.stage, upload.step.attempts, upload.outcome, upload.finishes) == (
        Stage.RUNNING,
        2,
        None,
        0,
    )
    assert upload.log.start is not None
    story.answers("continue")
    assert (story.upload.current_step, story.upload.steps[0].state) == ("b", StepState.SUCCEEDED)


def test_a_retry_proves_that_too() -> None:
    story = out_of_retries()
    reads(story, mark_of(story, Kind.RETRY, 1, "a"))
    assert (story.upload.stage, story.upload.outcome, story.upload.finishes) == (Stage.BACKING_OFF, None, 0)


@pytest.mark.parametrize(
    "change",
    [
        lambda mark: mark._replace(number=1),
        lambda mark: mark._replace(detail="b"),
        lambda mark: mark._replace(kind=Kind.RESTART),
    ],
    ids=["the same attempt", "another step", "a request for a URL"],
)
def test_nothing_else_proves_that(change: Callable[[Mark], Mark]) -> None:
    story = out_of_retries()
    reads(story, change(mark_of(story, Kind.START, 2, "a")))
    assert (story.upload.stage, story.upload.outcome) == (Stage.AWAITING_READY, Outcome.ABORT)


def test_an_outcome_that_is_in_the_log_stays() -> None:
    story = out_of_retries()
    reads(story, mark_of(story, Kind.FINISH, 1, "abort"))
    reads(story, mark_of(story, Kind.START, 2, "a"))
    assert (story.upload.stage, story.upload.outcome) == (Stage.AWAITING_READY, Outcome.ABORT)


def test_a_rejected_upload_stays_rejected() -> None:
    story = begun(StepPlan(name="a", max_retries=0), "b")
    story.reads_own_events = False
    story.answers("abort")
    reads(story, mark_of(story, Kind.START, 2, "a"))
    assert (story.upload.stage, story.upload.outcome) == (Stage.AWAITING_READY, Outcome.ABORT)


# -- what `onExhausted` led to did not happen -------------------------------------------------


def last(
    policy: OnExhausted, *later: str | StepPlan, **settings: Millis | int | Mapping[str, int]
) -> UploadScenario:
    """A replay, in which the first attempt of `a` is also its last one as far as it knows."""
    first = StepPlan(name="a", max_retries=0, on_exhausted=policy)
    story = UploadScenario(config_of(first, *later, **settings))
    story.arrives(expires_at=Millis(START + 12_000))
    story.reads_own_events = False
    return story


def exhausted(story: UploadScenario, after: int = 1_000) -> UploadScenario:
    story.tell(StepFinished("a", "retry", "no memory"), after=Millis(after))
    return story


def released_next() -> UploadScenario:
    return exhausted(last(OnExhausted.CONTINUE))


def deleted_next() -> UploadScenario:
    return exhausted(last(OnExhausted.DELETE))


def started_next() -> UploadScenario:
    return exhausted(last(OnExhausted.CONTINUE, "b"))


def delayed_next() -> UploadScenario:
    return exhausted(last(OnExhausted.CONTINUE, StepPlan(name="delay", delay=Millis(9_000))))


def queued_next() -> UploadScenario:
    return exhausted(last(OnExhausted.CONTINUE, "b", max_in_flight={"b": 1}))


def asking_for_a_url_next() -> UploadScenario:
    return exhausted(last(OnExhausted.CONTINUE, "b"), after=10_900)


def awaiting_its_turn_next() -> UploadScenario:
    story = last(OnExhausted.CONTINUE, order_timeout=Millis(60_000))
    story.state = evolve(story.upload, order=FileOrder(after="other"))
    return exhausted(story)


def suspended_next() -> UploadScenario:
    story = last(OnExhausted.CONTINUE, "b")
    story.wanted(DesiredState.SUSPENDED)
    return exhausted(story)


def held_next() -> UploadScenario:
    return exhausted(last(OnExhausted.HOLD, "b"))


MEMBERS = {
    released_next: Stage.AWAITING_READY,
    deleted_next: Stage.AWAITING_READY,
    started_next: Stage.RUNNING,
    delayed_next: Stage.DELAYING,
    queued_next: Stage.QUEUED,
    asking_for_a_url_next: Stage.AWAITING_URL,
    awaiting_its_turn_next: Stage.AWAITING_TURN,
    suspended_next: Stage.SUSPENDED,
    held_next: Stage.HELD,
}


def is_as_before(story: UploadScenario) -> None:
    """Nothing that the replay had decided is left."""
    upload = story.upload
    assert (upload.cursor, upload.outcome, upload.finishes, upload.url_requests) == (0, None, 0, 0)
    for step in upload.steps[1:]:
        assert (step.state, step.attempts, step.started_at) == (StepState.WAITING, 0, None)


@pytest.mark.parametrize("member", MEMBERS, ids=lambda member: member.__name__)
def test_a_retry_in_the_log_proves_it_whatever_followed(member: Callable[[], UploadScenario]) -> None:
    story = member()
    assert story.upload.stage is MEMBERS[member]
    reads(story, mark_of(story, Kind.RETRY, 1, "a"))
    is_as_before(story)
    step = story.upload.step
    assert (story.upload.stage, step.state, step.attempts) == (Stage.BACKING_OFF, StepState.BACKING_OFF, 1)
    assert (step.reason, step.message) == (None, "no memory"), "it has answered, so it did not time out"
    reads(story, mark_of(story, Kind.START, 2, "a"))
    assert (story.upload.stage, story.upload.step.attempts) == (Stage.RUNNING, 2)


@pytest.mark.parametrize("member", MEMBERS, ids=lambda member: member.__name__)
def test_a_start_in_the_log_proves_it_and_the_file_is_rejected(member: Callable[[], UploadScenario]) -> None:
    story = member()
    reads(story, mark_of(story, Kind.START, 2, "a"))
    is_as_before(story)
    assert (story.upload.stage, story.upload.step.attempts) == (Stage.RUNNING, 2)
    story.answers("abort")
    assert (story.upload.stage, story.upload.outcome) == (Stage.AWAITING_READY, Outcome.ABORT)
    assert story.published[-1] == "finish abort 1"


def test_a_step_that_was_resumed_has_its_retries_again() -> None:
    story = begun(StepPlan(name="a", max_retries=1, on_exhausted=OnExhausted.HOLD))
    story.answers("retry")
    story.timer()
    story.answers("retry")
    assert (story.upload.stage, story.upload.step.retries) == (Stage.HELD, 1)
    reads(story, mark_of(story, Kind.START, 3, "a"))
    assert (story.upload.step.attempts, story.upload.step.retries) == (3, 0)
    story.answers("retry")
    assert story.upload.stage is Stage.BACKING_OFF


def test_an_edit_that_explains_the_start_comes_first() -> None:
    """A held step was resumed, and suspended before it started. The start answers the next edit."""
    story = exhausted(last(OnExhausted.HOLD))
    request = RestartRequest(token="t1", mode=RestartMode.FORCE_RESTART, from_step="absent")
    story.state = evolve(story.upload, stage=Stage.SUSPENDED, control=Control(restart=request, generation=2))
    reads(story, mark_of(story, Kind.START, 2, "a", token="t1"))
    assert (story.upload.stage, story.upload.step.attempts) == (Stage.RUNNING, 2)
    assert (story.upload.observed_token, story.upload.restarts) == ("t1", 0), "the request was refused"


def used_up(policy: OnExhausted) -> UploadScenario:
    """Both retries of `a` are used up; each of its three attempts is in the log."""
    story = begun(StepPlan(name="a", max_retries=2, on_exhausted=policy), "b")
    for _ in range(2):
        story.answers("retry")
        story.timer()
    story.reads_own_events = False
    story.answers("retry")
    assert (story.upload.steps[0].attempts, story.upload.steps[0].retries) == (3, 2)
    return story


def test_a_step_that_was_not_held_has_no_more_retries_than_before() -> None:
    story = used_up(OnExhausted.CONTINUE)
    reads(story, mark_of(story, Kind.START, 4, "a"))
    assert (story.upload.step.attempts, story.upload.step.retries) == (4, 2)


def test_a_retry_of_a_held_step_was_its_last_one() -> None:
    story = used_up(OnExhausted.HOLD)
    reads(story, mark_of(story, Kind.RETRY, 3, "a"))
    assert (story.upload.stage, story.upload.step.retries) == (Stage.BACKING_OFF, 2)


def test_a_step_that_had_not_answered_has_timed_out() -> None:
    story = last(OnExhausted.HOLD)
    held = evolve(story.upload.step, state=StepState.HELD, reason=StepReason.TIMED_OUT)
    story.state = evolve(story.upload, stage=Stage.HELD, steps=(held,))
    reads(story, mark_of(story, Kind.RETRY, 1, "a"))
    assert (story.upload.stage, story.upload.step.reason) == (Stage.BACKING_OFF, StepReason.TIMED_OUT)


@pytest.mark.parametrize("kind", [Kind.RETRY, Kind.START])
@pytest.mark.parametrize("run", [1, 0], ids=["cleaned", "an earlier run"])
def test_what_is_over_or_of_an_earlier_run_stays(kind: Kind, run: int) -> None:
    story = queued_next()
    if run:
        story.cleaned()
    stage = story.upload.stage
    reads(story, mark_of(story, kind, 1 if kind is Kind.RETRY else 2, "a", run=run))
    assert (story.upload.stage, story.upload.outcome) == (stage, None)
    assert story.upload.steps[0].state is StepState.FAILED


@pytest.mark.parametrize(("after", "state"), [(8_999, StepState.WAITING), (9_000, StepState.SUCCEEDED)])
def test_a_delay_that_followed_has_passed_if_it_is_over(after: int, state: StepState) -> None:
    story = delayed_next()
    reads(story, mark_of(story, Kind.START, 1, "delay"))
    assert story.upload.stage is Stage.DELAYING
    story.now = Millis(story.now + after)
    reads(story, mark_of(story, Kind.START, 2, "a"))
    assert [step.state for step in story.upload.steps] == [StepState.RUNNING, state]


def test_people_are_told_later_of_a_step_before_it_for_which_the_file_is_too_large() -> None:
    """The plan of an event had put that step before the held one, and its turn comes after it."""
    story = begun(StepPlan(name="small", max_filesize=1), StepPlan(name="a", on_exhausted=OnExhausted.HOLD))
    told = len(story.notices)
    held = StepStatus(StepState.HELD, 1, 14, reason=StepReason.RETRIES_EXHAUSTED)
    story.state = evolve(story.upload, stage=Stage.HELD, steps=(StepStatus(), held))
    reads(story, mark_of(story, Kind.START, 2, "a"))
    assert story.upload.steps[0] == StepStatus()
    story.answers("continue")
    assert story.upload.steps[0].reason is StepReason.TOO_LARGE
    assert len(story.notices) == told + 1


def test_a_time_out_of_another_step_explains_nothing_if_the_breaker_was_open() -> None:
    """Without retries `b` would have been passed over, and then `a` started, which is open by its plan."""
    minute = Millis(60_000)
    last_attempt = StepPlan(name="a", timeout=minute, max_retries=0)
    story = begun(last_attempt, evolve(last_attempt, name="b", on_exhausted=OnExhausted.CONTINUE))
    running = story.upload.step
    failed = evolve(running, state=StepState.FAILED, reason=StepReason.RETRIES_EXHAUSTED)
    story.state = evolve(story.upload, cursor=1, steps=(failed, running))
    streak = Streak(START, START, 3, START)
    story.tell(Published(mark_of(story, Kind.START, 2, "a"), 50, None, streak), after=minute)
    first, second = story.upload.steps
    assert (first.state, first.attempts, first.streak) == (StepState.RUNNING, 2, streak)
    assert (second.state, second.attempts, second.streak) == (StepState.WAITING, 1, None)
