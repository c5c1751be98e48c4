"""What the log said of an upload before its announcement: nothing that is over is begun."""

import pytest

from uploadpp.core.commands import NoticeType
from uploadpp.core.inputs import BytesReceived, CleanUpload, FinishedElsewhere, Input, UploadReady
from uploadpp.core.model import Millis, StepPlan
from uploadpp.core.rules.earlier import FACTS
from uploadpp.core.states import Outcome, Stage, StepReason, StepState
from uploadpp.testing.builders import RESTART_USER, START, UploadScenario, arrival, config_of

RELEASED, FAILED, CLEANED = UploadReady(failed=False), UploadReady(failed=True), CleanUpload()
TOLD = {word: FinishedElsewhere(word, 7) for word in ("continue", "abort", "delete")}
STEPS: dict[str, tuple[str | StepPlan, ...]] = {
    "service": ("a", "b"),
    "delay": (StepPlan(name="delay", delay=Millis(60_000)), "b"),
    "delay of no length": ("delay", "b"),
    "none": (),
}
SAID: dict[str, tuple[tuple[Input, ...], Stage, int]] = {
    "released": ((RELEASED,), Stage.COMPLETED, 0),
    "failed": ((FAILED,), Stage.HELD, 0),
    "cleaned": ((CLEANED,), Stage.CLEANED, 0),
    "continue": ((TOLD["continue"],), Stage.AWAITING_READY, 1),
    "continue, released": ((TOLD["continue"], RELEASED), Stage.COMPLETED, 1),
    "continue, failed": ((TOLD["continue"], FAILED), Stage.RELEASE_BACKING_OFF, 1),
    "continue, failed, continue": ((TOLD["continue"], FAILED, TOLD["continue"]), Stage.AWAITING_READY, 2),
    "continue, failed twice": ((TOLD["continue"], FAILED, FAILED), Stage.RELEASE_BACKING_OFF, 1),
    "continue, failed, released": ((TOLD["continue"], FAILED, RELEASED), Stage.COMPLETED, 1),
    "continue twice": ((TOLD["continue"], TOLD["continue"]), Stage.AWAITING_READY, 1),
    "continue, abort": ((TOLD["continue"], TOLD["abort"]), Stage.AWAITING_READY, 1),
    "failed twice": ((FAILED, FAILED), Stage.HELD, 0),
    "failed, continue": ((FAILED, TOLD["continue"]), Stage.AWAITING_READY, 1),
    "failed, released": ((FAILED, RELEASED), Stage.COMPLETED, 0),
    "continue, cleaned": ((TOLD["continue"], CLEANED), Stage.CLEANED, 1),
    "abort, failed": ((TOLD["abort"], FAILED), Stage.ABORTED, 1),
    "delete, failed": ((TOLD["delete"], FAILED), Stage.DELETED, 1),
    "delete, released": ((TOLD["delete"], RELEASED), Stage.COMPLETED, 1),
}
"""What was said before, where the upload stands after it, and how often the storage was told an outcome."""


def announced(
    *earlier: Input,
    steps: tuple[str | StepPlan, ...] = ("a", "b"),
    user: str = "null",
    expires_at: Millis | None = None,
) -> UploadScenario:
    """A new upload of which something was said before; what it publishes comes back through the log."""
    story = UploadScenario(config_of(*steps))
    story.sequence = 100
    seen = arrival(user=user, expires_at=expires_at)
    story.tell(BytesReceived(seen.origin, seen.file, earlier))
    return story


def test_all_that_tells_how_an_unknown_upload_ended_is_remembered() -> None:
    assert {type(event) for earlier, _, _ in SAID.values() for event in earlier} == {*FACTS}


@pytest.mark.parametrize("steps", STEPS.values(), ids=STEPS)
@pytest.mark.parametrize(("earlier", "stage", "finishes"), SAID.values(), ids=SAID)
def test_an_upload_stands_where_the_log_says(
    steps: tuple[str | StepPlan, ...], earlier: tuple[Input, ...], stage: Stage, finishes: int
) -> None:
    """Its steps were never started, and only what another service told the storage was told."""
    story = announced(*earlier, steps=steps)
    upload = story.upload
    assert (upload.stage, upload.finishes, story.published) == (stage, finishes, [])
    assert {(step.attempts, step.started_at) for step in upload.steps} <= {(0, None)}
    assert upload.started_at == (None if earlier[0] == FAILED else story.now)
    assert upload.origin.has_url
    assert upload.file.filename == "plan.pdf"


@pytest.mark.parametrize("steps", STEPS.values(), ids=STEPS)
@pytest.mark.parametrize(
    ("over", "stage"), [(RELEASED, Stage.COMPLETED), (CLEANED, Stage.CLEANED)], ids=["released", "cleaned"]
)
@pytest.mark.parametrize(
    "later",
    [FAILED, TOLD["abort"], CLEANED, RELEASED],
    ids=["failed", "abort", "cleaned again", "released again"],
)
def test_nothing_counts_after_its_end(
    over: Input, stage: Stage, later: Input, steps: tuple[str | StepPlan, ...]
) -> None:
    upload = announced(over, later, steps=steps).upload
    assert (upload.stage, upload.finishes) == (stage, 0)


@pytest.mark.parametrize("steps", STEPS.values(), ids=STEPS)
@pytest.mark.parametrize("earlier", [earlier for earlier, _, _ in SAID.values()], ids=SAID)
def test_the_counters_are_what_is_in_the_stream(
    earlier: tuple[Input, ...], steps: tuple[str | StepPlan, ...]
) -> None:
    """With a URL that is no longer good, the upload would have begun with a question for another one."""
    upload = announced(*earlier, steps=steps, expires_at=Millis(START + 1)).upload
    assert upload.url_requests == 0
    assert {(step.attempts, step.retries) for step in upload.steps} <= {(0, 0)}
    assert upload.releases == (earlier[0] == TOLD["continue"] and FAILED in earlier)
    assert upload.restarts == 0


@pytest.mark.parametrize("steps", STEPS.values(), ids=STEPS)
def test_an_upload_that_was_cleaned_was_told_no_outcome(steps: tuple[str | StepPlan, ...]) -> None:
    """Without any step it would have been released at once, which was never published."""
    assert announced(CLEANED, steps=steps).upload.outcome is None


def test_a_release_that_nobody_had_ordered_is_reported() -> None:
    story = announced(RELEASED)
    assert [step.reason for step in story.upload.steps] == [StepReason.RELEASED_ELSEWHERE, None]
    assert (story.upload.outcome, story.upload.completed_at) == (Outcome.CONTINUE, story.now)
    assert [(notice.type, notice.reason) for notice in story.notices] == [
        (NoticeType.WARNING, "ReleasedElsewhere")
    ]
    assert story.upload.expires_at == story.now + story.config.ttl_completed


def test_without_any_step_a_release_before_the_announcement_is_not_ours_either() -> None:
    """The order that we would have given at once was never published."""
    story = announced(RELEASED, steps=())
    assert [notice.reason for notice in story.notices] == ["ReleasedElsewhere"]
    assert "before postprocessing ended" in story.upload.message


def test_without_any_step_another_service_has_told_the_storage_what_we_would_have_told_it() -> None:
    story = announced(TOLD["continue"], steps=())
    assert (story.upload.outcome, story.notices) == (Outcome.CONTINUE, [])


NOTICES: dict[str, list[str]] = {
    "continue, released": ["FinishedElsewhere"],
    "continue, failed": ["FinishedElsewhere", "ReleaseFailed"],
    "continue, failed, continue": ["FinishedElsewhere", "ReleaseFailed", "FinishedElsewhere"],
    "continue, failed twice": ["FinishedElsewhere", "ReleaseFailed"],
    "continue, failed, released": ["FinishedElsewhere", "ReleaseFailed"],
    "continue, cleaned": ["FinishedElsewhere"],
    "continue twice": ["FinishedElsewhere"],
    "continue, abort": ["FinishedElsewhere"],
    "abort, failed": ["FinishedElsewhere"],
    "delete, released": ["FinishedElsewhere", "ReleasedElsewhere"],
    "failed twice": ["Held"],
    "failed, continue": ["Held", "FinishedElsewhere"],
    "failed, released": ["Held", "ReleasedElsewhere"],
}
"""What people are told of an upload of which several things were said before: of each, in order."""


@pytest.mark.parametrize(("said", "reasons"), NOTICES.items(), ids=NOTICES)
def test_people_are_told_of_all_that_was_said_before(said: str, reasons: list[str]) -> None:
    story = announced(*SAID[said][0])
    assert [notice.reason for notice in story.notices] == reasons


@pytest.mark.parametrize("said", ["continue twice", "continue, abort", "failed twice"])
def test_a_last_word_that_changes_nothing_does_not_make_the_announcement_one(said: str) -> None:
    """What is ignored makes no upload known: it would never be recorded."""
    story = UploadScenario(config_of("a", "b"))
    story.sequence = 100
    seen = arrival()
    decision = story.tell(BytesReceived(seen.origin, seen.file, SAID[said][0]))
    assert (decision.ignored, decision.why, decision.met) == (None, "", None)


def test_a_release_that_failed_too_often_before_may_still_succeed() -> None:
    story = UploadScenario(config_of("a", max_releases=0))
    story.sequence = 100
    seen = arrival()
    story.tell(BytesReceived(seen.origin, seen.file, (TOLD["continue"], FAILED, RELEASED)))
    assert story.upload.stage is Stage.COMPLETED
    assert [notice.reason for notice in story.notices] == ["FinishedElsewhere", "UploadFailed"]


def test_what_was_cleaned_says_why_its_step_was_left_out() -> None:
    upload = announced(CLEANED).upload
    assert (upload.steps[0].state, upload.steps[0].reason) == (StepState.SKIPPED, StepReason.CLEANED)
    assert upload.message == "the storage's sessions command removed the upload"
    assert upload.completed_at == START + 1_000


@pytest.mark.parametrize(
    ("word", "verb"),
    [("continue", "release the file"), ("abort", "abort the upload"), ("delete", "delete the upload")],
)
def test_the_outcome_that_another_service_told_is_waited_for(word: str, verb: str) -> None:
    story = announced(FinishedElsewhere(word, 7))
    assert (story.upload.outcome, story.upload.since) == (word, story.now)
    assert verb in story.upload.message
    assert [notice.reason for notice in story.notices] == ["FinishedElsewhere"]
    story.ready(failed=word != "continue")
    assert story.upload.stage.ended


def test_a_release_is_sent_again_with_the_next_number() -> None:
    story = announced(TOLD["continue"])
    story.timer()
    assert story.published == ["finish continue 2"]


def test_a_failed_release_is_tried_again() -> None:
    story = announced(TOLD["continue"], FAILED)
    assert (story.upload.releases, story.upload.next_attempt_at) == (
        1,
        story.now + story.config.release_backoff,
    )
    assert [notice.reason for notice in story.notices] == ["FinishedElsewhere", "ReleaseFailed"]
    story.timer()
    assert story.published == ["finish continue 2"]


def test_an_upload_that_had_failed_before_is_held_for_a_person() -> None:
    """What had failed is not known: a run could lose its bytes."""
    story = announced(FAILED)
    assert story.upload.is_held_unbegun
    assert story.upload.message.startswith(
        "the storage reported this upload as failed before it announced it; "
    )
    assert [(notice.type, notice.reason) for notice in story.notices] == [(NoticeType.WARNING, "Held")]
    assert story.upload.since == story.now
    story.resumed()
    assert story.published == ["start a 1"]


@pytest.mark.parametrize("steps", STEPS.values(), ids=STEPS)
def test_nothing_is_left_in_a_held_upload_of_how_it_would_have_begun(
    steps: tuple[str | StepPlan, ...],
) -> None:
    story = announced(FAILED, steps=steps, expires_at=Millis(START + 1))
    upload = story.upload
    assert (upload.run, upload.steps, upload.outcome, upload.finishes) == (0, (), None, 0)
    assert (upload.cursor, upload.current_step, upload.next_attempt_at) == (len(steps), "", None)
    assert [notice.message for notice in story.notices] == [upload.message]


def test_the_storage_is_not_asked_for_a_fresh_url_that_no_step_needs_any_more() -> None:
    story = announced(TOLD["continue"], expires_at=Millis(START + 1))
    assert (story.upload.stage, story.published) == (Stage.AWAITING_READY, [])


@pytest.mark.parametrize("earlier", [(CLEANED,), (CLEANED, CLEANED)], ids=["once", "twice"])
def test_what_was_cleaned_before_the_storage_announces_again_was_an_earlier_upload(
    earlier: tuple[Input, ...],
) -> None:
    story = announced(*earlier, user=RESTART_USER)
    assert story.upload.is_held_unbegun
    assert story.upload.message.startswith("the storage announces this upload again, and its earlier history")
    assert story.upload.since == story.now


def test_the_end_of_an_upload_that_is_announced_again_is_known_all_the_same() -> None:
    story = announced(CLEANED, TOLD["continue"], RELEASED, user=RESTART_USER)
    assert (story.upload.stage, story.upload.finishes) == (Stage.COMPLETED, 1)
