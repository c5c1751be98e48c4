"""An end that is in the log counts, although a replay has come to another one that is not."""

import pytest

from uploadpp.core.commands import Kind, Mark
from uploadpp.core.evolve import evolve
from uploadpp.core.inputs import Published, Resume, UploadReady
from uploadpp.core.machine import decide
from uploadpp.core.model import Control, LogPosition, PolicyRef, RestartRequest, StepPlan
from uploadpp.core.plan_text import Planned
from uploadpp.core.policy import Choice, PolicyAction
from uploadpp.core.replay import Position, apply
from uploadpp.core.states import CancelPolicy, DesiredState, Outcome, RestartMode, Stage
from uploadpp.testing.builders import (
    FRESH_URL,
    START,
    UploadScenario,
    arrival,
    begun,
    config_of,
    mark_of,
    placeless,
)

RULE = PolicyRef("default", 1, "hold")


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
    """A replay. It did not wait for another upload of the file, and an edit has resumed the release."""
    story = begun("a")
    story.reads_own_events = False
    story.answers("continue")
    story.restarted("t1", RestartMode.RESUME)
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


@pytest.mark.parametrize("applied", [0, 1], ids=["it", "more"])
def test_an_end_from_before_what_has_been_applied_is_no_news(applied: int) -> None:
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
    story.state = evolve(story.upload, log=evolve(story.upload.log, sequence=place + applied))
    decision = decide(story.upload, story.upload.id, Published(mark, place), story.now, story.config)
    assert decision.ignored is not None
    assert (story.upload.outcome, story.upload.finishes) == (Outcome.ABORT, 2)


def test_another_end_with_the_same_number_counts_wherever_it_is_in_the_log() -> None:
    story = begun("a")
    story.reads_own_events = False
    story.answers("delete")
    mark = mark_of(story, Kind.FINISH, 1, "continue")
    place = story.upload.log.sequence
    told = decide(story.upload, story.upload.id, Published(mark, place), story.now, story.config).upload
    assert told is not None
    assert (told.outcome, told.finishes, told.log.start) == (Outcome.CONTINUE, 1, place)


def test_what_has_ended_is_not_opened_again_by_a_lower_number() -> None:
    story = released_twice()
    story.tell(UploadReady(failed=False))
    assert story.upload.stage is Stage.COMPLETED
    reads(story, mark_of(story, Kind.FINISH, 1, "abort"))
    assert story.upload.stage is Stage.COMPLETED


# -- an earlier run --------------------------------------------------------------------------


def held(now: str = "run") -> tuple[UploadScenario, UploadScenario]:
    """An upload that a policy held, and what a replay by another policy makes of it."""
    stories = []
    for action in (PolicyAction.HOLD, PolicyAction(now.title())):
        story = UploadScenario(config_of("a"))
        story.tell(evolve(arrival(), choice=Choice(ref=RULE, action=action)))
        story.reads_own_events = False
        stories.append(story)
    return stories[0], stories[1]


@pytest.mark.parametrize("outcome", [Outcome.ABORT, Outcome.DELETE])
@pytest.mark.parametrize("policy", ["run", "skip"])
def test_a_held_upload_that_was_cancelled_does_not_begin(policy: str, outcome: Outcome) -> None:
    live, replayed = held(policy)
    assert live.upload.run == 0
    assert replayed.upload.run == 1
    replayed.state = evolve(replayed.upload, log=LogPosition(), plan_fixed=False)
    mark = mark_of(live, Kind.FINISH, 1, outcome, run=0)
    reads(live, mark, "a")
    reads(replayed, mark, "a")
    assert (replayed.upload.run, replayed.upload.steps, replayed.upload.outcome) == (0, (), outcome)
    assert placeless(replayed.upload) == placeless(live.upload)
    replayed.ready(failed=True)
    assert replayed.upload.stage.ended


def in_a_second_run(*later: Resume) -> UploadScenario:
    """A replay. The storage announced the upload again while it was held, which this replay does not know."""
    story = UploadScenario(config_of("a"))
    story.reads_own_events = False
    story.arrives()
    story.arrives(FRESH_URL)
    for each in later:
        story.tell(each)
    assert (story.upload.run, story.upload.log.start) == (2, None)
    return story


@pytest.mark.parametrize("outcome", [Outcome.ABORT, Outcome.DELETE])
def test_an_end_of_an_earlier_run_takes_back_the_run_that_never_began(outcome: Outcome) -> None:
    story = in_a_second_run(Resume())
    reads(story, mark_of(story, Kind.START, 1, "a"))
    assert story.upload.run == 2, "the start of an earlier run does not say that there was no other"
    reads(story, mark_of(story, Kind.FINISH, 1, outcome))
    upload = story.upload
    assert (upload.run, upload.stage, upload.outcome) == (1, Stage.AWAITING_READY, outcome)
    assert (upload.finishes, upload.url_requests, upload.log.start) == (1, 0, story.sequence)
    story.ready(failed=True)
    assert story.upload.stage.ended


def test_a_run_that_was_released_already_is_no_run_that_never_began() -> None:
    story = UploadScenario(config_of())
    story.reads_own_events = False
    story.arrives()
    story.arrives(FRESH_URL)
    assert (story.upload.run, story.upload.outcome) == (2, Outcome.CONTINUE)
    reads(story, mark_of(story, Kind.FINISH, 1, "abort"))
    assert (story.upload.run, story.upload.outcome, story.upload.finishes) == (1, Outcome.ABORT, 1)


def test_a_release_of_an_earlier_run_leaves_the_new_one() -> None:
    """A new URL was on its way to us when the release went out, and it begins a new run."""
    story = in_a_second_run()
    reads(story, mark_of(story, Kind.FINISH, 1, "continue"))
    assert (story.upload.run, story.upload.stage) == (2, Stage.RUNNING)


def test_a_run_of_which_a_start_is_in_the_log_stays() -> None:
    story = in_a_second_run()
    reads(story, mark_of(story, Kind.START, 1, "a", run=2))
    reads(story, mark_of(story, Kind.FINISH, 1, "abort"))
    assert (story.upload.run, story.upload.stage) == (2, Stage.RUNNING)


def test_a_run_in_which_a_step_has_answered_stays() -> None:
    story = UploadScenario(config_of("a", "b"))
    story.arrives()
    story.arrives(FRESH_URL)
    story.reads_own_events = False
    story.answers("continue")
    assert (story.upload.run, story.upload.log.start) == (2, None)
    reads(story, mark_of(story, Kind.FINISH, 1, "abort"))
    assert (story.upload.run, story.upload.current_step) == (2, "b")


def test_a_url_that_the_run_would_have_asked_for_is_not_counted() -> None:
    story = UploadScenario(config_of("a"))
    story.reads_own_events = False
    story.arrives()
    story.arrives(FRESH_URL, expires_at=START)
    assert (story.upload.run, story.upload.stage, story.upload.url_requests) == (2, Stage.AWAITING_URL, 1)
    reads(story, mark_of(story, Kind.FINISH, 1, "abort"))
    assert (story.upload.run, story.upload.outcome, story.upload.url_requests) == (1, Outcome.ABORT, 0)


def test_the_end_counts_although_the_settings_of_a_step_differ() -> None:
    story = in_a_second_run()
    story.state = evolve(story.upload, plan_fixed=True)
    story.sequence += 1
    mark = mark_of(story, Kind.FINISH, 1, "abort")
    planned = Planned(config_of(StepPlan(name="a", max_retries=3)).steps)
    told = decide(story.upload, "x", Published(mark, story.sequence, planned), story.now, story.config).upload
    assert told is not None
    assert (told.run, told.outcome, told.plan) == (1, Outcome.ABORT, config_of("a").steps)


def test_the_token_of_a_request_that_the_replay_has_not_seen_hides_nothing() -> None:
    story = in_a_second_run()
    reads(story, mark_of(story, Kind.FINISH, 1, "abort", token="t1"))
    assert (story.upload.run, story.upload.outcome, story.upload.observed_token) == (1, Outcome.ABORT, "t1")


@pytest.mark.parametrize("run", [1, 0])
def test_the_end_of_an_upload_with_other_steps_counts(run: int) -> None:
    story = in_a_second_run()
    reads(story, mark_of(story, Kind.FINISH, 1, "abort", run=run), "x", "y")
    assert [step.name for step in story.upload.plan] == ["x", "y"]
    assert (story.upload.run, story.upload.outcome, story.upload.finishes) == (run, Outcome.ABORT, 1)
    assert (story.upload.stage, story.upload.cursor) == (Stage.AWAITING_READY, 2)


def test_an_end_by_steps_that_the_upload_does_not_have_changes_nothing() -> None:
    story = in_a_second_run()
    story.state = before = evolve(story.upload, plan_fixed=True)
    reads(story, mark_of(story, Kind.FINISH, 1, "abort"), "x", "y")
    assert placeless(story.upload) == placeless(before)


def test_a_run_that_has_ended_stays() -> None:
    story = in_a_second_run()
    story.cleaned()
    reads(story, mark_of(story, Kind.FINISH, 1, "abort"))
    assert (story.upload.run, story.upload.stage) == (2, Stage.CLEANED)


def test_a_run_that_a_person_asked_for_stays() -> None:
    """The abort comes back late: a person has seen it, and has forced a restart."""
    story = begun("a")
    story.reads_own_events = False
    story.answers("abort")
    aborted = story.commands[-1].mark
    story.restarted("t1", RestartMode.FORCE_RESTART)
    assert (story.upload.run, story.upload.log.start) == (2, None)
    reads(story, aborted)
    assert (story.upload.run, story.upload.stage) == (2, Stage.RUNNING)


def test_an_earlier_run_that_a_person_asked_for_is_gone_back_to() -> None:
    story = begun("a")
    story.restarted("t1")
    story.reads_own_events = False
    story.arrives(FRESH_URL)
    assert (story.upload.run, story.upload.log.start) == (3, None)
    reads(story, mark_of(story, Kind.FINISH, 1, "abort", token="t1", run=2))
    assert (story.upload.run, story.upload.outcome) == (2, Outcome.ABORT)


# -- an edit that nobody has seen, and the end of an earlier run -------------------------------

UNSEEN = Control(desired=DesiredState.CANCELLED, generation=9)


def test_a_cancellation_that_explains_the_end_of_the_earlier_run_is_seen_with_it() -> None:
    story = in_a_second_run()
    story.state = evolve(story.upload, control=UNSEEN)
    reads(story, mark_of(story, Kind.FINISH, 1, "abort"))
    assert (story.upload.run, story.upload.outcome, story.upload.finishes) == (1, Outcome.ABORT, 1)
    assert story.upload.observed_generation == 9


def test_the_ends_of_the_run_that_never_began_are_not_counted() -> None:
    """Else the cancellation would have published a second end."""
    story = UploadScenario(config_of())
    story.reads_own_events = False
    story.arrives()
    story.arrives(FRESH_URL)
    assert (story.upload.run, story.upload.finishes) == (2, 1)
    story.state = evolve(story.upload, stage=Stage.RELEASE_BACKING_OFF, control=UNSEEN)
    reads(story, mark_of(story, Kind.FINISH, 1, "abort"))
    assert (story.upload.run, story.upload.outcome, story.upload.finishes) == (1, Outcome.ABORT, 1)
    assert story.upload.observed_generation == 9


def test_the_outcome_of_the_run_that_never_began_explains_no_end_of_the_earlier_one() -> None:
    """The replay decides it by a cancellation. To resume that is not what the earlier run had ended with."""
    story = in_a_second_run()
    story.wanted(DesiredState.CANCELLED, CancelPolicy.DELETE)
    seen = story.upload.observed_generation
    assert (story.upload.run, story.upload.outcome) == (2, Outcome.DELETE)
    request = RestartRequest(token="t1", mode=RestartMode.RESUME)
    story.state = evolve(story.upload, control=Control(restart=request, generation=9))
    reads(story, mark_of(story, Kind.FINISH, 1, "delete", token="t1"))
    assert (story.upload.run, story.upload.outcome, story.upload.finishes) == (1, Outcome.DELETE, 1)
    assert (story.upload.observed_token, story.upload.observed_generation) == ("t1", seen)


def test_a_held_upload_that_was_cancelled_does_not_begin_although_its_spec_says_so() -> None:
    """The replay does not know that it was held, and nobody has stored that the cancellation was seen."""
    live, replayed = held()
    replayed.state = evolve(replayed.upload, control=UNSEEN, log=LogPosition(), plan_fixed=False)
    reads(replayed, mark_of(live, Kind.FINISH, 1, "abort", run=0), "a")
    upload = replayed.upload
    assert (upload.run, upload.steps, upload.stage, upload.outcome) == (
        0,
        (),
        Stage.AWAITING_READY,
        Outcome.ABORT,
    )
    assert (upload.control, upload.observed_generation) == (UNSEEN, 1)


@pytest.mark.parametrize(("detail", "left"), [("continue", False), ("abort", True)])
def test_a_failed_release_that_the_log_shows_to_go_on_keeps_its_place(detail: str, *, left: bool) -> None:
    """A person may have renewed its retries before the last failure; an abort waits for nobody anyway."""
    story = UploadScenario(config_of("a", max_releases=0))
    story.arrives()
    story.answers("continue")
    story.ready(failed=True)
    assert (story.upload.stage, story.upload.order.left) == (Stage.UPLOAD_FAILED, False)
    reads(story, mark_of(story, Kind.FINISH, 2, detail))
    assert (story.upload.stage, story.upload.order.left) == (Stage.AWAITING_READY, left)
