"""What every kind of entry in the bucket of the legacy service becomes."""

from typing import Any

import pytest

from uploadpp.core.adoption import (
    Adopted,
    Ground,
    Left,
    Record,
    Refusal,
    adopt,
    adopt_unrecorded,
)
from uploadpp.core.commands import Kind, Mark
from uploadpp.core.config import Config
from uploadpp.core.history import Said
from uploadpp.core.inputs import (
    BytesReceived,
    CleanUpload,
    FinishedElsewhere,
    Input,
    Published,
    Resume,
    RetriedElsewhere,
    StartedElsewhere,
    StepFinished,
    UploadReady,
)
from uploadpp.core.model import FileInfo, Millis, Origin, StepPlan, Upload
from uploadpp.core.states import Outcome, Stage, StepState

DELAY = Millis(60_000)
CONFIG = Config(
    steps=(
        StepPlan(name="virusscan"),
        StepPlan(name="delay", delay=DELAY),
        StepPlan(name="policies", max_retries=3),
    )
)
STEPS = ("virusscan", "delay", "policies")
WRITTEN = Millis(1_000_000)
NOW = Millis(WRITTEN + 30_000)
ORIGIN = Origin(url='"https://storage.test/1"', executing_user='{"username":"mary"}')
BEGUN = Origin(url=ORIGIN.url, executing_user=ORIGIN.executing_user, space_owner='{"opaque_id":"s"}')
COVERED = Ground("main-queue@1", 500, 400, Millis(WRITTEN - 10_000), NOW)
"""The log was read from before the record was written."""
TOO_OLD = COVERED._replace(since=Millis(WRITTEN + 10_000))


def record(**members: Any) -> Record:  # noqa: ANN401 -- fields of a record
    return Record(
        **{
            "id": "u-1",
            "origin": ORIGIN,
            "steps": STEPS,
            "current": "virusscan",
            "written_at": WRITTEN,
            **members,
        }
    )


def log_of(*events: Input | tuple[int, Input]) -> list[Said]:
    """Events after the record, a second apart; a number in front of one says how many ms after it."""
    said, at = [], WRITTEN
    for sequence, each in enumerate(events, 101):
        after, event = each if isinstance(each, tuple) else (at - WRITTEN + 1_000, each)
        at = Millis(WRITTEN + after)
        said.append(Said(sequence, at, event, f"event-{sequence}"))
    return said


def start(step: str) -> StartedElsewhere:
    return StartedElsewhere(step, 0)


def placed(said: list[Said]) -> list[Said]:
    """Events of others know their own position."""
    return [
        each._replace(event=type(each.event)(*_first(each.event), each.sequence))
        if isinstance(each.event, StartedElsewhere | FinishedElsewhere)
        else each
        for each in said
    ]


def _first(event: StartedElsewhere | FinishedElsewhere) -> tuple[str]:
    return (event.step,) if isinstance(event, StartedElsewhere) else (event.outcome,)


def adopted(of: Record, *events: Input | tuple[int, Input], ground: Ground = COVERED) -> Adopted:
    verdict = adopt(of, placed(log_of(*events)), ground, CONFIG)
    assert isinstance(verdict, Adopted), verdict
    return verdict


def upload(of: Record, *events: Input | tuple[int, Input], ground: Ground = COVERED) -> Upload:
    """What becomes of a record when nothing has to be published by hand."""
    verdict = adopted(of, *events, ground=ground)
    assert not verdict.missing
    return verdict.upload


def left(of: Record, *events: Input | tuple[int, Input], ground: Ground = COVERED) -> Left:
    verdict = adopt(of, placed(log_of(*events)), ground, CONFIG)
    assert isinstance(verdict, Left), verdict
    return verdict


class TestRunning:
    def test_started(self) -> None:
        found = upload(record(), start("virusscan"))
        assert (found.stage, found.current_step, found.step.attempts) == (Stage.RUNNING, "virusscan", 1)
        assert found.log == ("main-queue@1", 500, 101)
        assert found.step.started_at == WRITTEN + 1_000

    def test_stored_and_not_started(self) -> None:
        """The service was killed between its store and the stream: the operator starts the step."""
        found = upload(record())
        assert (found.stage, found.current_step, found.step.attempts) == (Stage.QUEUED, "virusscan", 0)

    def test_not_started_because_its_url_expires(self) -> None:
        """The operator asks the storage for another one."""
        expired = Origin(url=ORIGIN.url, executing_user=ORIGIN.executing_user, url_expires_at=WRITTEN)
        of = record(origin=expired, steps=("virusscan", "policies"))
        found = upload(of, start("virusscan"), StepFinished("virusscan", "continue"))
        assert (found.stage, found.current_step) == (Stage.QUEUED, "policies")
        assert (found.step.attempts, found.url_requests) == (0, 0)

    def test_a_later_step_and_those_before_it_passed(self) -> None:
        found = upload(record(current="policies"), start("policies"))
        assert [step.state for step in found.steps] == [
            StepState.SUCCEEDED,
            StepState.SUCCEEDED,
            StepState.RUNNING,
        ]

    def test_of_before_what_was_read_of_the_log(self) -> None:
        """It is taken for started; the operator says so when nobody answers."""
        found = upload(record(failures=2), ground=TOO_OLD)
        assert (found.stage, found.step.attempts, found.log.start) == (Stage.RUNNING, 3, 0)

    def test_its_answer_was_acknowledged_and_lost(self) -> None:
        found = upload(record(current="policies"), start("policies"), StepFinished("policies", "retry"))
        assert (found.stage, found.step.retries) == (Stage.BACKING_OFF, 1)

    def test_its_answer_leads_to_a_step_that_the_operator_starts(self) -> None:
        of = record(steps=("virusscan", "policies"))
        found = upload(of, start("virusscan"), StepFinished("virusscan", "continue"))
        assert (found.stage, found.current_step, found.step.attempts) == (Stage.QUEUED, "policies", 0)

    @pytest.mark.parametrize("word", ["abort", "delete"])
    def test_its_answer_ends_the_upload(self, word: str) -> None:
        verdict = adopted(record(), start("virusscan"), StepFinished("virusscan", word))
        assert verdict.upload.stage is Stage.AWAITING_READY
        assert [each.outcome for each in verdict.missing] == [word]

    def test_it_was_started_again_by_a_resume(self) -> None:
        found = upload(record(), start("virusscan"), Resume(), start("virusscan"))
        assert (found.stage, found.step.attempts, found.log.start) == (Stage.RUNNING, 1, 103)

    def test_a_resume_that_nobody_has_carried_out(self) -> None:
        found = upload(record(), start("virusscan"), Resume(step="virusscan"))
        assert (found.stage, found.current_step) == (Stage.QUEUED, "virusscan")

    def test_started_by_us_before_we_gave_it_back(self) -> None:
        """The record is younger than the start: `uploadpp release` has written it."""
        mark = Mark(Kind.START, Millis(5), 1, 1, "virusscan")
        found = upload(record(), (-20_000, Published(mark, 101)))
        assert (found.stage, found.log.start) == (Stage.RUNNING, 101)


class TestBackingOff:
    def test_waits_as_long_as_the_service_would_have(self) -> None:
        found = upload(
            record(current="policies", outcome="retry", failures=2), start("policies"), RetriedElsewhere()
        )
        assert (found.stage, found.step.retries, found.step.attempts) == (Stage.BACKING_OFF, 2, 2)
        assert found.next_attempt_at == WRITTEN + 2_000 + 10_000

    def test_the_notice_was_not_published(self) -> None:
        found = upload(
            record(current="policies", outcome="retry", failures=1),
            (-5_000, start("policies")),
            (-4_000, StepFinished("policies", "retry")),
        )
        assert (found.stage, found.step.retries) == (Stage.BACKING_OFF, 1)
        assert found.next_attempt_at == WRITTEN + 5_000

    def test_the_wait_was_over(self) -> None:
        found = upload(
            record(current="policies", outcome="retry", failures=1), RetriedElsewhere(), start("policies")
        )
        assert (found.stage, found.step.retries, found.step.attempts) == (Stage.RUNNING, 1, 2)

    def test_a_retry_of_an_earlier_step(self) -> None:
        """The service never resets the outcome `retry`: the record of the next step still says it."""
        found = upload(
            record(current="policies", outcome="retry", failures=1, steps=("virusscan", "policies")),
            RetriedElsewhere(),
            start("virusscan"),
            StepFinished("virusscan", "continue"),
            start("policies"),
        )
        assert (found.stage, found.current_step) == (Stage.RUNNING, "policies")

    def test_of_before_what_was_read_of_the_log(self) -> None:
        found = upload(record(outcome="retry", failures=1), ground=TOO_OLD)
        assert (found.stage, found.next_attempt_at) == (Stage.BACKING_OFF, WRITTEN + 5_000)


class TestDelay:
    def test_lasts_although_the_record_says_the_next_step(self) -> None:
        found = upload(record(current="policies"), (-10, start("delay")))
        assert (found.stage, found.current_step) == (Stage.DELAYING, "delay")
        assert found.next_attempt_at == WRITTEN - 10 + DELAY

    def test_is_over(self) -> None:
        found = upload(record(current="policies"), (-10, start("delay")), start("policies"))
        assert (found.stage, found.current_step) == (Stage.RUNNING, "policies")

    def test_as_the_last_step_although_the_record_says_finished(self) -> None:
        of = record(current="finished", outcome="continue", steps=("virusscan", "delay"))
        found = upload(of, (-10, start("delay")))
        assert (found.stage, found.current_step) == (Stage.DELAYING, "delay")

    def test_was_begun_and_not_published(self) -> None:
        found = upload(record(current="delay"), (-90_000, start("virusscan")), ground=COVERED)
        assert (found.stage, found.current_step) == (Stage.QUEUED, "delay")

    def test_of_before_what_was_read_of_the_log_is_waited_for(self) -> None:
        found = upload(record(current="policies"), ground=TOO_OLD)
        assert (found.stage, found.next_attempt_at) == (Stage.DELAYING, WRITTEN + DELAY)

    def test_is_not_what_a_step_that_has_failed_waits_for(self) -> None:
        found = upload(record(current="policies", outcome="retry", failures=2), ground=TOO_OLD)
        assert (found.stage, found.current_step, found.retry_count) == (Stage.BACKING_OFF, "policies", 2)

    def test_of_long_ago_is_over(self) -> None:
        late = TOO_OLD._replace(now=Millis(WRITTEN + 10 * DELAY))
        assert upload(record(current="policies"), ground=late).stage is Stage.RUNNING

    def test_is_not_what_an_aborted_upload_waits_for(self) -> None:
        of = record(current="finished", outcome="abort", steps=("virusscan", "delay"))
        assert adopted(of, (-10, start("virusscan"))).upload.stage is Stage.AWAITING_READY


class TestFinished:
    @pytest.mark.parametrize("word", ["continue", "abort", "delete"])
    def test_told_and_not_answered(self, word: str) -> None:
        found = upload(record(current="finished", outcome=word), FinishedElsewhere(word, 0))
        assert (found.stage, found.outcome, found.finishes) == (Stage.AWAITING_READY, word, 1)
        assert found.log.start == 101

    @pytest.mark.parametrize("word", ["continue", "abort", "delete"])
    def test_stored_and_not_told(self, word: str) -> None:
        """Killed between its store and the stream. We know that it is not out, so even an abort is sent."""
        verdict = adopted(record(current="finished", outcome=word), (-5_000, start("policies")))
        assert [each.outcome for each in verdict.missing] == [word]

    @pytest.mark.parametrize("word", ["continue", "abort", "delete"])
    def test_of_before_what_was_read_of_the_log_is_taken_for_told(self, word: str) -> None:
        found = upload(record(current="finished", outcome=word), ground=TOO_OLD)
        assert (found.stage, found.outcome, found.finishes) == (Stage.AWAITING_READY, word, 1)

    @pytest.mark.parametrize("word", ["retry", "", "nonsense"])
    def test_a_word_that_the_storage_takes_for_abort(self, word: str) -> None:
        found = upload(record(current="finished", outcome=word), FinishedElsewhere(word, 0))
        assert found.outcome is Outcome.ABORT

    def test_answered_and_lost(self) -> None:
        of = record(current="finished", outcome="continue")
        found = left(of, FinishedElsewhere("continue", 0), UploadReady(failed=False))
        assert found.reason is Refusal.OVER

    def test_the_release_failed_and_was_lost(self) -> None:
        of = record(current="finished", outcome="continue")
        found = upload(of, FinishedElsewhere("continue", 0), UploadReady(failed=True))
        assert (found.stage, found.releases) == (Stage.RELEASE_BACKING_OFF, 1)

    def test_the_release_failed(self) -> None:
        """The service never does anything about it; the operator tries again."""
        found = upload(record(current="finished", outcome="continue", finished=True))
        assert (found.stage, found.releases) == (Stage.RELEASE_BACKING_OFF, 1)

    @pytest.mark.parametrize("word", ["abort", "delete"])
    def test_carried_out(self, word: str) -> None:
        assert left(record(current="finished", outcome=word, finished=True)).reason is Refusal.OVER

    def test_cleaned_meanwhile(self) -> None:
        assert left(record(), start("virusscan"), CleanUpload()).reason is Refusal.OVER

    def test_finished_before_the_storage_announced_it_again(self) -> None:
        again = BytesReceived(ORIGIN, FileInfo())
        found = upload(record(), (-900, FinishedElsewhere("abort", 0)), (-500, again), start("virusscan"))
        assert found.stage is Stage.RUNNING


class TestLeft:
    def test_what_the_operator_reads_anyway(self) -> None:
        said = [
            Said(401, NOW, BytesReceived(ORIGIN, FileInfo())),
            Said(402, NOW, StartedElsewhere("virusscan", 402)),
        ]
        verdict = adopt(record(), said, COVERED, CONFIG)
        assert isinstance(verdict, Left)
        assert verdict.reason is Refusal.IN_THE_LOG

    def test_not_what_the_storage_announces_again_behind_our_place(self) -> None:
        """Alone, the operator would hold it: it does not know how it went before."""
        again = Origin(
            url='"https://storage.test/2"', executing_user='{"opaque_id":"postprocessing-restart"}'
        )
        said = [Said(401, NOW, BytesReceived(again, FileInfo()))]
        verdict = adopt(record(), said, COVERED, CONFIG)
        assert isinstance(verdict, Adopted)
        assert verdict.upload.stage is Stage.QUEUED
        assert verdict.upload.origin.url == again.url

    def test_a_step_that_is_not_configured(self) -> None:
        found = left(record(steps=("virusscan", "watermark")))
        assert found.reason is Refusal.UNKNOWN_STEP
        assert "'watermark'" in found.why

    def test_not_for_a_step_that_is_over(self) -> None:
        assert upload(record(steps=("watermark", "virusscan")), start("virusscan")).stage is Stage.RUNNING

    @pytest.mark.parametrize(
        "steps",
        [("virusscan", "policies", "virusscan"), ("policies",), ("virusscan", ""), ("virusscan", "x" * 64)],
    )
    def test_steps_that_cannot_be_run(self, steps: tuple[str, ...]) -> None:
        assert left(record(steps=steps)).reason is Refusal.BAD_STEPS

    def test_every_reason_says_whether_a_person_is_needed(self) -> None:
        fine = {each for each in Refusal if each.is_fine}
        assert fine == {Refusal.IN_THE_LOG, Refusal.HAS_RESOURCE, Refusal.OVER, Refusal.ADOPTED_BEFORE}


class TestOrigin:
    def test_is_that_of_the_announcement_where_the_log_has_it(self) -> None:
        found = upload(record(), (-500, BytesReceived(BEGUN, FileInfo(filename="a"))), start("virusscan"))
        assert (found.origin, found.file.filename) == (BEGUN, "a")

    def test_is_that_of_the_record_where_it_has_not(self) -> None:
        assert upload(record(), start("virusscan")).origin == ORIGIN

    def test_identity_is_that_of_the_record(self) -> None:
        """Event ids of an earlier life of the upload must not come again: a stream would drop ours."""
        assert upload(record(), start("virusscan")).received_at == WRITTEN


class TestUnrecorded:
    SAID = Said(101, Millis(WRITTEN), BytesReceived(BEGUN, FileInfo()), "e")

    def test_announced_and_lost_by_the_service(self) -> None:
        verdict = adopt_unrecorded("u-1", [self.SAID], COVERED, CONFIG)
        assert isinstance(verdict, Adopted)
        assert (verdict.upload.stage, verdict.upload.current_step) == (Stage.QUEUED, "virusscan")

    def test_behind_our_place_it_is_the_operators(self) -> None:
        assert adopt_unrecorded("u-1", [self.SAID._replace(sequence=401)], COVERED, CONFIG) is None

    def test_of_which_more_is_said(self) -> None:
        said = [self.SAID, Said(102, Millis(WRITTEN), StartedElsewhere("virusscan", 102))]
        assert adopt_unrecorded("u-1", said, COVERED, CONFIG) is None
