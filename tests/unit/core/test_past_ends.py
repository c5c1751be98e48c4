"""A resource that a person makes anew: what the log says of the upload's earlier life counts."""

import pytest

from uploadpp.core.commands import Kind, Mark, NoticeType
from uploadpp.core.config import Config
from uploadpp.core.evolve import evolve
from uploadpp.core.inputs import (
    CleanUpload,
    FinishedElsewhere,
    Input,
    Published,
    Resume,
    SpecChanged,
    StepFinished,
    UploadReady,
)
from uploadpp.core.machine import decide
from uploadpp.core.model import Control, Millis, Origin, RestartRequest, StepPlan, Upload
from uploadpp.core.rules.past_ends import (
    UNPROVEN,
    UNREADABLE,
    ended_after,
    is_unproven,
    proven,
    refuses_resume,
    unproven,
    unreadable,
)
from uploadpp.core.states import DesiredState, Ignored, Outcome, RestartMode, Stage
from uploadpp.testing.builders import RESTART_USER, START, UPLOAD_ID, arrival

CONFIG = Config(steps=(StepPlan(name="a"),))
MADE = Upload(
    id=UPLOAD_ID, received_at=START, since=START, plan=CONFIG.steps, origin=Origin(by_hand=True, url='"u"')
)
ENDS = (Outcome.ABORT, Outcome.DELETE)


def finished(word: str) -> Published:
    return Published(Mark(Kind.FINISH, START, 1, 1, word), 7)


def after(upload: Upload, event: Input) -> Upload:
    decision = decide(upload, UPLOAD_ID, event, START, CONFIG)
    assert decision.commands == ()
    return decision.upload


def asked(mode: RestartMode) -> SpecChanged:
    return SpecChanged(Control(restart=RestartRequest(token="t", mode=mode), generation=2))


@pytest.mark.parametrize(
    ("said", "ended"),
    [
        ([], None),
        ([arrival(), finished("abort")], Outcome.ABORT),
        ([arrival(), finished("delete")], Outcome.DELETE),
        ([arrival(), finished("continue")], None),
        ([arrival(), FinishedElsewhere("abort", 3)], Outcome.ABORT),
        ([arrival(), FinishedElsewhere("nonsense", 3)], None),
        ([finished("abort"), finished("continue")], Outcome.ABORT),
        ([finished("abort"), finished("delete")], Outcome.DELETE),
        ([finished("abort"), arrival()], None),
        ([finished("abort"), arrival(user=RESTART_USER)], Outcome.ABORT),
        ([finished("abort"), UploadReady(failed=True), CleanUpload()], Outcome.ABORT),
        ([Published(Mark(Kind.START, START, 1, 1, "abort"), 7), StepFinished("a", "abort")], None),
    ],
)
def test_how_an_upload_has_ended_by_what_the_log_says(said: list[Input], ended: Outcome | None) -> None:
    known: Outcome | None = None
    for event in said:
        known = ended_after(known, event)
    assert known is ended


def test_it_counts_as_a_restored_one_until_the_log_has_answered() -> None:
    waiting = unproven(MADE)
    assert is_unproven(waiting)
    assert waiting.lost_status
    assert waiting.message == (
        "the storage announces this upload again, and it was not known yet whether it had ended before"
    )
    assert proven(waiting, None) == MADE
    assert unreadable(waiting).message == (
        "it is not known whether this upload has ended before, because the log cannot be read"
    )


@pytest.mark.parametrize("changes", [{"stage": Stage.RUNNING}, {"lost_status": True, "message": "restored"}])
def test_one_with_a_status_is_as_its_status_says(changes: dict[str, object]) -> None:
    known = evolve(MADE, **changes)
    assert unproven(known) is known


def test_one_that_has_moved_since_is_as_it_is() -> None:
    moved = evolve(MADE, stage=Stage.RUNNING)
    assert proven(moved, Outcome.ABORT) is moved
    assert unreadable(moved) is moved


def test_what_the_operator_has_created_is_not_asked_about() -> None:
    assert not is_unproven(evolve(unproven(MADE), origin=Origin()))


@pytest.mark.parametrize("ended", ENDS)
def test_it_is_held_after_an_end_and_says_how_to_run_it(ended: Outcome) -> None:
    later = Millis(START + 5_000)
    decision = decide(proven(unproven(MADE), ended), UPLOAD_ID, SpecChanged(MADE.control), later, CONFIG)
    held = decision.upload
    assert (held.stage, held.run, held.outcome, held.finishes) == (Stage.HELD, 0, ended, 0)
    assert held.since == later
    (notice,) = decision.notices
    lost = "a second abort would lose its bytes" if ended == "abort" else "the storage has deleted it"
    ways = "kubectl pp restart --force (mode ForceRestart) runs it anyway, cancel ends it"
    assert (
        held.message
        == notice.message
        == (
            f"this upload has ended before: PostprocessingFinished({ended}) is in the log, and {lost}; "
            f"{ways} without telling the storage"
        )
    )
    assert (notice.type, notice.reason) == (NoticeType.WARNING, "Held")


def test_a_restart_in_its_spec_is_not_carried_out_again() -> None:
    held = after(proven(unproven(MADE), Outcome.ABORT), asked(RestartMode.FORCE_RESTART))
    assert (held.stage, held.observed_token) == (Stage.HELD, "t")
    assert "restart t is not carried out" in held.message


@pytest.mark.parametrize("ended", ENDS)
@pytest.mark.parametrize("mode", [RestartMode.RESUME, RestartMode.RESTART, RestartMode.RESUME_STEP])
def test_only_a_forced_restart_runs_it(ended: Outcome, mode: RestartMode) -> None:
    held = after(proven(unproven(MADE), ended), SpecChanged(MADE.control))
    assert after(held, asked(mode)).stage is Stage.HELD
    assert after(held, Resume()).stage is Stage.HELD
    why = f"the upload has ended before, with {ended}; use mode ForceRestart to run it anyway"
    assert refuses_resume(held) == (Ignored.UPLOAD_ABORTED, why)
    forced = decide(held, UPLOAD_ID, asked(RestartMode.FORCE_RESTART), START, CONFIG).upload
    assert (forced.stage, forced.run, forced.outcome) == (Stage.RUNNING, 1, None)


@pytest.mark.parametrize("ended", ENDS)
@pytest.mark.parametrize("begins", [True, False])
def test_cancelled_it_tells_the_storage_nothing(ended: Outcome, *, begins: bool) -> None:
    cancelled = SpecChanged(Control(desired=DesiredState.CANCELLED, generation=2))
    upload = proven(unproven(MADE), ended)
    upload = after(upload if begins else after(upload, SpecChanged(MADE.control)), cancelled)
    assert (upload.stage, upload.outcome) == (Stage.CANCELLED, ended)
    assert after(upload, asked(RestartMode.RESTART)).stage is Stage.CANCELLED


def test_without_an_answer_a_person_decides() -> None:
    held = after(unreadable(unproven(MADE)), SpecChanged(MADE.control))
    assert (held.stage, held.outcome) == (Stage.HELD, None)
    assert held.message.startswith(UNREADABLE)
    assert decide(held, UPLOAD_ID, Resume(), START, CONFIG).upload.stage is Stage.RUNNING


def test_nothing_begins_it_before_the_answer() -> None:
    waiting = unproven(MADE)
    refused = decide(waiting, UPLOAD_ID, Resume(), START, CONFIG)
    assert (refused.ignored, refused.upload.stage) == (Ignored.HELD, Stage.PENDING)
    assert refused.why == "whether the upload has ended before is being looked up"
    assert refuses_resume(MADE) is None
    again = after(waiting, arrival(user=RESTART_USER))
    assert again.stage is Stage.HELD
    assert again.message.startswith(UNPROVEN)


def test_what_the_storage_announces_of_its_own_accord_begins() -> None:
    upload = proven(unproven(MADE), Outcome.ABORT)
    # The applier forgets what is only known from a person's resource (`arrival.overrules`).
    begun = decide(None, upload.id, arrival(), START, CONFIG).upload
    assert begun is not None
    assert begun.stage is Stage.RUNNING
