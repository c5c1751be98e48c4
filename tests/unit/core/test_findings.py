"""What the legacy service does wrong (docs/findings.md), tried on the core.

Each test has the number of the finding and fails on the behaviour described there.
"""

import pytest

from uploadpp.core.commands import Finish, Kind, Mark
from uploadpp.core.evolve import evolve
from uploadpp.core.inputs import Published, StepFinished
from uploadpp.core.model import Millis, StepPlan
from uploadpp.core.rules.timers import wake_at
from uploadpp.core.states import Ignored, OnExhausted, Outcome, RestartMode, Stage
from uploadpp.testing.builders import (
    FRESH_URL,
    RESTART_USER,
    START,
    USER,
    UploadScenario,
    begun,
    config_of,
    of_kind,
    short,
)


def test_f02_a_message_delivered_twice_counts_once() -> None:
    story = begun("a", "b")
    story.answers("continue")
    story.answers("continue", step="a")
    story.answers("continue", step="b")
    story.answers("continue", step="b")
    story.ready()
    story.ready()
    assert story.published == ["start a 1", "start b 1", "finish continue 1"]


def test_f05_an_old_retry_does_not_start_the_next_step_twice() -> None:
    story = begun("a", "b", "c")
    story.answers("retry")
    story.timer()
    story.answers("continue")
    due = wake_at(story.upload, story.config)
    assert due == story.upload.since + story.upload.plan[1].stall_after, "only the report of a stall is due"
    story.answers("continue")
    assert story.published == ["start a 1", "retry a 1", "start a 2", "start b 1", "start c 1"]
    assert story.upload.steps[0].outcome == "continue"


@pytest.mark.parametrize("outcome", Outcome)
def test_f06_a_result_of_another_step_neither_advances_nor_rewinds(outcome: str) -> None:
    story = begun("a", "b", "c")
    story.answers("continue")
    for step in ("a", "c"):
        assert story.answers(outcome, step=step).ignored is Ignored.NOT_CURRENT_STEP
    assert (story.upload.current_step, story.published) == ("b", ["start a 1", "start b 1"])


@pytest.mark.parametrize("step", ["a", "b", "finished"])
def test_f06_a_result_after_the_end_sends_nothing(step: str) -> None:
    story = begun("a", "b")
    story.answers("continue")
    story.answers("continue")
    assert story.answers("continue", step=step).ignored is Ignored.NOT_RUNNING
    story.ready()
    assert story.answers("continue", step=step).ignored is Ignored.NOT_RUNNING
    assert len(of_kind(story, Kind.FINISH)) == 1


@pytest.mark.parametrize("step", ["", "viruscan", "finished", "A"])
def test_f07_a_name_that_is_no_step_does_not_release_the_file(step: str) -> None:
    story = begun("a")
    assert story.answers("continue", step=step).ignored is Ignored.NOT_CURRENT_STEP
    assert of_kind(story, Kind.FINISH) == []


def test_f09_each_step_has_its_own_retries_and_its_own_waits() -> None:
    plan = StepPlan(name="a", max_retries=2, backoff=Millis(5_000))
    story = begun(plan, evolve(plan, name="b"))
    for _ in range(2):
        story.answers("retry")
        story.timer()
    story.answers("continue")
    story.answers("retry")
    assert (story.upload.stage, story.upload.step.retries) == (Stage.BACKING_OFF, 1)
    assert story.upload.next_attempt_at == story.now + 5_000
    assert story.upload.retry_count == 3


def test_f10_n_retries_are_n_plus_one_attempts() -> None:
    for retries in (0, 1, 3):
        story = begun(StepPlan(name="a", max_retries=retries))
        while story.upload.stage is not Stage.AWAITING_READY:
            story.answers("retry")
            if story.upload.stage is Stage.BACKING_OFF:
                story.timer()
        assert len(of_kind(story, Kind.START)) == retries + 1
        assert story.published[-1] == "finish abort 1"


def test_f11_the_wait_never_overflows_and_never_exceeds_its_limit() -> None:
    plan = StepPlan(name="a", max_retries=1000, backoff=Millis(5_000), max_backoff=Millis(43_200_000))
    story = begun(plan)
    for _ in range(200):
        story.answers("retry")
        wait = (story.upload.next_attempt_at or 0) - story.now
        assert 5_000 <= wait <= 43_200_000
        story.timer()


def test_f12_what_happens_without_retries_can_be_chosen_and_is_reported() -> None:
    for policy in OnExhausted:
        story = begun(StepPlan(name="a", max_retries=0, on_exhausted=policy))
        story.answers("retry", message="scanner down")
        assert any("scanner down" in notice.message for notice in story.notices)
        sent = [command.outcome for command in story.commands if isinstance(command, Finish)]
        assert sent == ([] if policy is OnExhausted.HOLD else [policy.lower()])


def test_f13_nothing_restarts_an_aborted_upload_unless_forced() -> None:
    story = begun("a")
    story.answers("abort")
    story.ready(failed=True)
    assert story.arrives(FRESH_URL).ignored is Ignored.UPLOAD_ABORTED
    refused = story.restarted("t1")
    assert "lose the bytes" in refused.notices[0].message
    assert story.published == ["start a 1", "finish abort 1"]
    story.restarted("t2", RestartMode.FORCE_RESTART)
    assert story.published[-1] == "start a 1"


def test_f14_abort_is_sent_once_whatever_happens() -> None:
    story = begun("a")
    story.answers("abort")
    story.answers("abort", step="a")
    story.timer()
    story.resumed()
    story.resumed("finished")
    story.restarted("t1", RestartMode.RESUME)
    story.restarted("t2")
    story.arrives(FRESH_URL)
    story.read_own_event(story.commands[-1])
    story.ready(failed=True)
    story.resumed()
    assert [short(command) for command in of_kind(story, Kind.FINISH)] == ["finish abort 1"]


def test_f15_resume_releases_a_file_whose_release_had_failed() -> None:
    story = begun("a", max_releases=0)
    story.answers("continue")
    story.ready(failed=True)
    story.resumed("finished")
    assert story.published == ["start a 1", "finish continue 1", "finish continue 2"]
    story.ready()
    assert story.upload.stage is Stage.COMPLETED


@pytest.mark.parametrize("step", [StepPlan(name="a"), StepPlan(name="delay", delay=Millis(60_000))])
def test_f17_resume_cancels_the_pending_timer(step: StepPlan) -> None:
    story = begun(step, "b")
    if step.name == "a":
        story.answers("retry")
    due = wake_at(story.upload, story.config)
    story.resumed()
    starts = len(of_kind(story, Kind.START))
    now = wake_at(story.upload, story.config)
    assert due is not None
    assert now is not None
    assert now > due
    assert starts == 2
    assert len({command.mark for command in of_kind(story, Kind.START)}) == 2


def test_f18_a_late_retry_does_not_become_the_outcome() -> None:
    story = begun("a")
    story.answers("continue")
    story.answers("retry", step="a")
    story.resumed()
    assert story.upload.outcome is Outcome.CONTINUE
    assert {c.outcome for c in story.commands if isinstance(c, Finish)} == {Outcome.CONTINUE}


def test_f19_bytes_received_again_neither_restarts_nor_resurrects() -> None:
    story = begun("a", "b")
    story.arrives()
    story.answers("continue")
    story.arrives()
    story.answers("continue")
    story.arrives()
    story.ready()
    story.arrives()
    story.arrives(FRESH_URL)
    assert story.published == ["start a 1", "start b 1", "finish continue 1"]
    assert story.upload.stage is Stage.COMPLETED


def test_f20_whoever_is_not_answered_is_reported_and_whoever_ended_is_removed() -> None:
    story = begun()
    while story.upload.stalled_at is None:
        story.timer()
    assert wake_at(story.upload, story.config) is not None, "it waits without end"
    story.cleaned()
    assert story.upload.stage is Stage.CLEANED
    for ended in (story, begun("a")):
        if not ended.upload.stage.ended:
            ended.answers("delete")
            ended.ready(failed=True)
        assert ended.upload.expires_at is not None


def test_f21_a_missing_service_is_reported_and_can_time_out() -> None:
    story = begun("mispelled")
    story.timer()
    assert [notice.reason for notice in story.notices] == ["Stalled"]
    impatient = begun(StepPlan(name="a", timeout=Millis(1_000), max_retries=0))
    impatient.timer()
    assert impatient.published[-1] == "finish abort 1"


def test_f22_an_answer_to_an_old_state_is_not_applied_to_a_new_one() -> None:
    """Workers of the legacy service write one record side by side; here the log has one order."""
    story = begun("a", "b")
    story.answers("continue")
    story.sequence = 2
    assert story.tell(StepFinished("b", "continue")).ignored is Ignored.ALREADY_APPLIED


def test_f24_a_restart_keeps_the_user() -> None:
    story = begun("a")
    story.arrives(FRESH_URL, user=RESTART_USER)
    assert (story.upload.run, story.upload.origin.executing_user) == (2, USER)
    assert (story.upload.origin.url, story.upload.origin.filename) == (FRESH_URL, '"plan.pdf"')


def test_f33_an_expired_url_is_renewed_instead_of_burning_retries() -> None:
    story = UploadScenario(config_of(StepPlan(name="a", backoff=Millis(3_600_000))))
    story.arrives(expires_at=Millis(START + 3_600_000))
    story.answers("retry")
    story.timer()
    assert story.published[-1] == "restart a 1"
    story.arrives(FRESH_URL, user=RESTART_USER)
    assert story.published[-1] == "start a 2"
    assert (story.upload.step.retries, story.upload.run) == (1, 1)


def test_f36_a_change_of_the_configuration_does_not_reach_an_upload_under_way() -> None:
    story = begun("a", "b")
    story.config = config_of("x")
    story.answers("continue")
    story.answers("continue")
    assert story.published == ["start a 1", "start b 1", "finish continue 1"]


def test_f23_a_command_met_in_the_log_is_not_decided_again() -> None:
    """Published, then killed before the status was written: replay finds the event and goes on from it."""
    story = begun(StepPlan(name="a", timeout=Millis(1_000), backoff=Millis(1_000)))
    stored = story.upload
    story.timer()
    story.timer()
    replayed = UploadScenario(story.config, stored, now=story.now)
    for sequence, command in enumerate(story.commands[1:], 3):
        assert isinstance(command.mark, Mark)
        assert replayed.tell(Published(command.mark, sequence)).commands == ()
    assert replayed.upload.step.attempts == story.upload.step.attempts == 2
