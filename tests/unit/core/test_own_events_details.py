"""Published, the finer points: when a command went out, what it proves, and what it does not."""

from collections.abc import Callable

import pytest

from uploadpp.core.commands import Kind, Mark
from uploadpp.core.decision import Decision
from uploadpp.core.evolve import evolve
from uploadpp.core.inputs import Published
from uploadpp.core.machine import decide
from uploadpp.core.model import Millis, StepPlan, StepStatus, Upload
from uploadpp.core.plan_text import Planned
from uploadpp.core.rules.timers import wake_at
from uploadpp.core.states import DesiredState, Ignored, OnExhausted, RestartMode, Stage, StepReason, StepState
from uploadpp.testing.builders import (
    FRESH_URL,
    SECOND,
    START,
    UploadScenario,
    begun,
    config_of,
    mark_of,
    placeless,
)

QUICK = StepPlan(name="a", timeout=Millis(60_000), max_retries=1, backoff=Millis(1_000))
SEQUENCE = 50


def meet(story: UploadScenario, mark: Mark, after: int = 0) -> Decision:
    """One of our commands is met in the log, some time after what happened last."""
    now = Millis(story.now + after)
    return decide(story.upload, story.upload.id, Published(mark, SEQUENCE), now, story.config)


def proven(story: UploadScenario, mark: Mark, after: int = 0) -> Upload:
    """The state that the mark of a command proves."""
    decision = meet(story, mark, after)
    assert decision.ignored is None
    assert decision.commands == ()
    assert decision.upload is not None
    return decision.upload


def unechoed(*steps: str | StepPlan, expires_at: Millis | None = None) -> UploadScenario:
    story = UploadScenario(config_of(*steps))
    story.reads_own_events = False
    story.arrives(expires_at=expires_at)
    return story


def awaiting_url() -> UploadScenario:
    story = UploadScenario(config_of("a", "b"))
    story.arrives(expires_at=START)
    return story


# -- when it went out ------------------------------------------------------------------------


CLOCKS = pytest.mark.parametrize(
    ("after", "counts_from"), [(9_000, 9_000), (-9_000, 0)], ids=["later", "clock behind"]
)


@CLOCKS
def test_the_time_of_a_step_runs_from_when_its_start_went_out(after: int, counts_from: int) -> None:
    story = unechoed(QUICK)
    before = story.upload
    told = proven(story, story.commands[0].mark, after)
    went_out = Millis(story.now + counts_from)
    assert told == evolve(
        before,
        log=evolve(before.log, start=SEQUENCE),
        steps=(evolve(before.step, started_at=went_out),),
    )
    assert wake_at(told, story.config) == went_out + 60_000


def test_a_step_times_out_by_the_time_its_start_went_out() -> None:
    story = unechoed(QUICK)
    story.state = proven(story, story.commands[0].mark, 9_000)
    story.timer()
    assert story.now == START + SECOND + 9_000 + 60_000
    assert story.upload.stage is Stage.BACKING_OFF


def test_a_step_that_does_not_say_when_it_started_did_so_when_its_stage_began() -> None:
    """An older operator may have left such a state."""
    story = begun(QUICK)
    story.state = story.upload.with_step(0, evolve(story.upload.step, started_at=None))
    assert wake_at(story.upload, story.config) == story.upload.since + 60_000
    story.timer()
    assert story.upload.stage is Stage.BACKING_OFF
    late = unechoed(QUICK)
    late.state = late.upload.with_step(0, evolve(late.upload.step, started_at=None))
    told = proven(late, late.commands[0].mark, -9_000)
    assert told.step.started_at == late.upload.since


@CLOCKS
def test_the_time_of_a_release_runs_from_when_its_order_went_out(after: int, counts_from: int) -> None:
    story = unechoed()
    before = story.upload
    told = proven(story, story.commands[0].mark, after)
    assert told == evolve(
        before, log=evolve(before.log, start=SEQUENCE), since=Millis(story.now + counts_from)
    )


def test_the_time_of_a_delay_does_not() -> None:
    story = unechoed("delay")
    before = story.upload
    told = proven(story, story.commands[0].mark, 9_000)
    assert told == evolve(before, log=evolve(before.log, start=SEQUENCE))


def test_a_release_that_failed_before_its_order_came_back_keeps_its_time() -> None:
    story = unechoed()
    order = story.commands[0].mark
    story.read_own_event(story.commands[0])
    story.ready(failed=True)
    before = evolve(story.upload, log=evolve(story.upload.log, start=None))
    story.state = before
    assert proven(story, order, 9_000) == evolve(before, log=evolve(before.log, start=SEQUENCE))


# -- what is known ---------------------------------------------------------------------------


def test_a_command_is_known_whatever_token_its_run_answers() -> None:
    story = begun("a")
    story.reads_own_events = False
    story.restarted("t1")
    assert proven(story, story.commands[-1].mark).log.start == SEQUENCE


def backing_off() -> UploadScenario:
    story = begun("a", "b")
    story.answers("retry")
    return story


def second_attempt() -> UploadScenario:
    story = backing_off()
    story.timer()
    return story


def with_fresh_url() -> UploadScenario:
    story = awaiting_url()
    story.arrives(FRESH_URL)
    return story


def finished() -> UploadScenario:
    story = begun("a", "b")
    story.answers("delete")
    return story


def cleaned() -> UploadScenario:
    story = begun("a", "b")
    story.cleaned()
    return story


KNOWN, BEFORE = "our own event, known", "our own event, from before"
RESUMED = "our own event, which the log hands out as a Resume"


@pytest.mark.parametrize(
    ("situation", "kind", "number", "detail", "why"),
    [
        (backing_off, Kind.RETRY, 1, "a", KNOWN),
        (second_attempt, Kind.RETRY, 1, "a", BEFORE),
        (second_attempt, Kind.START, 1, "a", BEFORE),
        (awaiting_url, Kind.RESTART, 1, "a", KNOWN),
        (with_fresh_url, Kind.RESTART, 1, "a", BEFORE),
        (finished, Kind.FINISH, 1, "delete", KNOWN),
        (finished, Kind.RESTART, 9, "b", BEFORE),
        (finished, Kind.START, 9, "a", BEFORE),
        (cleaned, Kind.RESTART, 9, "b", BEFORE),
        (cleaned, Kind.START, 9, "b", BEFORE),
        (backing_off, Kind.RESUME, 1, "t1", RESUMED),
    ],
    ids=lambda value: getattr(value, "__name__", value),
)
def test_what_is_known_and_what_is_from_before(
    situation: Callable[[], UploadScenario], kind: Kind, number: int, detail: str, why: str
) -> None:
    story = situation()
    decision = meet(story, mark_of(story, kind, number, detail))
    assert (decision.ignored, decision.why) == (Ignored.ALREADY_APPLIED, why)
    assert decision.upload is story.upload


# -- what it proves --------------------------------------------------------------------------


def test_a_timer_is_told_in_every_detail() -> None:
    live, replayed = begun(QUICK), begun(QUICK)
    for _ in range(2):
        live.timer()
        told = proven(replayed, live.commands[-1].mark, live.now - replayed.now)
        assert placeless(told) == placeless(live.upload)
        replayed.state, replayed.now = told, live.now


def delaying() -> UploadScenario:
    return begun(StepPlan(name="delay", delay=Millis(9_000)), "a")


def releasing_again() -> UploadScenario:
    story = begun()
    story.ready(failed=True)
    return story


@pytest.mark.parametrize("situation", [delaying, backing_off, releasing_again, begun, awaiting_url])
def test_no_timer_has_fired_before_it_was_due(situation: Callable[[], UploadScenario]) -> None:
    """The clock of the stream may be behind ours, which the timer went by."""
    live, replayed = situation(), situation()
    live.timer()
    told = proven(replayed, live.commands[-1].mark, live.now - replayed.now - 1_500)
    assert (told.since, placeless(told)) == (live.now, placeless(live.upload))


def test_a_wish_is_told_in_every_detail() -> None:
    live, replayed = begun("a", "b"), begun("a", "b")
    live.restarted("t1", RestartMode.RESTART, "b")
    replayed.state = evolve(replayed.upload, control=live.upload.control)
    told = proven(replayed, live.commands[-1].mark, SECOND)
    assert placeless(told) == placeless(live.upload)


@pytest.mark.parametrize("after", [0, 30_000, 60_000])
def test_a_timeout_is_told_as_one_whenever_its_order_is_met(after: int) -> None:
    """The report of a stall comes before it, and is not published."""
    impatient = evolve(QUICK, stall_after=Millis(30_000), max_retries=0, on_exhausted=OnExhausted.CONTINUE)
    story = begun(impatient, "b")
    told = proven(story, mark_of(story, Kind.START, 1, "b"), after)
    assert (told.steps[0].state, told.steps[0].reason) == (StepState.FAILED, StepReason.TIMED_OUT)
    assert told.since == story.now + 60_000


def test_a_later_attempt_is_believed() -> None:
    story = begun("a")
    told = proven(story, mark_of(story, Kind.START, 4, "a"), 5_000)
    assert (told.step.attempts, told.step.started_at, told.since) == (4, *[story.now + 5_000] * 2)


def test_a_later_request_for_a_url_is_believed() -> None:
    story = awaiting_url()
    told = proven(story, mark_of(story, Kind.RESTART, 4, "a"), 5_000)
    assert told.steps == story.upload.steps
    assert (told.stage, told.url_requests, told.since) == (Stage.AWAITING_URL, 4, story.now + 5_000)


def test_a_retry_that_no_timer_explains_is_taken_for_a_timeout() -> None:
    """Of the answer that asked for it we would have read before."""
    story = begun("a")
    told = proven(story, mark_of(story, Kind.RETRY, 1, "a"))
    assert (told.stage, told.step.reason, told.step.message) == (Stage.BACKING_OFF, StepReason.TIMED_OUT, "")


@pytest.mark.parametrize(
    ("outcome", "state", "reason", "said"),
    [
        ("continue", StepState.SKIPPED, StepReason.UNANSWERED, ""),
        ("delete", StepState.FAILED, StepReason.CANCELLED, ""),
    ],
)
def test_an_unexplained_end_is_written_down_with_its_date(
    outcome: str, state: StepState, reason: StepReason | None, said: str
) -> None:
    story = begun("a", "b")
    told = proven(story, mark_of(story, Kind.FINISH, 1, outcome), 5_000)
    met_at = story.now + 5_000
    assert (told.stage, told.since, told.outcome) == (Stage.AWAITING_READY, met_at, outcome)
    step = told.steps[0]
    assert (step.state, step.reason, step.outcome, step.finished_at) == (state, reason, said, met_at)


@pytest.mark.parametrize(
    ("kind", "detail"), [(Kind.START, "b"), (Kind.RESTART, "b"), (Kind.FINISH, "continue")]
)
def test_a_later_run_began_when_its_first_command_is_met(kind: Kind, detail: str) -> None:
    story = begun("a", "b")
    told = proven(story, mark_of(story, kind, 1, detail, run=4), 5_000)
    assert (told.run, told.started_at, told.since) == (4, *[story.now + 5_000] * 2)


def test_of_a_later_run_whose_end_alone_is_met_no_step_but_the_first_is_known() -> None:
    """It was cut short before its first step; those behind it were not left out, they never had a turn."""
    story = begun("a", "b")
    told = proven(story, mark_of(story, Kind.FINISH, 1, "abort", run=2))
    assert [(step.state, step.reason) for step in told.steps] == [
        (StepState.FAILED, StepReason.CANCELLED),
        (StepState.WAITING, None),
    ]


def test_a_token_of_a_wish_that_is_gone_counts_once() -> None:
    story = begun("a", "b")
    story.wanted(DesiredState.SUSPENDED)
    story.state = proven(story, mark_of(story, Kind.START, 1, "a", run=2, token="t1"))
    told = proven(story, mark_of(story, Kind.START, 1, "b", run=2, token="t1"))
    assert (told.run, told.restarts, told.observed_token) == (2, 1, "t1")


def test_steps_before_one_that_was_started_stay_open_unless_a_rule_leaves_them_out() -> None:
    """Somebody has suspended the upload before its first status was written; the log has more of it."""
    story = UploadScenario(config_of("a", StepPlan(name="b", max_filesize=1), "c", "d"))
    story.reads_own_events = False
    story.arrives()
    story.wanted(DesiredState.SUSPENDED)
    told = proven(story, mark_of(story, Kind.START, 1, "d"))
    assert [(step.state, step.reason, step.attempts) for step in told.steps] == [
        (StepState.WAITING, None, 0),
        (StepState.SKIPPED, StepReason.TOO_LARGE, 0),
        (StepState.WAITING, None, 0),
        (StepState.RUNNING, None, 1),
    ]
    suspended = evolve(told, cursor=1, steps=(told.steps[0], *[StepStatus()] * 3), stage=Stage.SUSPENDED)
    story.state = suspended
    assert proven(story, mark_of(story, Kind.START, 1, "d")).steps[1] == told.steps[1]


LARGE = StepPlan(name="a", max_filesize=1)


def test_what_a_restart_passed_over_stays_as_it_was_when_a_later_step_is_met() -> None:
    story = begun(LARGE, "b", "c")
    story.restarted("t1", RestartMode.RESTART, "b")
    told = proven(story, mark_of(story, Kind.START, 1, "c", run=2, token="t1"))
    assert [step.state for step in told.steps] == [StepState.SKIPPED, StepState.WAITING, StepState.RUNNING]
    assert told.steps[0].reason is StepReason.BEFORE_RESTART, "nobody has asked for its size"


@pytest.mark.parametrize(
    ("first", "states"),
    [(None, "Waiting Waiting"), (0, "Waiting Waiting"), (1, "Skipped Waiting"), (2, "Skipped Skipped")],
)
def test_what_a_later_run_has_left_out_is_what_its_events_say(first: int | None, states: str) -> None:
    """The request for it is gone from the spec; an earlier version did not say where the run began."""
    story = begun("a", "b", "c")
    planned = None if first is None else Planned(story.upload.plan, first)
    own_event = Published(mark_of(story, Kind.START, 1, "c", run=2), SEQUENCE, planned)
    told = decide(story.upload, story.upload.id, own_event, story.now, story.config).upload
    assert told is not None
    assert (told.current_step, told.stage, told.left_out_by_restart) == ("c", Stage.RUNNING, first or 0)
    assert " ".join(step.state for step in told.steps[:2]) == states


# -- what was over by then -------------------------------------------------------------------


def passed_over() -> UploadScenario:
    """A step whose time is over is passed over."""
    return begun(evolve(QUICK, max_retries=0, on_exhausted=OnExhausted.CONTINUE), "b")


@pytest.mark.parametrize("desired", [DesiredState.SUSPENDED, DesiredState.CANCELLED])
@pytest.mark.parametrize("situation", [delaying, passed_over, backing_off])
def test_an_edit_that_nobody_had_seen_hides_no_timer(
    situation: Callable[[], UploadScenario], desired: DesiredState
) -> None:
    """Suspended after the next step was started: what is before it has had its end all the same."""
    live, replayed = situation(), situation()
    live.timer()
    edited = evolve(replayed.upload.control, desired=desired, generation=2)
    replayed.state = evolve(replayed.upload, control=edited)
    told = proven(replayed, live.commands[-1].mark, live.now - replayed.now)
    assert told.control == edited
    assert placeless(evolve(told, control=live.upload.control)) == placeless(live.upload)


def test_a_delay_is_over_although_a_fresh_url_would_be_asked_for_by_now() -> None:
    """The clock of the stream, by which the start is met, is ahead of ours."""
    story = UploadScenario(config_of(StepPlan(name="delay", delay=Millis(9_000)), "a"))
    story.arrives(expires_at=Millis(START + 12_000))
    told = proven(story, mark_of(story, Kind.START, 1, "a"), 10_900)
    assert (told.stage, told.current_step) == (Stage.RUNNING, "a")
    assert [step.state for step in told.steps] == [StepState.SUCCEEDED, StepState.RUNNING]


@pytest.mark.parametrize(("echoing", "after"), [(True, 8_000), (False, 9_000)], ids=["not over", "not begun"])
def test_a_delay_that_is_not_over_stays_open(*, echoing: bool, after: int) -> None:
    story = UploadScenario(config_of(StepPlan(name="delay", delay=Millis(9_000)), "a", "b"))
    story.reads_own_events = echoing
    story.arrives()
    told = proven(story, mark_of(story, Kind.START, 1, "b"), after)
    assert (told.steps[0].state, told.steps[0].attempts) == (StepState.WAITING, int(echoing))
