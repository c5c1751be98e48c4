"""What people ask for in the spec: restart, suspend, cancel."""

import pytest

from uploadpp.core.commands import NoticeType, ResumeStep
from uploadpp.core.evolve import evolve
from uploadpp.core.inputs import Resume, SpecChanged
from uploadpp.core.model import Control, Millis, RestartRequest, StepPlan
from uploadpp.core.rules.control import concerns
from uploadpp.core.states import (
    CancelPolicy,
    DesiredState,
    Ignored,
    OnExhausted,
    Outcome,
    RestartMode,
    Stage,
    StepReason,
    StepState,
)
from uploadpp.testing.builders import START, UploadScenario, begun, by_hand, config_of, short

HELD = StepPlan(name="a", max_retries=0, on_exhausted=OnExhausted.HOLD)
SUSPENDED, ACTIVE, CANCELLED = DesiredState.SUSPENDED, DesiredState.ACTIVE, DesiredState.CANCELLED


# -- suspend --------------------------------------------------------------------------------


def test_suspended_lets_the_running_step_end_and_starts_none() -> None:
    story = begun("a", "b")
    story.wanted(SUSPENDED)
    assert story.upload.stage is Stage.RUNNING
    story.answers("continue")
    assert (story.upload.stage, story.upload.current_step) == (Stage.SUSPENDED, "b")
    assert story.published == ["start a 1"]
    story.wanted(ACTIVE)
    assert story.published == ["start a 1", "start b 1"]


def test_suspended_after_the_last_step_holds_the_release_back() -> None:
    story = begun("a")
    story.wanted(SUSPENDED)
    story.answers("continue")
    assert (story.upload.stage, story.upload.current_step) == (Stage.SUSPENDED, "finished")
    story.wanted(ACTIVE)
    assert story.published[-1] == "finish continue 1"


def test_suspended_during_a_back_off_waits_when_it_is_over() -> None:
    story = begun("a")
    story.answers("retry")
    story.wanted(SUSPENDED)
    story.timer()
    assert story.upload.stage is Stage.SUSPENDED
    story.wanted(ACTIVE)
    assert story.published[-1] == "start a 2"


def test_a_verdict_is_carried_out_while_suspended() -> None:
    story = begun("a")
    story.wanted(SUSPENDED)
    story.answers("delete")
    assert story.published[-1] == "finish delete 1"


# -- cancel ---------------------------------------------------------------------------------


def in_stage(stage: Stage) -> UploadScenario:
    """An upload that waits for something, in a stage."""
    story = UploadScenario(config_of(HELD, "b"))
    if stage is Stage.PENDING:
        return by_hand()
    story.arrives(expires_at=START if stage is Stage.AWAITING_URL else None)
    if stage is Stage.SUSPENDED:
        story.wanted(SUSPENDED)
        story.answers("continue")
    elif stage is Stage.HELD:
        story.answers("retry")
    elif stage is Stage.BACKING_OFF:
        story.answers("continue")
        story.answers("retry")
    elif stage in {Stage.RELEASE_BACKING_OFF, Stage.UPLOAD_FAILED}:
        story.config = evolve(story.config, max_releases=int(stage is Stage.RELEASE_BACKING_OFF))
        story.answers("continue")
        story.answers("continue")
        story.ready(failed=True)
    assert story.upload.stage is stage
    return story


@pytest.mark.parametrize(
    ("policy", "outcome"), [(CancelPolicy.ABORT, "abort"), (CancelPolicy.DELETE, "delete")]
)
@pytest.mark.parametrize(
    "stage",
    [
        Stage.PENDING,
        Stage.RUNNING,
        Stage.BACKING_OFF,
        Stage.HELD,
        Stage.SUSPENDED,
        Stage.AWAITING_URL,
        Stage.RELEASE_BACKING_OFF,
        Stage.UPLOAD_FAILED,
    ],
)
def test_cancel_ends_the_upload_as_asked(stage: Stage, policy: CancelPolicy, outcome: str) -> None:
    story = in_stage(stage)
    releases = story.upload.finishes
    decision = story.wanted(CANCELLED, policy)
    assert story.published[-1] == f"finish {outcome} {releases + 1}"
    assert [(n.type, n.reason) for n in decision.notices] == [(NoticeType.NORMAL, "Cancelled")]
    assert decision.notices[0].message == f"cancelled as requested; outcome {outcome}"
    assert story.upload.next_attempt_at is None
    story.ready(failed=True)
    assert story.upload.stage is Stage.CANCELLED


def test_cancel_marks_the_step_it_cut_short() -> None:
    story = in_stage(Stage.RUNNING)
    story.wanted(CANCELLED)
    step = story.upload.steps[0]
    assert (step.state, step.reason) == (StepState.FAILED, StepReason.CANCELLED)
    assert story.answers("continue", step="a").ignored is Ignored.NOT_RUNNING


def test_cancel_is_too_late_once_the_order_is_out_and_says_so() -> None:
    story = begun("a")
    story.answers("continue")
    decision = story.wanted(CANCELLED)
    assert [notice.reason for notice in decision.notices] == ["CancelTooLate"]
    assert (decision.commands, story.upload.stage) == ((), Stage.AWAITING_READY)
    story.ready()
    assert story.upload.stage is Stage.COMPLETED
    assert story.wanted(CANCELLED).commands == ()


def test_what_is_out_already_as_the_cancel_would_have_it_is_not_too_late() -> None:
    """The same request is met again after our own change of the spec."""
    story = begun("a")
    story.wanted(CANCELLED)
    again = story.tell(SpecChanged(evolve(story.upload.control, generation=9)))
    assert ((again.commands, again.notices), story.upload.observed_generation) == (((), ()), 9)
    other = story.tell(SpecChanged(Control(desired=CANCELLED, cancel_policy=CancelPolicy.DELETE)))
    assert [notice.reason for notice in other.notices] == ["CancelTooLate"]


def test_the_verdict_of_a_step_stays_the_reason_whatever_was_cancelled_later() -> None:
    story = begun("a")
    story.answers("abort")
    story.wanted(CANCELLED)
    story.ready(failed=True)
    assert story.upload.stage is Stage.ABORTED


# -- restart --------------------------------------------------------------------------------


def test_a_new_token_is_a_new_run_and_an_old_one_is_nothing() -> None:
    story = begun("a", "b")
    story.answers("continue")
    decision = story.restarted("t1")
    assert story.published[-1] == "start a 1"
    assert (story.upload.run, story.upload.restarts, story.upload.observed_token) == (2, 1, "t1")
    assert decision.commands[0].mark.token == "t1"
    assert [(n.type, n.reason, n.message) for n in decision.notices] == [
        (NoticeType.NORMAL, "Restarted", "as requested by restart token t1")
    ]
    assert story.restarted("t1").commands == ()
    assert story.upload.run == 2
    story.restarted("t2")
    assert story.upload.run == 3


def test_restart_from_a_step_skips_those_before() -> None:
    story = begun("a", "b", "c")
    story.restarted("t1", from_step="b")
    assert story.published[-1] == "start b 1"
    assert [step.state for step in story.upload.steps] == [
        StepState.SKIPPED,
        StepState.RUNNING,
        StepState.WAITING,
    ]


def test_mode_resume_starts_the_step_again_in_the_same_run() -> None:
    story = begun("a", "b")
    story.answers("continue")
    decision = story.restarted("t1", RestartMode.RESUME)
    assert story.published[-1] == "start b 2"
    assert (story.upload.run, story.upload.restarts) == (1, 1)
    assert decision.notices[0].reason == "Resumed"


def test_mode_resume_step_asks_all_uploads_of_the_step_through_the_log() -> None:
    story = begun("a", "b")
    story.answers("continue")
    decision = story.restarted("t1", RestartMode.RESUME_STEP)
    assert [short(command) for command in decision.commands] == ["resume t1 1"]
    assert isinstance(decision.commands[0], ResumeStep)
    assert decision.commands[0].step == "b"
    assert decision.notices[0].reason == "StepResumed"
    assert story.published[-2:] == ["resume t1 1", "start b 2"]  # it comes back and moves this one as well
    assert (story.upload.run, story.upload.restarts, story.upload.observed_token) == (1, 1, "t1")


def test_a_wish_for_a_step_that_is_met_in_the_log_is_not_sent_again() -> None:
    """Killed after publishing: the status that says so was not written, and may be long outdated."""
    story = begun("a", "b")
    request = RestartRequest(token="t1", mode=RestartMode.RESUME_STEP)
    story.state = evolve(story.upload, control=Control(restart=request, generation=2))
    story.answers("continue")
    story.tell(Resume("a", "t1"))  # the upload was in `a` when it was asked for
    assert (story.upload.current_step, story.upload.step.attempts) == ("b", 1)
    assert (story.upload.observed_token, story.upload.restarts) == ("t1", 1)
    assert story.edited(story.upload.control).commands == ()


def test_the_step_may_be_another_one_than_that_of_the_upload() -> None:
    """Who asks has seen the resource, and that may be behind."""
    story = begun("a", "b")
    story.answers("continue")
    for number, step in enumerate(("a", "finished")):
        decision = story.restarted(f"t{number}", RestartMode.RESUME_STEP, step)
        assert [command.step for command in decision.commands if isinstance(command, ResumeStep)] == [step]
    assert story.published == ["start a 1", "start b 1", "resume t0 1", "resume t1 1"]
    assert story.restarted("t9", RestartMode.RESUME_STEP, "absent").commands == ()


def test_a_wish_for_a_step_needs_one() -> None:
    story = begun("a")
    story.cleaned()
    decision = story.restarted("t1", RestartMode.RESUME_STEP)
    assert decision.commands == ()
    assert "this upload is Cleaned; set the token" in decision.notices[0].message


def test_restart_with_an_expired_url_asks_for_a_fresh_one_first() -> None:
    story = UploadScenario(config_of("a"))
    story.arrives(expires_at=Millis(START + 3_600_000))
    story.now = Millis(START + 3_600_000)
    story.restarted("t1")
    assert story.published == ["start a 1", "restart a 1"]


def test_restart_from_a_step_with_an_expired_url_asks_for_that_step() -> None:
    story = UploadScenario(config_of("a", "b"))
    story.arrives(expires_at=Millis(START + 3_600_000))
    story.now = Millis(START + 3_600_000)
    story.restarted("t1", from_step="b")
    assert story.published == ["start a 1", "restart b 1"]
    assert story.upload.current_step == "b"


ABORTED, DELETED, DONE, CLEANED = "abort", "delete", "continue", "clean"


@pytest.mark.parametrize("end", [ABORTED, DELETED, DONE, CLEANED])
def test_restart_after_the_end_is_refused_unless_forced(end: str) -> None:
    story = begun("a", "b")
    if end == CLEANED:
        story.cleaned()
    else:
        story.answers("continue")
        story.answers(end)
        story.ready(failed=end != DONE)
    decision = story.restarted("t1")
    assert (decision.commands, decision.ignored) == ((), None)
    assert [(n.type, n.reason) for n in decision.notices] == [(NoticeType.WARNING, "RestartRefused")]
    assert "ForceRestart" in decision.notices[0].message
    assert (story.upload.run, story.upload.restarts, story.upload.observed_token) == (1, 0, "t1")
    story.restarted("t2", RestartMode.FORCE_RESTART, from_step="b")
    assert story.published[-1] == "start b 1"
    upload = story.upload
    assert (upload.stage, upload.run, upload.outcome, upload.finishes) == (Stage.RUNNING, 2, None, 0)
    assert (upload.completed_at, upload.expires_at) == (None, None)


def test_a_refusal_is_shown_unless_something_weightier_is() -> None:
    story = begun("a")
    story.restarted("t1", from_step="absent")
    assert story.upload.message == "restart refused: spec.restart.fromStep: the upload has no step 'absent'"
    story.answers("continue")
    story.cleaned()
    story.restarted("t2")
    assert "sessions command" in story.upload.message


def test_resume_by_token_is_refused_where_resume_is() -> None:
    story = begun("a")
    story.answers("abort")
    decision = story.restarted("t1", RestartMode.RESUME)
    assert [notice.reason for notice in decision.notices] == ["RestartRefused"]
    assert "(F14)" in decision.notices[0].message
    assert (story.upload.restarts, story.upload.observed_token) == (0, "t1")


def test_a_refused_restart_does_not_keep_an_upload_from_starting() -> None:
    control = Control(restart=RestartRequest(token="t1", from_step="absent"))
    story = by_hand(control)
    story.edited(control)
    assert story.published == ["start a 1"]
    assert [notice.reason for notice in story.notices] == ["RestartRefused"]


def test_a_refused_restart_does_not_keep_an_upload_suspended() -> None:
    story = in_stage(Stage.SUSPENDED)
    story.restarted("t1", from_step="absent", desired=ACTIVE)
    assert story.upload.stage is Stage.RUNNING


def test_a_restart_of_a_cancelled_upload_needs_it_active() -> None:
    story = in_stage(Stage.RUNNING)
    story.restarted("t1", desired=CANCELLED)
    assert story.published[-1] == "finish abort 1"
    assert "set spec.desiredState to Active" in story.notices[0].message
    story.ready(failed=True)
    story.restarted("t2", RestartMode.FORCE_RESTART, desired=ACTIVE)
    assert story.published[-1] == "start a 1"


def test_restart_of_a_suspended_upload_begins_a_run_that_waits() -> None:
    story = in_stage(Stage.SUSPENDED)
    story.restarted("t1", desired=SUSPENDED)
    assert (story.upload.stage, story.upload.run) == (Stage.SUSPENDED, 2)


# -- the spec as a whole --------------------------------------------------------------------


def test_a_resource_made_by_hand_runs_like_any_other() -> None:
    story = by_hand()
    story.edited(Control())
    story.answers("continue")
    story.answers("continue")
    story.ready()
    assert story.published == ["start a 1", "start b 1", "finish continue 1"]
    assert story.upload.stage is Stage.COMPLETED


def test_a_resource_without_url_asks_the_storage_for_it() -> None:
    story = by_hand(url='""')
    story.edited(Control())
    assert story.published == ["restart a 1"]


def test_a_spec_that_asks_for_nothing_new_changes_nothing() -> None:
    story = begun("a")
    story.wanted(ACTIVE)
    assert story.upload.observed_generation == story.upload.control.generation == 2
    before = story.upload
    assert story.tell(SpecChanged(before.control)).ignored is Ignored.NOTHING_DUE
    assert story.upload is before


def test_outcome_of_a_release_after_resume_is_what_was_decided() -> None:
    story = begun()
    story.resumed()
    assert story.upload.outcome is Outcome.CONTINUE


def test_a_resume_of_a_step_concerns_who_is_in_it_or_has_asked_for_it() -> None:
    upload = begun("a", "b").upload
    asked = evolve(
        upload,
        control=Control(restart=RestartRequest(token="t1", mode=RestartMode.RESUME_STEP), generation=2),
    )
    assert concerns(upload, Resume(step="a"))
    assert not concerns(upload, Resume(step="b", token="t1"))
    assert concerns(asked, Resume(step="b", token="t1"))
