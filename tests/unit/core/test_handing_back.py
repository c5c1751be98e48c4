"""What an upload of every stage becomes when it is handed back to the legacy service."""

from typing import NamedTuple

import pytest

from uploadpp.core.adoption import Adopted, Ground, adopt
from uploadpp.core.commands import Finish, Kind, Mark, StartStep
from uploadpp.core.evolve import evolve
from uploadpp.core.handing_back import GivenBack, Kept, Nudge, give_back
from uploadpp.core.history import Known, Said
from uploadpp.core.inputs import (
    BytesReceived,
    CleanUpload,
    Input,
    Published,
    SpecChanged,
    StepFinished,
    UploadReady,
)
from uploadpp.core.machine import decide
from uploadpp.core.model import Control, FileInfo, Millis, Origin, Upload
from uploadpp.core.states import DesiredState, Outcome, Stage, StepState
from uploadpp.testing.builders import after, arrival
from uploadpp.testing.configs import config, step

CONFIG = config(step("virusscan"), step("delay"), step("policies"))
ARRIVAL = arrival()
NOW = Millis(1_795_000_100_000)
PASSED = StepFinished("virusscan", "continue")
LATER = Millis(NOW + 10_000)


def given(upload: Upload, *missing: StartStep | Finish) -> GivenBack:
    found = give_back(Known(upload, missing), NOW, CONFIG)
    assert isinstance(found, GivenBack), found
    return found


def kept(upload: Upload | None) -> Kept:
    found = give_back(Known(upload), NOW, CONFIG)
    assert isinstance(found, Kept), found
    return found


def upload(*events: Input, steps: tuple[str, ...] = ("virusscan", "delay", "policies")) -> Upload:
    return after(ARRIVAL, *events, config=config(*map(step, steps)))


class Expected(NamedTuple):
    current: str
    outcome: str
    failures: int
    nudge: Nudge


@pytest.mark.parametrize(
    ("events", "steps", "stage", "expected"),
    [
        ((), ("virusscan",), Stage.RUNNING, Expected("virusscan", "", 0, Nudge.NOTHING)),
        (
            (StepFinished("virusscan", "retry"),),
            ("virusscan",),
            Stage.BACKING_OFF,
            Expected("virusscan", "retry", 1, Nudge.RESUME),
        ),
        (
            (PASSED,),
            ("virusscan", "delay", "policies"),
            Stage.DELAYING,
            Expected("delay", "", 0, Nudge.RESUME),
        ),
        ((PASSED,), ("virusscan", "policies"), Stage.RUNNING, Expected("policies", "", 0, Nudge.NOTHING)),
        (
            (PASSED,),
            ("virusscan",),
            Stage.AWAITING_READY,
            Expected("finished", "continue", 0, Nudge.NOTHING),
        ),
        (
            (StepFinished("virusscan", "abort"),),
            ("virusscan",),
            Stage.AWAITING_READY,
            Expected("finished", "abort", 0, Nudge.NOTHING),
        ),
        (
            (PASSED, UploadReady(failed=True)),
            ("virusscan",),
            Stage.RELEASE_BACKING_OFF,
            Expected("finished", "continue", 0, Nudge.RESUME),
        ),
    ],
)
def test_under_way(
    events: tuple[Input, ...], steps: tuple[str, ...], stage: Stage, expected: Expected
) -> None:
    before = upload(*events, steps=steps)
    assert before.stage is stage
    found = given(before)
    record = found.record
    assert Expected(record.current, record.outcome, record.failures, found.nudge) == expected
    assert (record.id, record.steps, record.finished) == (before.id, steps, False)
    assert record.origin == ARRIVAL.origin


def test_a_start_that_is_not_out_is_asked_for() -> None:
    before = upload(steps=("virusscan",))
    mark = Mark(Kind.START, before.received_at, 1, 1, "virusscan")
    assert given(before, StartStep(mark)).nudge is Nudge.RESUME


@pytest.mark.parametrize("outcome", [Outcome.CONTINUE, Outcome.ABORT, Outcome.DELETE])
def test_an_end_that_is_not_out_is_asked_for(outcome: Outcome) -> None:
    """An abort as well: nobody has told the storage yet."""
    before = upload(StepFinished("virusscan", outcome), steps=("virusscan",))
    mark = Mark(Kind.FINISH, before.received_at, 1, 1, outcome)
    assert given(before, Finish(mark, outcome)).nudge is Nudge.RESUME


def test_an_abort_that_is_out_is_never_asked_for_again() -> None:
    before = upload(StepFinished("virusscan", "abort"), steps=("virusscan",))
    assert given(before).nudge is Nudge.NOTHING


@pytest.mark.parametrize("origin", [Origin(), evolve(ARRIVAL.origin, url_expires_at=NOW)])
def test_without_a_url_that_lasts_the_storage_is_asked(origin: Origin) -> None:
    before = evolve(upload(StepFinished("virusscan", "retry"), steps=("virusscan",)), origin=origin)
    assert given(before).nudge is Nudge.RESTART


def test_a_running_step_has_its_url() -> None:
    before = evolve(upload(steps=("virusscan",)), origin=evolve(ARRIVAL.origin, url_expires_at=NOW))
    assert given(before).nudge is Nudge.NOTHING


@pytest.mark.parametrize(
    "events",
    [
        (StepFinished("virusscan", "abort"), UploadReady(failed=True)),
        (StepFinished("virusscan", "delete"), UploadReady(failed=True)),
        (PASSED, UploadReady(failed=False)),
        (CleanUpload(),),
    ],
)
def test_over_is_over(events: tuple[Input, ...]) -> None:
    before = upload(*events, steps=("virusscan",))
    assert kept(before) == Kept(f"it has ended: {before.stage}", over=True)


def test_a_person_decides_about_what_rests() -> None:
    running = upload(steps=("virusscan", "policies"))
    control = Control(desired=DesiredState.SUSPENDED, generation=2)
    resting = decide(running, running.id, SpecChanged(control), NOW, CONFIG).upload
    resting = decide(resting, running.id, PASSED, NOW, CONFIG).upload
    assert resting is not None
    assert resting.stage is Stage.SUSPENDED
    found = given(resting)
    assert (found.record.current, found.nudge) == ("policies", Nudge.NOTHING)
    assert found.remark == (
        f"Suspended: a person has to decide; `postprocessing resume -u {running.id}` continues it there"
    )


def test_what_has_not_begun_stays() -> None:
    again = evolve(ARRIVAL.origin, executing_user='{"id":{"opaque_id":"postprocessing-restart"}}')
    held = after(BytesReceived(again, FileInfo()), config=CONFIG)
    assert held.stage is Stage.HELD
    assert kept(held) == Kept(f"it has not begun: {Stage.HELD}")


def test_one_with_a_lost_answer_stays_until_the_step_has_run_again() -> None:
    """The service goes by the name of the step that answers: it would release what nobody has scanned."""
    before = upload(PASSED, steps=("virusscan", "policies"))
    lost = evolve(before, steps=(evolve(before.steps[0], state=StepState.WAITING), before.steps[1]))
    assert before.current_step == "policies"
    assert kept(lost) == Kept("the log has lost the answer of step virusscan: the operator runs it again")


def test_what_the_log_does_not_announce_stays() -> None:
    assert kept(None) == Kept("the log does not announce it")


@pytest.mark.parametrize(
    ("events", "steps"),
    [
        ((), ("virusscan",)),
        ((StepFinished("virusscan", "retry"),), ("virusscan",)),
        ((PASSED,), ("virusscan", "policies")),
        ((PASSED,), ("virusscan",)),
        ((StepFinished("virusscan", "abort"),), ("virusscan",)),
    ],
)
def test_there_and_back(events: tuple[Input, ...], steps: tuple[str, ...]) -> None:
    """What was given back and is adopted again is what it was, but for its history."""
    before = upload(*events, steps=steps)
    record = evolve(given(before).record, written_at=LATER)
    ground = Ground("main-queue@1", 500, 400, Millis(LATER - 1), LATER)
    said = _told(before)
    back = adopt(record, said, ground, config(*map(step, steps)))
    assert isinstance(back, Adopted)
    upload_now = back.upload
    assert (upload_now.stage, upload_now.current_step, upload_now.outcome) == (
        before.stage,
        before.current_step,
        before.outcome,
    )
    assert upload_now.retry_count == before.retry_count
    assert not back.missing


def _told(upload: Upload) -> list[Said]:
    """The last event of ours, before the record was written."""
    if upload.stage is Stage.BACKING_OFF:
        mark = Mark(Kind.RETRY, upload.received_at, 1, 1, upload.current_step)
    elif upload.stage is Stage.AWAITING_READY:
        mark = Mark(Kind.FINISH, upload.received_at, 1, 1, upload.outcome or "")
    else:
        mark = Mark(Kind.START, upload.received_at, 1, 1, upload.current_step)
    return [Said(200, NOW, Published(mark, 200))]


def test_the_words_of_a_report() -> None:
    assert [*Nudge] == ["", "ResumePostprocessing", "RestartPostprocessing"]


def test_what_is_given_back_without_more_needs_nothing_more() -> None:
    found = given(upload(steps=("virusscan",)))
    assert (found.nudge, found.remark) == (Nudge.NOTHING, "")
    assert GivenBack(found.record) == found
    assert not Kept("why").over
