"""What is written of an upload that is adopted, field by field."""

from typing import Any

import pytest

from tests.records import (
    CONFIG,
    COVERED,
    DELAY,
    LONG_AGO,
    ORIGIN,
    PASSED,
    RULES,
    SCAN,
    TOO_OLD,
    WAITING,
    WRITTEN,
    adopted,
    expected,
    record,
    start,
)
from uploadpp.core.adoption import (
    Record,
    Refusal,
    adopt_unrecorded,
)
from uploadpp.core.commands import Finish, Kind, Mark
from uploadpp.core.evolve import evolve
from uploadpp.core.history import Said
from uploadpp.core.inputs import (
    BytesReceived,
    CleanUpload,
    Resume,
    RetriedElsewhere,
    StepFinished,
)
from uploadpp.core.model import FileInfo, LogPosition, Millis, Origin, StepPlan, StepStatus
from uploadpp.core.states import Outcome, Stage, StepReason, StepState

# -- what is written -------------------------------------------------------------------------


def test_queued() -> None:
    """Nothing was started: the operator does that."""
    found = adopted(record(failures=2))
    step = StepStatus(attempts=2, retries=2)
    assert found == (expected(Stage.QUEUED, step, WAITING, WAITING), ())


def test_queued_behind_steps_that_have_passed() -> None:
    found = adopted(record(current="policies"), (-5_000, start("virusscan")))
    assert found == (expected(Stage.QUEUED, PASSED, PASSED, WAITING, cursor=2), ())


def test_taken_for_started() -> None:
    found = adopted(record(failures=2), ground=TOO_OLD).upload
    step = StepStatus(state=StepState.RUNNING, attempts=3, retries=2, started_at=WRITTEN)
    assert found == expected(Stage.RUNNING, step, WAITING, WAITING, start=0)


def test_taken_for_told() -> None:
    found = adopted(record(current="finished", outcome="continue"), ground=LONG_AGO)
    over: dict[str, Any] = {"outcome": Outcome.CONTINUE, "finishes": 1, "cursor": 3, "start": 0}
    assert found == (expected(Stage.AWAITING_READY, PASSED, PASSED, PASSED, **over), ())


def test_an_end_that_has_to_be_told() -> None:
    """Which step has decided so is not known."""
    found = adopted(record(current="finished", outcome="abort"))
    cut = StepStatus(state=StepState.SKIPPED, finished_at=WRITTEN, reason=StepReason.FINISHED_ELSEWHERE)
    over: dict[str, Any] = {"outcome": Outcome.ABORT, "finishes": 1, "cursor": 3}
    mark = Mark(Kind.FINISH, WRITTEN, 1, 1, "abort")
    assert found == (
        expected(Stage.AWAITING_READY, cut, cut, cut, **over),
        (Finish(mark, Outcome.ABORT),),
    )


def test_delaying() -> None:
    found = adopted(record(current="policies"), (-10, start("delay"))).upload
    began = Millis(WRITTEN - 10)
    step = StepStatus(state=StepState.RUNNING, attempts=1, started_at=began)
    ends: dict[str, Any] = {"since": began, "next_attempt_at": Millis(began + DELAY), "cursor": 1, "start": 0}
    assert found == expected(Stage.DELAYING, PASSED, step, WAITING, **ends)


@pytest.mark.parametrize(
    ("failures", "counted", "wait"), [(0, 1, 7_000), (1, 1, 7_000), (2, 2, 14_000), (3, 3, 20_000)]
)
def test_backing_off(failures: int, counted: int, wait: int) -> None:
    of = record(current="policies", outcome="retry", failures=failures)
    found = adopted(of, (2_000, RetriedElsewhere())).upload
    at = Millis(WRITTEN + 2_000)
    step = StepStatus(
        state=StepState.BACKING_OFF, attempts=counted, retries=counted, finished_at=at, outcome="retry"
    )
    due: dict[str, Any] = {"since": at, "next_attempt_at": Millis(at + wait), "cursor": 2, "start": 0}
    assert found == expected(Stage.BACKING_OFF, PASSED, PASSED, step, **due)


def test_a_failed_release() -> None:
    found = adopted(record(current="finished", outcome="continue", finished=True)).upload
    due: dict[str, Any] = {
        "next_attempt_at": Millis(WRITTEN + CONFIG.release_backoff),
        "cursor": 3,
        "start": 0,
    }
    told_once: dict[str, Any] = {"outcome": Outcome.CONTINUE, "finishes": 1, "releases": 1}
    assert found == expected(Stage.RELEASE_BACKING_OFF, PASSED, PASSED, PASSED, **due, **told_once)


def test_a_step_that_the_operator_starts_is_as_before_its_start() -> None:
    """Its answer led to the next step, and nobody has started that."""
    of = record(steps=("virusscan", "policies"))
    found = adopted(of, (1_000, start("virusscan")), (5_000, StepFinished("virusscan", "continue")))
    at = Millis(WRITTEN + 5_000)
    scanned = StepStatus(
        StepState.SUCCEEDED,
        attempts=1,
        started_at=Millis(WRITTEN + 1_000),
        finished_at=at,
        outcome="continue",
    )
    whole = expected(Stage.QUEUED, scanned, WAITING, cursor=1, since=at, plan=(SCAN, RULES))
    assert found == (whole, ())


def test_a_step_that_waits_for_a_fresh_url_is_as_before_the_question() -> None:
    expired = evolve(ORIGIN, url_expires_at=WRITTEN)
    of = record(origin=expired, steps=("virusscan", "policies"))
    found = adopted(of, (1_000, start("virusscan")), (5_000, StepFinished("virusscan", "continue"))).upload
    assert (found.stage, found.cursor, found.steps[1], found.url_requests) == (Stage.QUEUED, 1, WAITING, 0)
    assert (found.log, found.since) == (LogPosition("main-queue@1", 500, None), WRITTEN + 5_000)


def test_a_step_keeps_what_it_has_tried() -> None:
    """A resume cuts its wait short, and its URL is too old for that."""
    expired = evolve(ORIGIN, url_expires_at=WRITTEN)
    of = record(current="policies", outcome="retry", failures=2, origin=expired)
    found = adopted(of, (1_000, RetriedElsewhere()), (2_000, Resume())).upload
    assert found.stage is Stage.QUEUED
    assert (found.step.state, found.step.attempts, found.step.retries) == (StepState.WAITING, 2, 2)


def test_a_step_that_is_configured_runs_as_configured_and_another_by_its_defaults() -> None:
    found = adopted(record(steps=("watermark", "policies"), current="policies")).upload
    assert found.plan == (StepPlan(name="watermark"), RULES)


def test_an_announcement_that_the_log_has_brings_what_the_record_has_not() -> None:
    seen = BytesReceived(evolve(ORIGIN, space_owner='{"opaque_id":"s"}'), FileInfo(filename="a.pdf"))
    found = adopted(record(), (-500, seen)).upload
    assert (found.origin, found.file) == (seen.origin, seen.file)


def test_what_is_said_before_the_announcement_is_of_an_earlier_life() -> None:
    seen = BytesReceived(ORIGIN, FileInfo())
    assert adopted(record(), (-500, CleanUpload()), (-400, seen)).upload.stage is Stage.QUEUED


def test_an_announcement_with_another_url_is_not_that_of_the_record() -> None:
    older = BytesReceived(evolve(ORIGIN, url='"https://storage.test/0"', filename='"b"'), FileInfo())
    found = adopted(record(), (-9_000, older), (-8_000, start("virusscan"))).upload
    assert found.origin.filename == ORIGIN.filename


# -- what has no record ----------------------------------------------------------------------

ANNOUNCED = Said(400, WRITTEN, BytesReceived(ORIGIN, FileInfo(filename="a.pdf")), "e")


def test_announced_and_lost_by_the_service() -> None:
    """Announced twice is announced."""
    twice = [ANNOUNCED, ANNOUNCED._replace(sequence=401)]
    for said in ([ANNOUNCED], twice):
        found = adopt_unrecorded("u-1", said, COVERED, CONFIG)
        whole = expected(Stage.QUEUED, WAITING, WAITING, WAITING, plan_fixed=False)
        assert found == (evolve(whole, file=FileInfo(filename="a.pdf")), ())


@pytest.mark.parametrize(
    "said",
    [
        [ANNOUNCED._replace(sequence=401)],
        [ANNOUNCED, Said(402, WRITTEN, CleanUpload())],
        [
            Said(
                400,
                WRITTEN,
                BytesReceived(
                    evolve(ORIGIN, executing_user='{"opaque_id":"postprocessing-restart"}'), FileInfo()
                ),
            )
        ],
    ],
    ids=["behind our place", "of which more is said", "announced again"],
)
def test_what_is_not_lost(said: list[Said]) -> None:
    assert adopt_unrecorded("u-1", said, COVERED, CONFIG) is None


# -- records ---------------------------------------------------------------------------------


def test_a_record_shows_neither_url_nor_names() -> None:
    """It may end up in a log."""
    shown = repr(record(file=FileInfo(filename="salaries.xlsx")))
    assert "storage.test" not in shown
    assert "salaries" not in shown


def test_a_record_of_which_nothing_is_known() -> None:
    bare = Record(id="u-1")
    assert (bare.origin, bare.file, bare.steps) == (Origin(), FileInfo(), ())
    assert (bare.current, bare.outcome, bare.failures, bare.finished, bare.written_at) == (
        "",
        "",
        0,
        False,
        0,
    )


def test_the_words_of_a_report() -> None:
    assert [*Refusal] == [
        *("Broken", "BadSteps", "UnknownStep", "InTheLog", "HasResource"),
        *("HasEnded", "Over", "AdoptedBefore", "TooLarge", "Refused"),
    ]
