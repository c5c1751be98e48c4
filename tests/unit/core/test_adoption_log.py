"""Which events of the log count for an upload that is adopted, and which uploads are not."""

import pytest

from tests.records import (
    CONFIG,
    COVERED,
    DELAY,
    LONG_AGO,
    NOW,
    ORIGIN,
    RULES,
    SCAN,
    SLACK,
    TOO_OLD,
    WAIT,
    WAITING,
    WRITTEN,
    adopted,
    left,
    log_of,
    record,
    start,
    told,
)
from uploadpp.core.adoption import (
    Adopted,
    Left,
    Refusal,
    adopt,
)
from uploadpp.core.config import Config
from uploadpp.core.history import Said
from uploadpp.core.inputs import (
    BytesReceived,
    CleanUpload,
    StepFinished,
    UploadReady,
)
from uploadpp.core.model import FileInfo, Millis, StepPlan
from uploadpp.core.states import Outcome, Stage

# -- which events of the log count -----------------------------------------------------------


@pytest.mark.parametrize(("after", "is_over"), [(-SLACK, True), (-SLACK - 1, False), (0, True)])
def test_without_an_event_of_the_service_what_was_said_since_the_record_counts(
    after: int, *, is_over: bool
) -> None:
    """The clocks of two servers of NATS may differ by a second."""
    verdict = adopt(record(), log_of((after, CleanUpload())), COVERED, CONFIG)
    assert isinstance(verdict, Left) is is_over


def test_with_one_what_was_said_after_it_counts() -> None:
    answered = (-19_000, StepFinished("virusscan", "retry"))
    found = adopted(record(), (-20_000, start("virusscan")), answered).upload
    assert found.stage is Stage.BACKING_OFF
    before = (-21_000, StepFinished("virusscan", "retry"))
    assert adopted(record(), before, (-20_000, start("virusscan"))).upload.stage is Stage.RUNNING


def test_the_last_event_of_the_service_is_the_one_that_counts() -> None:
    of = record(current="policies", steps=("virusscan", "policies"))
    found = adopted(of, (-20_000, start("policies")), (-10_000, start("virusscan"))).upload
    assert (found.stage, found.current_step) == (Stage.QUEUED, "policies")


@pytest.mark.parametrize(("after", "stage"), [(SLACK, Stage.QUEUED), (SLACK + 1, Stage.AWAITING_READY)])
def test_an_end_that_was_told_long_before_the_record_is_of_an_earlier_life(after: int, stage: Stage) -> None:
    assert adopted(record(), (after, told("continue"))).upload.stage is stage


def test_an_end_of_the_record_was_told_whenever_that_was() -> None:
    found = adopted(record(current="finished", outcome="continue"), (-9_000, told("continue")))
    assert (found.upload.stage, found.upload.finishes, found.missing) == (Stage.AWAITING_READY, 1, ())
    assert found.upload.log.start == 101


@pytest.mark.parametrize(("after", "stage"), [(-SLACK, Stage.RUNNING), (-SLACK - 1, Stage.BACKING_OFF)])
def test_a_retry_in_the_record_belongs_to_a_start_before_it(after: int, stage: Stage) -> None:
    """The service stores the answer; a start after that is the next attempt."""
    of = record(outcome="retry", failures=1)
    found = adopted(of, (after, start("virusscan"))).upload
    assert found.stage is stage
    assert found.step.attempts == (2 if stage is Stage.RUNNING else 1)
    if stage is Stage.BACKING_OFF:
        assert found.since == WRITTEN, "when the answer was stored"


def test_a_start_without_a_retry_in_the_record_counts_however_old() -> None:
    found = adopted(record(), (-9_000, start("virusscan"))).upload
    assert (found.stage, found.step.attempts, found.log.start) == (Stage.RUNNING, 1, 101)


def test_the_word_retry_of_an_end_is_not_a_retry() -> None:
    """The storage aborts at it."""
    found = adopted(record(current="finished", outcome="retry"), (-9_000, start("policies")))
    assert [each.outcome for each in found.missing] == ["abort"]


@pytest.mark.parametrize(("since", "stage"), [(-SLACK, Stage.QUEUED), (-SLACK + 1, Stage.RUNNING)])
def test_a_record_is_believed_where_the_log_does_not_reach_back_to_it(since: int, stage: Stage) -> None:
    ground = COVERED._replace(since=Millis(WRITTEN + since))
    assert adopted(record(), ground=ground).upload.stage is stage


def test_a_record_is_not_believed_where_the_log_tells_more() -> None:
    found = adopted(record(current="policies"), (11_000, start("virusscan")), ground=LONG_AGO).upload
    assert found.stage is Stage.QUEUED


def test_an_answer_to_an_order_that_nobody_has_given_means_nothing() -> None:
    """The storage has failed for another reason, and still has to be told."""
    found = adopted(record(current="finished", outcome="abort"), (5, UploadReady(failed=True)))
    assert found.upload.stage is Stage.AWAITING_READY
    assert [each.outcome for each in found.missing] == ["abort"]


@pytest.mark.parametrize(("after", "is_over"), [(0, False), (1, True)])
def test_after_a_failed_release_only_what_came_later_counts(after: int, *, is_over: bool) -> None:
    """The failure itself is in the record."""
    of = record(current="finished", outcome="continue", finished=True)
    verdict = adopt(of, log_of((after, UploadReady(failed=False))), COVERED, CONFIG)
    assert isinstance(verdict, Left) is is_over


# -- delays ----------------------------------------------------------------------------------


@pytest.mark.parametrize(("now", "stage"), [(DELAY - 1, Stage.DELAYING), (DELAY, Stage.RUNNING)])
def test_a_delay_of_which_the_log_says_nothing_is_over_in_time(now: int, stage: Stage) -> None:
    ground = TOO_OLD._replace(now=Millis(WRITTEN + now))
    found = adopted(record(current="policies"), ground=ground).upload
    assert found.stage is stage


def test_a_delay_that_the_record_says_and_the_log_does_not_reach_has_begun() -> None:
    found = adopted(record(current="delay"), ground=LONG_AGO).upload
    assert (found.stage, found.since, found.next_attempt_at) == (
        Stage.DELAYING,
        WRITTEN,
        WRITTEN + DELAY,
    )


def test_a_delay_that_the_record_says_and_the_log_does_not_begins_anew() -> None:
    covered = COVERED._replace(now=Millis(WRITTEN + DELAY))
    found = adopted(record(current="delay"), ground=covered).upload
    assert (found.stage, found.current_step, found.step) == (Stage.QUEUED, "delay", WAITING)


def test_the_step_behind_a_delay_has_begun_where_the_log_does_not_reach() -> None:
    assert adopted(record(current="policies"), ground=LONG_AGO).upload.stage is Stage.RUNNING


def test_a_delay_as_the_first_step() -> None:
    found = adopted(record(current="delay", steps=("delay", "virusscan"))).upload
    assert (found.stage, found.cursor) == (Stage.DELAYING, 0)


def test_before_the_first_step_there_is_no_delay() -> None:
    """Nor is the last one before it."""
    found = adopted(record(steps=("virusscan", "delay"))).upload
    assert (found.stage, found.cursor) == (Stage.QUEUED, 0)


def test_a_delay_as_the_last_step_lasts_although_the_record_says_finished() -> None:
    of = record(current="finished", outcome="continue", steps=("virusscan", "delay"))
    found = adopted(of, ground=TOO_OLD)
    assert (found.upload.stage, found.upload.cursor, found.missing) == (Stage.DELAYING, 1, ())


def test_an_upload_that_was_rejected_waits_for_no_delay() -> None:
    of = record(current="finished", outcome="delete", steps=("virusscan", "delay"))
    found = adopted(of, ground=TOO_OLD).upload
    assert (found.stage, found.outcome) == (Stage.AWAITING_READY, Outcome.DELETE)


def test_what_is_said_during_a_delay_counts() -> None:
    assert left(record(current="policies"), (-10, start("delay")), (5, CleanUpload())).reason is Refusal.OVER


def test_a_start_of_another_step_begins_no_delay() -> None:
    found = adopted(record(current="policies"), (-10, start("virusscan"))).upload
    assert (found.stage, found.current_step) == (Stage.QUEUED, "policies")


# -- what is not adopted ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("steps", "reason", "why"),
    [
        (
            ("virusscan", "virusscan"),
            Refusal.BAD_STEPS,
            "a step is listed twice, which the operator does not run",
        ),
        (
            (*(f"s{number}" for number in range(32)), "virusscan"),
            Refusal.BAD_STEPS,
            "more than 32 steps, or a name without or with too many letters",
        ),
        (
            ("virusscan", ""),
            Refusal.BAD_STEPS,
            "more than 32 steps, or a name without or with too many letters",
        ),
        (
            ("x" * 64, "virusscan"),
            Refusal.BAD_STEPS,
            "more than 32 steps, or a name without or with too many letters",
        ),
        (
            ("policies",),
            Refusal.BAD_STEPS,
            "its current step 'virusscan' is not among its steps",
        ),
        (
            ("virusscan", "watermark", "stamp"),
            Refusal.UNKNOWN_STEP,
            "the operator is not configured with its step 'watermark'; add it to the steps and adopt again",
        ),
    ],
)
def test_steps_that_the_operator_does_not_run(steps: tuple[str, ...], reason: Refusal, why: str) -> None:
    assert left(record(steps=steps)) == (reason, why)


@pytest.mark.parametrize(
    "steps",
    [
        (*(f"s{number}" for number in range(31)), "virusscan"),
        ("x" * 63, "virusscan"),
        ("x", "virusscan"),
    ],
)
def test_steps_at_the_limits_are_run(steps: tuple[str, ...]) -> None:
    assert adopted(record(steps=steps)).upload.stage is Stage.QUEUED


def test_the_current_step_has_to_be_configured_too() -> None:
    assert left(record(), config=Config(steps=(WAIT, RULES))).why.startswith(
        "the operator is not configured with its step 'virusscan'"
    )


def test_a_delay_needs_no_configuration() -> None:
    found = adopted(record(steps=("virusscan", "delay")), config=Config(steps=(SCAN,))).upload
    assert found.plan == (SCAN, StepPlan(name="delay"))


def test_what_is_finished_needs_no_step() -> None:
    of = record(current="finished", outcome="continue", steps=("watermark",))
    assert adopted(of, (5, told("continue"))).upload.stage is Stage.AWAITING_READY


@pytest.mark.parametrize("sequence", [400, 401])
def test_what_the_operator_reads_itself_begins_behind_its_position(sequence: int) -> None:
    said = [Said(sequence, NOW, BytesReceived(ORIGIN, FileInfo()))]
    verdict = adopt(record(), said, COVERED, CONFIG)
    if sequence == COVERED.behind:
        assert isinstance(verdict, Adopted)
        return
    assert verdict == (Refusal.IN_THE_LOG, "the operator reads its BytesReceived from the log itself")


def test_the_first_announcement_says_who_reads_it() -> None:
    first = Said(300, WRITTEN, BytesReceived(ORIGIN, FileInfo()))
    verdict = adopt(record(), [first, first._replace(sequence=450)], COVERED, CONFIG)
    assert isinstance(verdict, Adopted)


@pytest.mark.parametrize(("word", "named"), [("delete", "delete"), ("abort", "abort"), ("", "its end")])
def test_an_end_that_was_carried_out(word: str, named: str) -> None:
    of = record(current="finished", outcome=word, finished=True)
    assert left(of) == (Refusal.OVER, f"the storage has carried out {named}")


def test_an_end_that_the_log_tells() -> None:
    found = left(record(), (5, start("virusscan")), (9, CleanUpload()))
    assert found.reason is Refusal.OVER
    words = "according to the log it has ended: the storage's sessions command removed the upload"
    assert found.why == words
