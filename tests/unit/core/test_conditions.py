"""The conditions, and the sentence a person sees."""

import pytest

from uploadpp.core.conditions import (
    Condition,
    ConditionStatus,
    ConditionType,
    Unserved,
    conditions,
    describe,
)
from uploadpp.core.evolve import evolve
from uploadpp.core.inputs import FinishedElsewhere
from uploadpp.core.model import Control, Millis, StepPlan, Upload
from uploadpp.core.states import DesiredState, OnExhausted, RestartMode, Stage
from uploadpp.testing.builders import (
    RESTART_USER,
    START,
    UPLOAD_ID,
    UploadScenario,
    begun,
    by_hand,
    config_of,
)

TRUE, FALSE, UNKNOWN = ConditionStatus.TRUE, ConditionStatus.FALSE, ConditionStatus.UNKNOWN


def found(story: UploadScenario) -> dict[ConditionType, Condition]:
    return {condition.type: condition for condition in conditions(story.upload)}


def test_a_running_upload_has_two_conditions_since_it_began() -> None:
    story = begun("a", "b")
    began = story.now
    story.answers("continue")
    assert conditions(story.upload) == (
        Condition(ConditionType.SUCCEEDED, UNKNOWN, "Running", describe(story.upload), began),
        Condition(ConditionType.FINISHED, FALSE, "InProgress", "", began),
    )


def test_a_completed_upload_has_succeeded_and_is_acknowledged() -> None:
    story = begun()
    assert found(story)[ConditionType.ACKNOWLEDGED] == Condition(
        ConditionType.ACKNOWLEDGED, UNKNOWN, "NoAnswerYet", "", story.now
    )
    story.ready()
    assert conditions(story.upload) == (
        Condition(ConditionType.SUCCEEDED, TRUE, "Completed", describe(story.upload), story.now),
        Condition(ConditionType.FINISHED, TRUE, "Ended", "", story.now),
        Condition(ConditionType.ACKNOWLEDGED, TRUE, "UploadReady", "", story.now),
    )


@pytest.mark.parametrize("outcome", ["abort", "delete"])
def test_any_other_end_has_not_succeeded(outcome: str) -> None:
    story = begun("a")
    story.answers(outcome)
    story.ready(failed=True)
    told = found(story)
    assert (told[ConditionType.SUCCEEDED].status, told[ConditionType.FINISHED].status) == (FALSE, TRUE)
    assert told[ConditionType.ACKNOWLEDGED].status is TRUE


@pytest.mark.parametrize("releases", [0, 3])
def test_a_failed_release_is_not_acknowledged(releases: int) -> None:
    story = begun(max_releases=releases)
    story.ready(failed=True)
    acknowledged = found(story)[ConditionType.ACKNOWLEDGED]
    assert (acknowledged.status, acknowledged.reason) == (FALSE, "ReleaseFailed")


def test_an_upload_without_a_run_begins_when_it_was_made() -> None:
    upload = Upload(id=UPLOAD_ID, received_at=START, since=START)
    assert [condition.since for condition in conditions(upload)] == [START, START]


STALLS = {
    Stage.RUNNING: "NoAnswerFromStep",
    Stage.AWAITING_READY: "NoUploadReady",
    Stage.AWAITING_URL: "NoFreshURL",
    Stage.UPLOAD_FAILED: "ReleaseFailed",
}


def stalled(stage: Stage) -> UploadScenario:
    story = UploadScenario(config_of("a", max_finish_resends=0, max_url_requests=0, max_releases=0))
    story.arrives(expires_at=START if stage is Stage.AWAITING_URL else None)
    if stage in {Stage.AWAITING_READY, Stage.UPLOAD_FAILED}:
        story.answers("continue")
    if stage is Stage.UPLOAD_FAILED:
        story.ready(failed=True)
    else:
        story.timer()
    return story


@pytest.mark.parametrize("stage", STALLS)
def test_who_does_not_answer_is_the_reason_of_a_stall(stage: Stage) -> None:
    story = stalled(stage)
    assert story.upload.stage is stage
    told = found(story)[ConditionType.STALLED]
    assert told == Condition(ConditionType.STALLED, TRUE, STALLS[stage], story.upload.message, story.now)
    assert story.upload.message in describe(story.upload)


@pytest.mark.parametrize("stage", STALLS)
def test_the_summary_says_that_it_is_stalled_until_it_ends(stage: Stage) -> None:
    story = stalled(stage)
    summary = found(story)[ConditionType.SUCCEEDED]
    if stage is Stage.UPLOAD_FAILED:
        assert (summary.status, summary.reason) == (FALSE, Stage.UPLOAD_FAILED)
    else:
        assert (summary.status, summary.reason) == (UNKNOWN, "Stalled")
        assert summary.since < story.now, "a stall is not a transition of Succeeded, which stays Unknown"
        story.resumed()
        assert found(story)[ConditionType.SUCCEEDED].reason == stage


def test_suspended_is_shown_until_the_end() -> None:
    story = begun("a")
    assert ConditionType.SUSPENDED not in found(story)
    story.wanted(DesiredState.SUSPENDED)
    assert found(story)[ConditionType.SUSPENDED] == Condition(
        ConditionType.SUSPENDED,
        TRUE,
        "Requested",
        "set spec.desiredState to Active to continue",
        story.upload.since,
    )
    story.answers("delete")
    story.ready(failed=True)
    assert ConditionType.SUSPENDED not in found(story)


REFUSED = "restart refused: spec.restart.fromStep: the upload has no step 'absent'"


def told(*events: str, policy: OnExhausted = OnExhausted.HOLD) -> str:
    """What a person reads after some events."""
    step = StepPlan(name="a", max_retries=1, on_exhausted=policy, delay=Millis(1))
    story = UploadScenario(config_of(StepPlan(name="delay") if "delay" in events else step, max_releases=0))
    story.arrives(expires_at=START if "expired" in events else None)
    for event in events:
        match event:
            case "tick":
                story.timer()
            case "ok" | "failed":
                story.ready(failed=event == "failed")
            case "suspend":
                story.wanted(DesiredState.SUSPENDED)
            case "cancel":
                story.wanted(DesiredState.CANCELLED)
            case "clean":
                story.cleaned()
            case "refused":
                story.restarted("t1", RestartMode.RESTART, "absent")
            case "delay" | "expired":
                pass
            case _:
                outcome, _, message = event.partition(":")
                story.answers(outcome, message=message)
    return describe(story.upload)


@pytest.mark.parametrize(
    ("events", "sentence"),
    [
        ((), "waiting for step a to answer (attempt 1)"),
        (("delay",), "waiting for the configured delay to end"),
        (("retry:busy",), "step a failed: busy; the operator retries it automatically"),
        (("retry",), "step a failed; the operator retries it automatically"),
        (
            ("retry", "tick", "retry:busy"),
            "step a has no retries left: busy; resume, restart or cancel the upload",
        ),
        (("suspend", "continue"), "suspended; set spec.desiredState to Active to continue"),
        (("expired",), "step a needs a fresh download URL; waiting for the storage to send one"),
        (("continue",), "the storage was told to release the file; waiting for its UploadReady"),
        (
            ("abort",),
            "the storage was told to abort the upload and keep its bytes; waiting for its UploadReady",
        ),
        (("delete",), "the storage was told to delete the upload; waiting for its UploadReady"),
        (("continue", "ok"), "all steps passed; the storage released the file"),
        (("abort:Eicar", "failed"), "step a answered abort: Eicar"),
        (("delete", "failed"), "step a answered delete"),
        (("cancel", "failed"), "cancelled as requested"),
        (("clean",), "the storage's sessions command removed the upload"),
        (
            ("continue", "failed"),
            "the storage failed to release the file 1 times; resume or restart the upload",
        ),
        (
            ("refused",),
            f"waiting for step a to answer (attempt 1); {REFUSED}",
        ),
        (
            ("continue", "ok", "refused"),
            REFUSED,
        ),
    ],
)
def test_what_a_person_reads(events: tuple[str, ...], sentence: str) -> None:
    assert told(*events) == sentence


@pytest.mark.parametrize("policy", [OnExhausted.ABORT, OnExhausted.DELETE])
def test_out_of_retries_is_said_with_the_last_words(policy: OnExhausted) -> None:
    assert told("retry", "tick", "retry:busy", "failed", policy=policy) == "step a had no retries left: busy"


def test_a_file_that_was_released_without_a_verdict_is_not_said_to_have_passed() -> None:
    sentence = told("retry", "tick", "retry", "ok", policy=OnExhausted.CONTINUE)
    assert sentence == "steps that did not pass: a; the storage released the file"


def test_every_step_that_did_not_pass_is_named() -> None:
    story = begun(*(StepPlan(name=name, max_retries=0, on_exhausted=OnExhausted.CONTINUE) for name in "abc"))
    for outcome in ("retry", "continue", "retry"):
        story.answers(outcome)
    story.ready()
    assert describe(story.upload) == "steps that did not pass: a, c; the storage released the file"


def test_a_file_that_was_released_before_any_run_is_described_too() -> None:
    story = by_hand()
    story.ready()
    assert describe(story.upload) == story.upload.message


def test_an_end_is_dated_by_itself_rather_than_by_its_stage() -> None:
    ended = Upload(
        id=UPLOAD_ID, received_at=START, stage=Stage.ABORTED, since=START, completed_at=Millis(START + 5)
    )
    assert [each.since for each in conditions(ended)] == [START + 5] * 2


def test_releases_are_counted_while_they_are_tried_again() -> None:
    story = begun()
    story.ready(failed=True)
    assert describe(story.upload) == (
        "the storage failed to release the file (attempt 1); the operator asks it again automatically"
    )


def test_states_that_only_others_could_have_written_are_described_too() -> None:
    """An older or newer operator may have left them."""
    bare = Upload(id=UPLOAD_ID, received_at=START)
    assert describe(bare) == "waiting for the operator to start it"
    for stage, sentence in {
        Stage.ABORTED: "ended: Aborted",
        Stage.UPLOAD_FAILED: "the storage failed to release the file; resume to try again",
        Stage.AWAITING_READY: "the storage was told to release the file; waiting for its UploadReady",
    }.items():
        assert describe(Upload(id=UPLOAD_ID, received_at=START, stage=stage)) == sentence


def test_who_is_known_from_a_resource_alone_is_asked_for() -> None:
    story = by_hand(url='""')
    story.state = evolve(story.upload, plan=(), origin=evolve(story.upload.origin, by_hand=True))
    story.edited(Control())
    assert describe(story.upload) == (
        "the storage was asked to announce the upload, which is known only from this resource"
    )


def test_an_end_that_another_service_told_says_during_which_step() -> None:
    story = begun("a")
    story.tell(FinishedElsewhere("abort", story.sequence + 1))
    story.ready(failed=True)
    assert describe(story.upload) == (
        "another service told the storage to abort the upload and keep its bytes during step a"
    )


@pytest.mark.parametrize(
    ("outcome", "order"), [("abort", "abort the upload and keep its bytes"), ("delete", "delete the upload")]
)
def test_an_end_that_no_step_has_decided_says_what_the_storage_was_told(outcome: str, order: str) -> None:
    """By another service, once all steps had passed."""
    story = UploadScenario(config_of())
    story.reads_own_events = False
    story.arrives()
    story.tell(FinishedElsewhere(outcome, story.sequence + 1))
    story.ready(failed=True)
    assert describe(story.upload) == f"the storage was told to {order}"


def test_who_is_held_before_it_has_begun_says_why_and_how_to_go_on() -> None:
    story = UploadScenario(config_of("a"))
    story.arrives(user=RESTART_USER)
    assert describe(story.upload) == (
        "not begun; the storage announces this upload again, and its earlier history is unknown; "
        "if it has already ended, running it can lose the file; resume, restart or cancel the upload "
        "(resume and restart run it from the first step, cancel ends it without telling the storage)"
    )
    story.wanted(DesiredState.CANCELLED)
    assert describe(story.upload) == (
        "cancelled as requested; the storage was not told, because it may already have received an outcome"
    )


def test_a_long_sentence_is_cut() -> None:
    story = begun("a" * 30)
    story.answers("retry", message="x" * 2000)
    assert len(describe(story.upload)) == 1024


def test_that_no_service_listens_stands_before_the_stage_and_changes_nothing_else() -> None:
    story = begun("a", "b")
    unserved = Unserved("a", Millis(story.now + 7))
    first, *others = conditions(story.upload, unserved)
    text = "no service listens for step a; start one, then resume the upload if it still waits"
    assert first == Condition(ConditionType.UNSERVED, TRUE, "NoService", text, unserved.since)
    assert tuple(others) == conditions(story.upload)
    assert conditions(story.upload, Unserved("b", story.now)) == conditions(story.upload)
    story.answers("continue")
    assert conditions(story.upload, unserved) == conditions(story.upload), "of an earlier step"


def test_an_upload_that_is_stalled_or_tries_again_shows_that() -> None:
    stalled, failed = begun("a"), begun("a")
    stalled.timer()
    failed.answers("retry")
    for story in (stalled, failed):
        assert conditions(story.upload, Unserved("a", story.now)) == conditions(story.upload)
