"""StartedElsewhere, RetriedElsewhere, FinishedElsewhere: what another service does to an upload of ours."""

import pytest

from uploadpp.core.commands import Mark, Notice, NoticeType
from uploadpp.core.decision import AnyDecision
from uploadpp.core.evolve import evolve
from uploadpp.core.inputs import FinishedElsewhere, RetriedElsewhere, StartedElsewhere
from uploadpp.core.model import Control, Millis, StepPlan, Upload
from uploadpp.core.rules.elsewhere import understood
from uploadpp.core.rules.timers import wake_at
from uploadpp.core.states import Ignored, OnExhausted, Outcome, Stage, StepReason, StepState
from uploadpp.testing.builders import START, UPLOAD_ID, UploadScenario, arrival, begun, config_of, placeless

DELAY = StepPlan(name="delay", delay=Millis(10_000))
VERDICTS = {"continue": Stage.COMPLETED, "abort": Stage.ABORTED, "delete": Stage.DELETED}
BACKWARDS = Millis(-5_000)
"""The time until the next message, by the clock of a server that is behind."""


def starts(story: UploadScenario, step: str, *, after: Millis = Millis(1_000)) -> AnyDecision:
    """Another service starts a step."""
    return story.tell(StartedElsewhere(step, story.sequence + 1), after=after)


def finishes(story: UploadScenario, outcome: str, *, after: Millis = Millis(1_000)) -> AnyDecision:
    """Another service tells the storage an outcome."""
    return story.tell(FinishedElsewhere(outcome, story.sequence + 1), after=after)


def unheard(*steps: str | StepPlan, **settings: Millis | int | dict[str, int]) -> UploadScenario:
    """An upload that has arrived; what it publishes from now on is held, as during a replay."""
    story = UploadScenario(config_of(*steps, **settings))
    story.reads_own_events = False
    story.arrives()
    return story


def in_stage(stage: Stage) -> UploadScenario:
    """An upload that is in a stage at the first of its two steps."""
    story = UploadScenario(config_of(StepPlan(name="a", max_retries=0, on_exhausted=OnExhausted.HOLD), "b"))
    match stage:
        case Stage.QUEUED:
            story.config = config_of("a", "b", max_in_flight={"a": 1})
        case Stage.DELAYING:
            story.config = config_of(DELAY, "b")
        case Stage.BACKING_OFF:
            story.config = config_of("a", "b")
        case Stage.AWAITING_URL:
            story.tell(arrival(expires_at=Millis(START + 1)))
        case Stage.PENDING:
            story.state = Upload(id=UPLOAD_ID, received_at=START, plan=story.config.steps)
    if story.state is None:
        story.arrives()
    if stage in {Stage.BACKING_OFF, Stage.HELD}:
        story.answers("retry")
    assert story.upload.stage is stage
    return story


def releasing(*, failures: int = 0) -> UploadScenario:
    """An upload whose release has gone out, and has failed so many times."""
    story = begun("a", max_releases=2)
    story.answers("continue")
    for number in range(1, failures + 1):
        story.ready(failed=True)
        if number < failures:
            story.timer()
    return story


def held_mark(story: UploadScenario) -> Mark:
    """The command that was decided last and is not out."""
    return story.commands[-1].mark


# -- a start ---------------------------------------------------------------------------------


@pytest.mark.parametrize("step", ["a", DELAY], ids=["service", "delay"])
def test_a_start_of_another_service_stands_for_ours_that_is_not_out(step: str | StepPlan) -> None:
    story = unheard(step, "b")
    before = story.upload
    decision = starts(story, before.current_step)
    assert (decision.commands, decision.notices, decision.ignored) == ((), (), None)
    assert decision.met == held_mark(story)
    after = story.upload
    assert (after.stage, after.step.state, after.step.attempts) == (before.stage, StepState.RUNNING, 1)
    assert (after.log.start, after.step.started_at) == (story.sequence, story.now)
    assert after.next_attempt_at == before.next_attempt_at
    assert placeless(after.with_step(0, before.step)) == placeless(before)


def test_its_service_answers_to_that_start() -> None:
    story = unheard("a", "b")
    assert story.answers("continue").ignored is Ignored.BEFORE_START
    starts(story, "a")
    story.answers("continue")
    assert (story.upload.current_step, story.upload.steps[0].state) == ("b", StepState.SUCCEEDED)


def test_the_time_for_an_answer_runs_from_the_start_of_the_other_service() -> None:
    story = unheard(StepPlan(name="a", stall_after=Millis(60_000)))
    starts(story, "a", after=Millis(30_000))
    assert wake_at(story.upload, story.config) == story.now + 60_000


def test_a_clock_that_is_behind_does_not_move_the_start_back() -> None:
    story = unheard("a")
    began = story.upload.step.started_at
    starts(story, "a", after=BACKWARDS)
    assert story.upload.step.started_at == began


def test_a_step_without_a_time_of_its_start_began_with_its_stage() -> None:
    """As in a status that an earlier version has written."""
    story = unheard("a")
    story.state = story.upload.with_step(0, evolve(story.upload.step, started_at=None))
    starts(story, "a", after=BACKWARDS)
    assert story.upload.step.started_at == story.upload.since


STARTABLE = {Stage.RUNNING, Stage.BACKING_OFF, Stage.QUEUED, Stage.AWAITING_URL}
"""Where a service that runs beside ours can start the current step by itself."""


@pytest.mark.parametrize("stage", sorted(STARTABLE))
def test_a_start_in_any_other_wait_is_a_new_attempt(stage: Stage) -> None:
    """Nothing of ours goes out for it."""
    story = in_stage(stage)
    before = story.upload.step
    out = len(story.commands)
    decision = starts(story, "a")
    after = story.upload
    assert (decision.ignored, len(story.commands)) == (None, out)
    assert (after.stage, after.step.state) == (Stage.RUNNING, StepState.RUNNING)
    assert (after.step.attempts, after.step.retries) == (before.attempts + 1, before.retries)
    assert (after.log.start, after.step.started_at) == (story.sequence, story.now)
    story.answers("continue")
    assert story.upload.current_step == "b"


def test_a_start_takes_the_place_of_our_notice_of_a_retry() -> None:
    story = begun("a")
    story.reads_own_events = False
    story.answers("retry")
    assert starts(story, "a").met == held_mark(story)
    assert story.upload.next_attempt_at is None


def test_a_start_in_place_of_no_command_has_met_none() -> None:
    assert starts(begun("a"), "a").met is None


@pytest.mark.parametrize(
    ("step", "named"),
    [("b", "b"), ("nobody", "nobody"), ("", "a step without name")],
    ids=["next", "unknown", "nameless"],
)
def test_a_start_of_another_step_changes_nothing(step: str, named: str) -> None:
    story = begun("a", "b")
    before = story.upload
    decision = starts(story, step)
    assert decision.ignored is Ignored.NOT_CURRENT_STEP
    assert decision.why == f"another service started {named}, which is not the current step"
    assert placeless(story.upload) == placeless(before)


def test_nothing_starts_once_all_steps_are_over() -> None:
    """The storage is asked whether it has the file, and no step is current."""
    story = UploadScenario(config_of())
    nameless = evolve(arrival('""').origin, by_hand=True)
    story.state = Upload(id=UPLOAD_ID, received_at=START, origin=nameless)
    story.edited(Control())
    assert (story.upload.stage, story.upload.current_step) == (Stage.AWAITING_URL, "finished")
    assert starts(story, "finished").ignored is Ignored.NOT_CURRENT_STEP


def test_a_delay_that_has_begun_is_not_begun_again() -> None:
    story = begun(DELAY, "b")
    before = story.upload
    decision = starts(story, "delay")
    assert decision.ignored is Ignored.DUPLICATE
    assert decision.why == "the delay has begun, and the operator runs it itself"
    assert placeless(story.upload) == placeless(before)


# -- a retry ---------------------------------------------------------------------------------


def test_the_notice_of_a_retry_is_not_published_twice() -> None:
    story = begun("a")
    story.reads_own_events = False
    story.answers("retry")
    before = story.upload
    decision = story.tell(RetriedElsewhere())
    assert decision.met == held_mark(story)
    assert (decision.ignored, decision.commands) == (Ignored.ALREADY_APPLIED, ())
    assert decision.why == "another service published the retry"
    assert placeless(story.upload) == placeless(before)
    story.timer()
    assert story.published[-1] == "start a 2"


# -- an outcome ------------------------------------------------------------------------------

WORDS = {
    "continue": (Outcome.CONTINUE, StepState.SKIPPED, "release the file"),
    "delete": (Outcome.DELETE, StepState.FAILED, "delete the upload"),
    "abort": (Outcome.ABORT, StepState.FAILED, "abort the upload"),
    "retry": (Outcome.ABORT, StepState.FAILED, "abort the upload"),
    "": (Outcome.ABORT, StepState.FAILED, "abort the upload"),
    "Continue": (Outcome.ABORT, StepState.FAILED, "abort the upload"),
}
"""What the storage makes of a word, how the step that it cuts short ends, and what people are told."""


@pytest.mark.parametrize("word", WORDS, ids=[word or "nothing" for word in WORDS])
def test_the_storage_aborts_at_any_word_it_does_not_know(word: str) -> None:
    assert understood(word) is WORDS[word][0]


@pytest.mark.parametrize("word", WORDS, ids=[word or "nothing" for word in WORDS])
def test_an_outcome_told_by_another_service_cuts_the_current_step_short(word: str) -> None:
    story = begun("a", "b")
    decision = finishes(story, word)
    outcome, state, verb = WORDS[word]
    step, other = story.upload.steps
    assert (step.state, step.reason, step.finished_at) == (state, StepReason.FINISHED_ELSEWHERE, story.now)
    assert other.state is StepState.WAITING
    assert (story.upload.stage, story.upload.outcome, story.upload.cursor) == (
        Stage.AWAITING_READY,
        outcome,
        2,
    )
    text = f"another service told the storage to {verb} before postprocessing ended"
    assert story.upload.message == text
    assert decision.notices == (Notice(NoticeType.WARNING, "FinishedElsewhere", text),)


@pytest.mark.parametrize("stage", sorted(STARTABLE | {Stage.DELAYING, Stage.HELD, Stage.PENDING}))
@pytest.mark.parametrize("outcome", VERDICTS)
def test_all_that_is_left_is_to_wait_for_the_storage(stage: Stage, outcome: str) -> None:
    story = in_stage(stage)
    out = len(story.commands)
    finishes(story, outcome)
    after = story.upload
    assert (after.stage, after.finishes, after.since) == (Stage.AWAITING_READY, 1, story.now)
    assert (after.log.start, after.next_attempt_at, after.stalled_at) == (story.sequence, None, None)
    story.ready(failed=outcome != "continue")
    assert (story.upload.stage, len(story.commands)) == (VERDICTS[outcome], out)


def test_an_outcome_takes_the_place_of_our_notice_of_a_retry() -> None:
    story = begun("a")
    story.reads_own_events = False
    story.answers("retry")
    assert finishes(story, "continue").met == held_mark(story)


def test_an_outcome_is_the_one_that_we_would_have_told() -> None:
    story = begun("a")
    story.reads_own_events = False
    story.answers("continue")
    before = story.upload
    decision = finishes(story, "continue", after=Millis(30_000))
    assert (decision.met, decision.notices, decision.ignored) == (held_mark(story), (), None)
    after = story.upload
    assert (after.since, after.log.start, after.finishes) == (story.now, story.sequence, 1)
    assert placeless(evolve(after, since=before.since)) == placeless(before)
    story.ready()
    assert story.upload.stage is Stage.COMPLETED


def test_a_clock_that_is_behind_does_not_lengthen_the_wait_for_the_storage() -> None:
    story = begun("a")
    story.reads_own_events = False
    story.answers("continue")
    since = story.upload.since
    finishes(story, "continue", after=BACKWARDS)
    assert story.upload.since == since


def test_another_outcome_than_the_one_we_have_not_told_yet_is_what_counts() -> None:
    """Ours never goes out, so both are the first."""
    story = begun("a")
    story.reads_own_events = False
    story.answers("continue")
    decision = finishes(story, "abort")
    after = story.upload
    assert (after.outcome, after.finishes, decision.met) == (Outcome.ABORT, 1, None)
    assert (after.steps[0].state, after.steps[0].reason) == (StepState.SUCCEEDED, None)
    assert [notice.reason for notice in decision.notices] == ["FinishedElsewhere"]


@pytest.mark.parametrize("outcome", ["continue", "abort"])
def test_an_outcome_after_ours_is_out_is_a_second_one(outcome: str) -> None:
    story = releasing()
    before = story.upload
    decision = finishes(story, outcome)
    assert decision.ignored is Ignored.DUPLICATE
    assert decision.why == f"the storage had been told continue before another service told it {outcome}"
    assert placeless(story.upload) == placeless(before)


def test_an_outcome_after_a_failed_release_is_another_try() -> None:
    story = releasing(failures=1)
    assert story.upload.stage is Stage.RELEASE_BACKING_OFF
    finishes(story, "continue")
    after = story.upload
    assert (after.stage, after.finishes, after.releases) == (Stage.AWAITING_READY, 2, 1)
    assert after.next_attempt_at is None


def test_an_outcome_after_we_gave_up_begins_a_new_budget() -> None:
    story = releasing(failures=3)
    assert story.upload.stage is Stage.UPLOAD_FAILED
    finishes(story, "continue")
    after = story.upload
    assert (after.stage, after.finishes, after.releases) == (Stage.AWAITING_READY, 4, 0)
    assert (after.completed_at, after.expires_at) == (None, None)
    assert after.steps[0].state is StepState.SUCCEEDED
