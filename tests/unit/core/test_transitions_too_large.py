"""Files that are too large for a step: the step is left out, or the upload waits for a person."""

from uploadpp.core.commands import Notice, NoticeType
from uploadpp.core.conditions import describe
from uploadpp.core.model import StepPlan
from uploadpp.core.states import DesiredState, OnTooLarge, Stage, StepReason, StepState
from uploadpp.testing.builders import begun

SIZE = 48_213


LEFT_OUT = StepPlan(name="a", max_filesize=SIZE - 1)


HELD = StepPlan(name="a", max_filesize=SIZE - 1, on_too_large=OnTooLarge.HOLD)


def test_a_file_of_just_the_size_is_not_too_large() -> None:
    story = begun(StepPlan(name="a", max_filesize=SIZE))
    assert story.published == ["start a 1"]


def test_a_step_is_left_out_for_a_larger_file() -> None:
    story = begun(LEFT_OUT, "b")
    assert story.published == ["start b 1"]
    step = story.upload.steps[0]
    assert (step.state, step.reason) == (StepState.SKIPPED, StepReason.TOO_LARGE)
    assert step.message == "48213 bytes exceed its maxFilesize of 48212"
    text = "a: 48213 bytes exceed its maxFilesize of 48212; step skipped"
    assert story.notices == [Notice(NoticeType.WARNING, "TooLarge", text)]


def test_what_was_left_out_is_said_at_the_end() -> None:
    story = begun(LEFT_OUT)
    assert story.published == ["finish continue 1"]
    story.ready()
    assert describe(story.upload).startswith("steps that did not pass: a")


def test_a_larger_file_is_held_if_so_configured() -> None:
    story = begun(HELD, "b")
    assert (story.published, story.upload.stage, story.upload.current_step) == ([], Stage.HELD, "a")
    text = "step a was not started: 48213 bytes exceed its maxFilesize of 48212"
    assert describe(story.upload) == f"{text}; resume, restart or cancel the upload"


def test_a_later_step_is_held_at_its_place_and_says_why() -> None:
    story = begun("b", HELD)
    story.answers("continue")
    assert (story.upload.stage, story.upload.since, story.upload.current_step) == (Stage.HELD, story.now, "a")
    step = story.upload.step
    assert (step.state, step.reason) == (StepState.HELD, StepReason.TOO_LARGE)
    text = "a: 48213 bytes exceed its maxFilesize of 48212; held until it is resumed"
    assert story.notices == [Notice(NoticeType.WARNING, "TooLarge", text)]


def test_a_person_lets_a_large_file_in_and_it_stays_in() -> None:
    story = begun(HELD)
    story.resumed()
    assert story.published == ["start a 1"]
    story.answers("retry")
    story.timer()
    assert (story.published[-1], story.upload.stage) == ("start a 2", Stage.RUNNING)


def test_a_large_file_that_was_let_in_waits_for_a_place_like_all() -> None:
    story = begun(HELD, max_in_flight={"a": 1})
    story.resumed()
    assert story.upload.stage is Stage.QUEUED
    story.granted()
    assert story.published == ["start a 1"]


def test_a_suspended_upload_is_not_judged_by_its_size_before_it_goes_on() -> None:
    story = begun("a", StepPlan(name="b", max_filesize=1))
    story.wanted(DesiredState.SUSPENDED)
    story.answers("continue")
    assert story.upload.steps[1].state is StepState.WAITING
