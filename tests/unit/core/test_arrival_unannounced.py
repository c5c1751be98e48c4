"""An upload known from a person's resource alone is not released before the storage has announced it."""

import pytest

from uploadpp.api.codec import ALL_SHOWN, from_resource, to_resource, to_status
from uploadpp.core import event_texts
from uploadpp.core.commands import Kind, Mark, RequestRestart
from uploadpp.core.conditions import describe
from uploadpp.core.inputs import Absent, StartedElsewhere, StepFinished
from uploadpp.core.machine import decide
from uploadpp.core.model import Control, Millis, Origin, StepPlan, Upload
from uploadpp.core.rules.arrival import RESTORED, hold_restored
from uploadpp.core.states import DesiredState, Stage
from uploadpp.testing.builders import (
    FRESH_URL,
    RESTART_USER,
    START,
    UPLOAD_ID,
    UploadScenario,
    come_back,
    config_of,
)

NO_STEPS = config_of()
DELAYED = config_of(StepPlan(name="delay", delay=Millis(1000)))


def made(config: object = NO_STEPS, desired: DesiredState = DesiredState.ACTIVE) -> UploadScenario:
    story = UploadScenario(config)  # type: ignore[arg-type]
    story.state = Upload(
        id=UPLOAD_ID, received_at=START, since=START, plan=story.config.steps, origin=Origin(by_hand=True)
    )
    story.edited(Control(desired=desired))
    return story


def test_without_steps_the_storage_is_asked_first() -> None:
    story = made()
    assert (story.upload.stage, story.published) == (Stage.AWAITING_URL, ["restart finished 1"])
    assert "known only from this resource" in describe(story.upload)
    story.arrives(FRESH_URL, user=RESTART_USER)
    assert (story.upload.stage, story.published[1:]) == (Stage.AWAITING_READY, ["finish continue 1"])


def test_after_a_delay_too() -> None:
    story = made(DELAYED)
    story.timer()
    assert (story.upload.stage, story.upload.current_step) == (Stage.AWAITING_URL, "finished")
    assert story.published == ["start delay 1", "restart finished 1"]


def test_it_is_read_again_as_it_was() -> None:
    upload = made().upload
    resource = to_resource(upload, namespace="n", shown=ALL_SHOWN, sealed="sealed")
    resource["status"] = to_status(upload)
    again = from_resource(resource, NO_STEPS, upload.origin)
    assert (again.stage, again.cursor, again.current_step) == (Stage.AWAITING_URL, 0, "finished")


def test_it_is_asked_again_and_ends_in_bounded_time() -> None:
    story = made()
    for _ in range(20):
        if not story.upload.stage.ended:
            story.timer()
    assert story.upload.stage is Stage.UNANSWERED
    assert not any(each.startswith("finish") for each in story.published)


@pytest.mark.parametrize(
    "event",
    [
        StepFinished(step="finished", outcome="continue"),
        StartedElsewhere(step="finished", sequence=3),
        Absent(status=404, lasting=False),
        Absent(status=404, lasting=True),
    ],
    ids=lambda event: type(event).__name__,
)
def test_nothing_else_releases_it(event: object) -> None:
    story = made()
    story.tell(event)  # type: ignore[arg-type]
    assert not any(each.startswith("finish") for each in story.published)


def test_suspended_meanwhile_it_waits() -> None:
    story = made()
    story.wanted(DesiredState.SUSPENDED)
    story.arrives(FRESH_URL, user=RESTART_USER)
    assert story.upload.stage is Stage.SUSPENDED
    story.wanted(DesiredState.ACTIVE)
    assert story.published[-1] == "finish continue 1"


def test_after_a_crash_the_question_that_is_out_is_recognised() -> None:
    """The event went out and the status was not written: it is not published a second time."""
    live = made()
    decision = decide(
        Upload(id=UPLOAD_ID, received_at=START, since=START, origin=Origin(by_hand=True)),
        UPLOAD_ID,
        come_back(RequestRestart(Mark(Kind.RESTART, START, 1, 1, "finished", "")), 7, live.upload),
        START,
        NO_STEPS,
    )
    assert decision.upload is not None
    assert (decision.upload.stage, decision.upload.url_requests) == (Stage.AWAITING_URL, 1)
    assert decision.commands == ()


@pytest.mark.parametrize(("known", "why"), [("", RESTORED), ("its plan is unknown", "its plan is unknown")])
def test_what_is_known_of_a_resource_without_status_is_all_that_is_said(known: str, why: str) -> None:
    upload = Upload(id=UPLOAD_ID, received_at=START, lost_status=True, message=known)
    assert hold_restored(upload, START, NO_STEPS).notices == (event_texts.held_unbegun(why),)
