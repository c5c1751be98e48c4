"""Published: our own commands come back through the log, perhaps ahead of what was stored."""

import pytest

from uploadpp.core.commands import Kind, Mark, Notice, NoticeType
from uploadpp.core.evolve import evolve
from uploadpp.core.inputs import Published
from uploadpp.core.machine import decide
from uploadpp.core.model import Control, Millis, RestartRequest, StepPlan, Upload
from uploadpp.core.plan_text import Planned
from uploadpp.core.states import (
    DesiredState,
    Ignored,
    OnExhausted,
    Outcome,
    RestartMode,
    Stage,
    StepReason,
    StepState,
)
from uploadpp.testing.builders import RESTART_USER, START, UploadScenario, begun, config_of, mark_of, meet

QUICK = StepPlan(name="a", timeout=Millis(60_000), max_retries=1, backoff=Millis(1_000))


def unproven(*steps: str | StepPlan) -> UploadScenario:
    """An upload whose commands have not come back."""
    story = UploadScenario(config_of(*steps))
    story.reads_own_events = False
    story.arrives()
    return story


def test_the_place_of_a_command_is_what_answers_are_compared_with() -> None:
    story = unproven("a")
    assert story.upload.log.start is None
    told = meet(story, story.commands[0].mark, 50)
    assert told is not None
    assert told == evolve(story.upload, log=evolve(story.upload.log, start=50))


def test_a_command_seen_twice_keeps_its_first_place() -> None:
    story = unproven("a")
    story.read_own_event(story.commands[0])
    assert meet(story, story.commands[0].mark, 900) is None


@pytest.mark.parametrize("kind", [Kind.RETRY, Kind.RESTART])
def test_notices_and_requests_have_no_place(kind: Kind) -> None:
    story = begun("a")
    if kind is Kind.RETRY:
        story.answers("retry")
    else:
        story = UploadScenario(config_of("a"))
        story.arrives(expires_at=START)
    assert meet(story, story.commands[-1].mark) is None


def test_commands_of_an_earlier_upload_of_the_same_name_mean_nothing() -> None:
    story = begun("a")
    other = evolve(mark_of(story, Kind.FINISH, 9, "abort"), received_at=Millis(1))
    assert meet(story, other) is None


def test_commands_from_before_mean_nothing() -> None:
    story = begun("a", "b")
    story.answers("continue")
    story.answers("continue")
    for command in story.commands[:-1]:
        assert meet(story, command.mark) is None
    assert meet(story, mark_of(story, Kind.START, 5, "b")) is None, "nothing starts after a finish"
    assert meet(story, mark_of(story, Kind.FINISH, 9, "abort", run=0)) is None


def test_a_step_that_is_not_in_the_plan_means_nothing() -> None:
    assert meet(begun("a"), mark_of(begun("a"), Kind.START, 9, "absent")) is None


def test_a_retry_from_before_or_of_another_step_means_nothing() -> None:
    story = begun("a", "b")
    story.answers("retry")
    story.timer()
    for number, detail in ((1, "a"), (2, "b"), (3, "a")):
        assert meet(story, mark_of(story, Kind.RETRY, number, detail)) is None
    story.answers("retry")
    assert meet(story, mark_of(story, Kind.RETRY, 3, "a")) is None


def test_a_request_for_a_url_is_ahead_only_by_its_number() -> None:
    story = UploadScenario(config_of("a"))
    story.arrives(expires_at=START)
    told = meet(story, mark_of(story, Kind.RESTART, 2, "a"))
    assert told is not None
    assert (told.stage, told.url_requests, told.log.start) == (Stage.AWAITING_URL, 2, None)
    story.state = told
    assert meet(story, mark_of(story, Kind.RESTART, 1, "a")) is None


def test_a_timer_is_told_as_it_was() -> None:
    """Of a timeout only the notice of the retry survived; then only the next attempt."""
    live, replayed = begun(QUICK), begun(QUICK)
    live.timer()
    live.timer()
    for command in live.commands[1:]:
        told = meet(replayed, command.mark, 4, after=Millis(60_000))
        assert told is not None
        replayed.state = told
    assert (replayed.upload.stage, replayed.upload.step.attempts) == (Stage.RUNNING, 2)
    assert replayed.upload.step.retries == live.upload.step.retries == 1
    assert replayed.upload.log.start == 4


def test_a_timeout_after_a_report_is_told_although_reports_are_not_published() -> None:
    plan = evolve(QUICK, stall_after=Millis(30_000), max_retries=0)
    story = begun(plan)
    told = meet(story, mark_of(story, Kind.FINISH, 1, "abort"), after=Millis(60_000))
    assert told is not None
    assert told.steps[0].reason is StepReason.TIMED_OUT


@pytest.mark.parametrize(
    ("after", "reason"), [(0, StepReason.CANCELLED), (60_000, StepReason.TIMED_OUT)], ids=["early", "due"]
)
def test_what_is_not_due_yet_was_not_the_cause(after: int, reason: StepReason) -> None:
    story = begun(evolve(QUICK, max_retries=0))
    control = evolve(story.upload.control, desired=DesiredState.CANCELLED)
    story.state = evolve(story.upload, control=control)
    told = meet(story, mark_of(story, Kind.FINISH, 1, "abort"), after=Millis(after))
    assert told is not None
    assert (told.stage, told.steps[0].reason) == (Stage.AWAITING_READY, reason)


def test_a_restart_is_told_as_it_was() -> None:
    live, replayed = begun("a", "b"), begun("a", "b")
    live.answers("continue")
    replayed.answers("continue")
    live.restarted("t1", RestartMode.RESTART, "b")
    replayed.state = evolve(replayed.upload, control=live.upload.control)
    told = meet(replayed, live.commands[-1].mark, 9)
    assert told is not None
    assert (told.run, told.restarts, told.observed_token) == (2, 1, "t1")
    assert [step.state for step in told.steps] == [StepState.SKIPPED, StepState.RUNNING]


def test_a_restart_that_was_taken_back_since_still_happened() -> None:
    story = begun("a", "b")
    story.wanted(DesiredState.SUSPENDED)
    told = meet(story, mark_of(story, Kind.START, 1, "b", token="t1", run=2), 9)
    assert told is not None
    assert (told.stage, told.run, told.restarts, told.observed_token) == (Stage.RUNNING, 2, 1, "t1")
    assert [step.state for step in told.steps] == [StepState.WAITING, StepState.RUNNING]
    assert (told.step.attempts, told.log.start) == (1, 9)


def test_a_run_of_which_only_the_end_is_known() -> None:
    story = begun("a")
    told = meet(story, mark_of(story, Kind.FINISH, 1, "delete", token="t1", run=2))
    assert told is not None
    assert (told.run, told.outcome, told.finishes, told.stage) == (2, Outcome.DELETE, 1, Stage.AWAITING_READY)
    assert (told.steps[0].reason, told.steps[0].attempts) == (StepReason.CANCELLED, 0)


def test_a_retry_after_a_restart_is_no_other_restart() -> None:
    """Marks of notices carry no token; that does not mean that the token was taken back."""
    story = begun(QUICK)
    story.restarted("t1")
    told = meet(story, mark_of(story, Kind.RETRY, 1, "a", run=2), after=Millis(60_000))
    assert told is not None
    assert (told.observed_token, told.restarts, told.stage) == ("t1", 1, Stage.BACKING_OFF)
    early = meet(story, mark_of(story, Kind.RETRY, 1, "a", run=2))
    assert early is not None
    assert (early.observed_token, early.restarts) == ("t1", 1)


def test_a_retry_beyond_the_last_proves_that_somebody_had_resumed() -> None:
    story = begun(evolve(QUICK, on_exhausted=OnExhausted.HOLD))
    story.timer()
    story.timer()
    assert story.upload.step.retries == 1
    told = meet(story, mark_of(story, Kind.RETRY, 2, "a"))
    assert told is not None
    assert (told.stage, told.step.retries) == (Stage.BACKING_OFF, 1)


def test_that_a_later_step_was_started_does_not_end_those_before_it() -> None:
    """They are gone back to before the file is released (invariant 2.9)."""
    story = begun("a", "b", "c")
    story.state = meet(story, mark_of(story, Kind.START, 1, "c"))
    story.sequence = 50
    assert [step.state for step in story.upload.steps] == [*[StepState.WAITING] * 2, StepState.RUNNING]
    for _ in range(3):
        story.answers("continue")
    assert story.published == ["start a 1", "start a 2", "start b 1", "finish continue 1"]
    assert {step.state for step in story.upload.steps} == {StepState.SUCCEEDED}


def test_an_unexplained_abort_was_a_wish_of_somebody() -> None:
    story = begun("a")
    told = meet(story, mark_of(story, Kind.FINISH, 1, "abort"))
    assert told is not None
    assert (told.outcome, told.steps[0].reason) == (Outcome.ABORT, StepReason.CANCELLED)


def test_an_unexplained_release_is_believed() -> None:
    story = begun("a")
    told = meet(story, mark_of(story, Kind.FINISH, 1, "continue"), 9)
    assert told is not None
    assert (told.outcome, told.log.start) == (Outcome.CONTINUE, 9)
    assert (told.steps[0].state, told.steps[0].reason) == (StepState.SKIPPED, StepReason.UNANSWERED)


def test_what_was_published_wins_over_what_replay_would_have_decided() -> None:
    """A timer was faster than an answer that lay unread in the log; replay reads the answer first."""
    story = unproven("a")
    story.read_own_event(story.commands[0])
    story.answers("abort")
    assert story.upload.log.start is None
    told = meet(story, mark_of(story, Kind.FINISH, 1, "continue"))
    assert told is not None
    assert (told.outcome, told.finishes) == (Outcome.CONTINUE, 1)
    story.read_own_event(story.commands[-1])
    assert meet(story, mark_of(story, Kind.FINISH, 1, "continue")) is None, "the first one stands"


def test_an_ended_upload_is_not_started_by_an_echo_of_its_run() -> None:
    story = begun("a")
    story.cleaned()
    assert meet(story, mark_of(story, Kind.START, 7, "a")) is None
    ignored = decide(
        story.upload, "x", Published(mark_of(story, Kind.START, 7, "a"), 9), story.now, story.config
    )
    assert ignored.ignored is Ignored.ALREADY_APPLIED


def test_a_request_for_the_url_of_a_later_step_is_believed() -> None:
    story = begun("a", "b")
    told = meet(story, mark_of(story, Kind.RESTART, 1, "b"))
    assert told is not None
    assert (told.stage, told.current_step, told.url_requests) == (Stage.AWAITING_URL, "b", 1)
    assert told.steps[0].state is StepState.WAITING


def test_an_attempt_that_went_out_after_a_clean_upload_counts() -> None:
    """CleanUpload came between the failure and the start of the next attempt; then we died."""
    story = begun("a")
    story.answers("retry")
    story.cleaned()
    before = story.upload
    after = meet(story, mark_of(story, Kind.START, 2, "a"))
    assert after is not None
    assert (after.stage, after.steps[0].attempts) == (Stage.CLEANED, 2)
    assert evolve(after, steps=before.steps) == before, "nothing else comes of it"


@pytest.mark.parametrize(
    ("kind", "number", "detail", "run"),
    [
        (Kind.START, 1, "a", 1),
        (Kind.START, 3, "a", 1),
        (Kind.START, 2, "z", 1),
        (Kind.START, 2, "a", 0),
        (Kind.RETRY, 2, "a", 1),
    ],
)
def test_what_is_not_the_next_attempt_does_not_count(kind: Kind, number: int, detail: str, run: int) -> None:
    story = begun("a")
    story.answers("retry")
    story.cleaned()
    assert meet(story, mark_of(story, kind, number, detail, run=run)) is None


def test_a_start_from_before_does_not_bring_back_a_step_that_was_left_open() -> None:
    story = begun("a", "b")
    told = meet(story, mark_of(story, Kind.START, 1, "b"))
    assert told is not None
    assert (told.current_step, told.steps[0].state, told.steps[0].attempts) == ("b", StepState.WAITING, 1)
    story.state = told
    assert meet(story, mark_of(story, Kind.START, 1, "a"), 51) is None


def test_an_upload_that_ended_before_its_first_run_has_no_attempts_to_count() -> None:
    story = UploadScenario(config_of("a"))
    story.arrives(user=RESTART_USER)
    story.wanted(DesiredState.CANCELLED)
    assert (story.upload.stage, story.upload.steps) == (Stage.CANCELLED, ())
    assert meet(story, mark_of(story, Kind.START, 1, "a", run=0)) is None


# -- an end that nothing explains --------------------------------------------------------------


@pytest.mark.parametrize("outcome", [Outcome.CONTINUE, Outcome.ABORT, Outcome.DELETE])
def test_an_unexplained_end_has_the_number_of_its_event(outcome: Outcome) -> None:
    told = meet(begun("a"), mark_of(begun("a"), Kind.FINISH, 3, outcome))
    assert told is not None
    assert (told.outcome, told.finishes) == (outcome, 3)


def test_what_a_step_had_said_is_not_the_answer_to_a_release_without_it() -> None:
    story = begun("a", "b")
    story.answers("retry")
    mark = mark_of(story, Kind.FINISH, 1, "continue")
    decision = decide(story.upload, story.upload.id, Published(mark, 50), story.now, story.config)
    assert decision.upload is not None
    assert decision.upload.steps[0].outcome == ""
    text = "the storage was told to release the file without a known answer of a, b"
    assert decision.notices == (Notice(NoticeType.WARNING, "ReleasedUnanswered", text),)


def test_a_release_of_a_suspended_upload_that_was_over_is_no_reason_for_a_warning() -> None:
    story = begun("a")
    story.wanted(DesiredState.SUSPENDED)
    story.answers("continue")
    assert story.upload.stage is Stage.SUSPENDED
    decision = decide(
        story.upload,
        story.upload.id,
        Published(mark_of(story, Kind.FINISH, 1, "continue"), 50),
        story.now,
        story.config,
    )
    assert (decision.ignored, decision.notices) == (None, ())


# -- a request in the spec that a command answers ----------------------------------------------


def requested(request: RestartRequest, desired: DesiredState, **changes: object) -> Upload:
    """An upload whose release is decided, and held; its spec asks for something since."""
    story = unproven()
    assert story.upload.stage is Stage.AWAITING_READY
    control = Control(desired=desired, restart=request, generation=2)
    return evolve(story.upload, control=control, **changes)


def test_a_request_is_not_carried_out_because_its_command_is_met() -> None:
    """The release that it asks for is the one that was met."""
    upload = requested(RestartRequest(token="t1", mode=RestartMode.RESUME), DesiredState.ACTIVE)
    mark = Mark(Kind.FINISH, upload.received_at, 1, 1, "continue", "t1")
    now = Millis(START + 9_000)
    decision = decide(upload, upload.id, Published(mark, 50), now, config_of())
    assert decision.upload == evolve(upload, since=now, plan_fixed=False, log=evolve(upload.log, start=50))


def test_a_refused_request_of_a_cancelled_upload_ends_it_where_the_storage_is_silent() -> None:
    upload = requested(RestartRequest(token="t1"), DesiredState.CANCELLED, stalled_at=START)
    mark = Mark(Kind.FINISH, upload.received_at, 1, 1, "continue", "t1")
    now, config = Millis(START + 9_000), config_of()
    told = decide(upload, upload.id, Published(mark, 50), now, config).upload
    assert told is not None
    assert (told.stage, told.completed_at, told.expires_at) == (Stage.CANCELLED, now, now + config.ttl_failed)


# -- the plan that an event tells --------------------------------------------------------------


def tell(story: UploadScenario, kind: Kind, number: int, detail: str, *steps: str | StepPlan) -> Upload:
    """The state after an event of ours that was published by a plan with these steps."""
    mark, planned = mark_of(story, kind, number, detail), Planned(config_of(*steps).steps)
    decision = decide(story.upload, story.upload.id, Published(mark, 50, planned), story.now, story.config)
    assert (decision.ignored, decision.commands) == (None, ())
    assert decision.upload is not None
    return decision.upload


def test_an_event_that_is_ahead_fixes_the_plan_as_well() -> None:
    told = tell(unproven("a", "b"), Kind.START, 1, "b", "a", "b")
    assert (told.current_step, told.plan_fixed) == ("b", True)


def test_the_settings_of_a_step_may_differ_where_the_steps_are_the_same() -> None:
    """The other owner had newer settings; its attempt is the next one all the same."""
    story = begun("a", "b", max_in_flight={"b": 1})
    story.answers("retry")
    plan = story.upload.plan
    told = tell(story, Kind.START, 2, "a", StepPlan(name="a", max_retries=3), "b")
    assert (told.stage, told.step.attempts, told.plan) == (Stage.RUNNING, 2, plan)
    assert (told.step.started_at, told.log.start) == (story.upload.next_attempt_at, 50)


def test_a_command_is_known_whatever_plan_it_tells() -> None:
    story = begun("a", "b")
    story.reads_own_events = False
    story.answers("continue")
    assert story.upload.log.start is None
    told = tell(story, Kind.START, 1, "b", "x", "b")
    assert told == evolve(story.upload, log=evolve(story.upload.log, start=50))
