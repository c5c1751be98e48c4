"""Uploads that may have ended where our memory does not reach: a person says whether they begin."""

import pytest

from uploadpp.api.codec import ALL_SHOWN, from_resource, to_resource, to_status
from uploadpp.core.conditions import describe
from uploadpp.core.config import Config
from uploadpp.core.evolve import evolve
from uploadpp.core.inputs import Resume
from uploadpp.core.model import Control, Millis, RestartRequest, Upload
from uploadpp.core.states import CancelPolicy, DesiredState, RestartMode, Stage
from uploadpp.testing.builders import (
    FRESH_URL,
    RESTART_USER,
    SECOND,
    START,
    UPLOAD_ID,
    URL,
    UploadScenario,
    arrival,
    begun,
    config_of,
)

CONFIG = config_of("a", "b")


def restored(control: Control | None = None) -> UploadScenario:
    """A resource that the operator made, as somebody has created it again: without its status."""
    made = Upload(id=UPLOAD_ID, received_at=START, plan=CONFIG.steps, control=control or Control())
    resource = to_resource(made, namespace="uploads", shown=ALL_SHOWN, sealed="sealed")
    return UploadScenario(CONFIG, from_resource(resource, CONFIG, arrival().origin))


def stored_and_read(upload: Upload) -> Upload:
    resource = to_resource(upload, namespace="uploads", shown=ALL_SHOWN, sealed="sealed")
    resource["status"] = to_status(upload)
    return from_resource(resource, Config(), upload.origin)


def looked_at(control: Control | None = None) -> UploadScenario:
    """The same, once the replay is over and nothing was in the log."""
    story = restored(control)
    story.edited(story.upload.control)
    return story


def of_a_backup(upload: Upload, uid: str = "old", manager: str = "uploadpp") -> Upload:
    """The same with the status of the time of the backup."""
    resource = to_resource(upload, namespace="uploads", shown=ALL_SHOWN, sealed="sealed")
    writer = {"manager": manager, "subresource": "status"}
    resource["metadata"] |= {"uid": "new", "managedFields": [{"manager": "uploadpp"}, writer]}
    resource["status"] = to_status(upload) | ({"uid": uid} if uid else {})
    return from_resource(resource, CONFIG, upload.origin)


@pytest.mark.parametrize(("uid", "manager"), [("old", "uploadpp"), ("old", "velero"), ("", "velero")])
@pytest.mark.parametrize("stage", [Stage.RUNNING, Stage.BACKING_OFF, Stage.AWAITING_READY, Stage.SUSPENDED])
def test_a_status_of_another_resource_is_held(stage: Stage, uid: str, manager: str) -> None:
    """The upload may have ended since: nothing of it is done a second time, by no timer either."""
    before = begun("a", "b")
    match stage:
        case Stage.BACKING_OFF:
            before.answers("retry")
        case Stage.AWAITING_READY:
            before.answers("abort")
        case Stage.SUSPENDED:
            before.wanted(DesiredState.SUSPENDED)
            before.answers("continue")
    assert before.upload.stage is stage
    story = UploadScenario(CONFIG, of_a_backup(before.upload, uid, manager))
    story.edited(story.upload.control)
    story.answers("continue", "a")
    assert (story.upload.stage, story.published) == (Stage.HELD, [])
    assert "was written for another resource" in describe(story.upload)


@pytest.mark.parametrize(("uid", "manager"), [("new", "velero"), ("", "uploadpp")])
def test_a_status_of_our_own_is_gone_on_with(uid: str, manager: str) -> None:
    """Also one of an earlier version, which does not say for which resource it was written."""
    assert of_a_backup(begun("a", "b").upload, uid, manager).stage is Stage.RUNNING


def test_what_was_over_in_the_backup_is_over() -> None:
    before = begun("a")
    before.answers("abort")
    before.ready(failed=True)
    assert of_a_backup(before.upload).stage is before.upload.stage is Stage.ABORTED


def test_a_resource_that_has_lost_its_status_is_held() -> None:
    story = looked_at()
    assert (story.upload.stage, story.published) == (Stage.HELD, [])
    assert "has no status, as after a restore" in describe(story.upload)
    assert "resume, restart or cancel the upload" in describe(story.upload)
    assert [notice.reason for notice in story.notices] == ["Held"]


def test_it_stays_held_after_a_restart() -> None:
    again = stored_and_read(looked_at().upload)
    assert (again.stage, again.is_held_unbegun) == (Stage.HELD, True)
    assert "has no status" in describe(again)


def test_the_announcement_it_was_made_for_begins_it() -> None:
    """We died between creating it and its first status: then that message was not acknowledged."""
    story = restored()
    story.tell(arrival(URL), after=Millis(0))
    assert (story.upload.stage, story.published) == (Stage.RUNNING, ["start a 1"])


def test_our_own_event_in_the_log_begins_it() -> None:
    before = begun("a", "b")
    story = restored()
    story.state = evolve(story.upload, received_at=before.upload.received_at)
    story.read_own_event(before.commands[0])
    assert story.upload.stage is Stage.RUNNING


def test_another_announcement_does_not_begin_it() -> None:
    story = restored()
    story.tell(arrival(FRESH_URL, user=RESTART_USER))
    assert (story.upload.stage, story.published) == (Stage.HELD, [])
    assert story.upload.origin.url == FRESH_URL


def test_a_hand_made_resource_begins() -> None:
    story = UploadScenario(
        CONFIG, Upload(id=UPLOAD_ID, received_at=START, plan=CONFIG.steps, origin=arrival().origin)
    )
    story.edited(Control())
    assert story.published == ["start a 1"]


@pytest.mark.parametrize("mode", [RestartMode.RESUME, RestartMode.RESTART, RestartMode.FORCE_RESTART])
def test_resume_and_restart_begin_it(mode: RestartMode) -> None:
    story = looked_at()
    story.restarted("t1", mode)
    assert (story.upload.stage, story.published) == (Stage.RUNNING, ["start a 1"])


def test_a_resume_from_the_log_begins_it() -> None:
    story = looked_at()
    story.resumed()
    assert story.published == ["start a 1"]


@pytest.mark.parametrize("policy", CancelPolicy)
def test_cancel_ends_it_and_tells_the_storage_nothing(policy: CancelPolicy) -> None:
    story = looked_at()
    story.wanted(DesiredState.CANCELLED, policy)
    assert (story.upload.stage, story.published) == (Stage.CANCELLED, [])
    assert "the storage was not told" in describe(story.upload)


def test_what_a_restored_spec_asks_for_is_not_done_again() -> None:
    request = RestartRequest(token="t1", mode=RestartMode.FORCE_RESTART)
    story = looked_at(Control(restart=request))
    assert (story.upload.stage, story.published) == (Stage.HELD, [])
    assert looked_at(Control(desired=DesiredState.CANCELLED)).published == []
    assert looked_at(Control(desired=DesiredState.CANCELLED)).upload.stage is Stage.CANCELLED


def test_a_released_file_ends_it() -> None:
    story = looked_at()
    story.ready()
    assert story.upload.stage is Stage.COMPLETED


@pytest.mark.parametrize("token", ["", "t"])
def test_resumes_of_a_step_within_a_second_fold_into_one(token: str) -> None:
    """Also those that one resource asks for, edited in a loop (`spec.restart.mode: ResumeStep`)."""
    story = begun("a")
    for number in range(5):
        story.tell(Resume("a", f"{token}{number}" if token else ""))
        story.now = Millis(story.now - SECOND + 100)
    assert story.published == ["start a 1", "start a 2"]


def test_restarts_within_a_second_fold_into_one() -> None:
    """A resource that is edited in a loop starts its step once a second at most."""
    story = begun("a", "b")
    for number in range(20):
        restart = RestartRequest(token=f"t{number}", mode=RestartMode.FORCE_RESTART)
        story.edited(Control(restart=restart))
        story.now = Millis(story.now - SECOND + 100)
        assert story.upload.observed_token == f"t{number}"
    assert len(story.published) in {3, 4}, story.published
    story.answers("continue")
    story.edited(Control(restart=RestartRequest(token="last", mode=RestartMode.RESTART)))
    assert story.published[-1].startswith("start a")
