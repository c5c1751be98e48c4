"""What is written down of an upload that waits for a place, and of a grant that only the log tells."""

from uploadpp.core.evolve import evolve
from uploadpp.core.inputs import Published
from uploadpp.core.machine import decide
from uploadpp.core.model import Millis, StepPlan, StepStatus
from uploadpp.core.states import OnExhausted, Outcome, Stage, StepReason, StepState
from uploadpp.testing.builders import SECOND, UPLOAD_ID, UploadScenario, config_of, placeless


def limited() -> UploadScenario:
    """Both steps have few places."""
    story = UploadScenario(config_of("a", "b", max_in_flight={"a": 2, "b": 2}))
    story.arrives()
    return story


def test_a_step_that_is_tried_again_waits_with_its_history() -> None:
    story = limited()
    story.granted()
    story.answers("retry", message="busy")
    before = story.upload.step
    story.timer()
    assert (story.upload.stage, story.upload.since) == (Stage.QUEUED, story.now)
    assert story.upload.step == evolve(before, state=StepState.WAITING)
    assert (story.upload.step.outcome, story.upload.step.message) == (Outcome.RETRY, "busy")


def test_the_next_step_is_the_one_that_is_waited_for() -> None:
    story = limited()
    story.granted()
    story.answers("continue")
    assert (story.upload.stage, story.upload.cursor, story.upload.current_step) == (Stage.QUEUED, 1, "b")
    assert story.upload.step == StepStatus()


def test_a_grant_is_told_by_the_start_that_it_led_to() -> None:
    live, replayed = limited(), limited()
    live.granted()
    mark = live.commands[-1].mark
    told = decide(replayed.upload, UPLOAD_ID, Published(mark, 50), live.now, replayed.config).upload
    assert told is not None
    assert placeless(told) == placeless(live.upload)
    assert told.step.started_at == replayed.now + SECOND


def test_a_step_that_timed_out_before_the_grant_is_no_step_that_passed() -> None:
    """None of it was stored: the timer tells how one step ended, the grant how the next began."""
    a = StepPlan(name="a", timeout=Millis(SECOND), max_retries=0, on_exhausted=OnExhausted.CONTINUE)
    live, replayed = (UploadScenario(config_of(a, "b", max_in_flight={"b": 1})) for _ in range(2))
    for story in (live, replayed):
        story.arrives()
    live.timer()
    live.granted()
    mark = live.commands[-1].mark
    told = decide(replayed.upload, UPLOAD_ID, Published(mark, 50), live.now, replayed.config).upload
    assert told is not None
    assert (told.stage, told.current_step) == (Stage.RUNNING, "b")
    assert (told.steps[0].state, told.steps[0].reason) == (StepState.FAILED, StepReason.TIMED_OUT)
