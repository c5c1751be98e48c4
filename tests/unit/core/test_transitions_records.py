"""What is written down: how and when each step ended, since when an upload waits, whose a command is."""

from collections.abc import Callable

import pytest

from uploadpp.core.commands import Kind, Mark
from uploadpp.core.evolve import evolve
from uploadpp.core.inputs import Resume
from uploadpp.core.machine import decide
from uploadpp.core.model import Millis, StepPlan, StepStatus
from uploadpp.core.states import (
    CancelPolicy,
    DesiredState,
    OnExhausted,
    RestartMode,
    Stage,
    StepReason,
    StepState,
)
from uploadpp.testing.builders import SECOND, START, UPLOAD_ID, UploadScenario, begun, config_of

BEGAN = Millis(START + SECOND)
OUT, LATE = StepReason.RETRIES_EXHAUSTED, StepReason.TIMED_OUT


def answered(outcome: str, *, retries: int = 14, policy: OnExhausted = OnExhausted.ABORT) -> UploadScenario:
    """The first of two steps has answered."""
    story = begun(StepPlan(name="a", max_retries=retries, on_exhausted=policy), "b")
    story.answers(outcome, message="busy")
    return story


def timed_out(*, retries: int = 14, policy: OnExhausted = OnExhausted.ABORT) -> UploadScenario:
    """The first of two steps has not answered in time."""
    story = begun(StepPlan(name="a", timeout=Millis(2_000), max_retries=retries, on_exhausted=policy), "b")
    story.timer()
    return story


def waited() -> UploadScenario:
    story = begun(StepPlan(name="delay", delay=Millis(2_000)), "b")
    story.timer()
    return story


def after(happens: Callable[[UploadScenario], object]) -> UploadScenario:
    """Something happens while the first of two steps is running."""
    story = begun("a", "b")
    happens(story)
    return story


ENDS: dict[str, tuple[Callable[[], UploadScenario], StepStatus]] = {
    "passed": (
        lambda: answered("continue"),
        StepStatus(state=StepState.SUCCEEDED, outcome="continue", message="busy"),
    ),
    "rejected": (
        lambda: answered("delete"),
        StepStatus(state=StepState.FAILED, outcome="delete", reason=StepReason.REJECTED, message="busy"),
    ),
    "to be tried again": (
        lambda: answered("retry"),
        StepStatus(state=StepState.BACKING_OFF, retries=1, outcome="retry", message="busy"),
    ),
    "timed out": (
        timed_out,
        StepStatus(
            state=StepState.BACKING_OFF,
            retries=1,
            outcome="retry",
            reason=LATE,
            message="no answer within 2 s",
        ),
    ),
    "held": (
        lambda: answered("retry", retries=0, policy=OnExhausted.HOLD),
        StepStatus(state=StepState.HELD, outcome="retry", reason=OUT, message="busy"),
    ),
    "out of retries": (
        lambda: answered("retry", retries=0),
        StepStatus(state=StepState.FAILED, outcome="retry", reason=OUT, message="busy"),
    ),
    "passed over": (
        lambda: answered("retry", retries=0, policy=OnExhausted.CONTINUE),
        StepStatus(state=StepState.FAILED, outcome="retry", reason=OUT, message="busy"),
    ),
    "passed over, without an answer": (
        lambda: timed_out(retries=0, policy=OnExhausted.CONTINUE),
        StepStatus(state=StepState.FAILED, outcome="retry", reason=LATE, message="no answer within 2 s"),
    ),
    "passed over, without a known word": (
        lambda: answered("?", retries=0, policy=OnExhausted.CONTINUE),
        StepStatus(
            state=StepState.FAILED,
            outcome="retry",
            reason=OUT,
            message="a answered '?', which is not an outcome; treated as retry",
        ),
    ),
    "waited": (waited, StepStatus(state=StepState.SUCCEEDED, outcome="continue")),
    "cancelled": (
        lambda: after(lambda story: story.wanted(DesiredState.CANCELLED, CancelPolicy.DELETE)),
        StepStatus(state=StepState.FAILED, reason=StepReason.CANCELLED),
    ),
    "cleaned": (
        lambda: after(lambda story: story.cleaned()),
        StepStatus(state=StepState.SKIPPED, reason=StepReason.CLEANED),
    ),
    "released elsewhere": (
        lambda: after(lambda story: story.ready()),
        StepStatus(state=StepState.SKIPPED, reason=StepReason.RELEASED_ELSEWHERE),
    ),
}


@pytest.mark.parametrize("end", ENDS)
def test_of_each_step_it_is_written_how_and_when_it_ended(end: str) -> None:
    happened, expected = ENDS[end]
    story = happened()
    assert story.upload.steps[0] == evolve(expected, attempts=1, started_at=BEGAN, finished_at=story.now)
    assert story.upload.since == story.now, "the upload is somewhere else since then"


@pytest.mark.parametrize("end", ["rejected", "out of retries", "cancelled", "cleaned", "released elsewhere"])
def test_no_step_is_current_once_the_end_is_decided(end: str) -> None:
    upload = ENDS[end][0]().upload
    assert (upload.cursor, upload.steps[1]) == (2, StepStatus())


@pytest.mark.parametrize(
    ("stage", "happens"),
    [
        (Stage.SUSPENDED, lambda story: story.answers("continue")),
        (Stage.RELEASE_BACKING_OFF, lambda story: story.ready(failed=True)),
        (Stage.UPLOAD_FAILED, lambda story: story.ready(failed=True)),
        (Stage.AWAITING_URL, lambda story: story.resumed()),
    ],
    ids=lambda value: str(value) if isinstance(value, Stage) else "",
)
def test_it_is_written_since_when_an_upload_waits(
    stage: Stage, happens: Callable[[UploadScenario], object]
) -> None:
    story = UploadScenario(config_of("a", max_releases=int(stage is not Stage.UPLOAD_FAILED)))
    story.arrives(expires_at=START if stage is Stage.AWAITING_URL else None)
    if stage is Stage.SUSPENDED:
        story.wanted(DesiredState.SUSPENDED)
    elif stage is not Stage.AWAITING_URL:
        story.answers("continue")
    happens(story)
    assert (story.upload.stage, story.upload.since) == (stage, story.now)


# -- commands --------------------------------------------------------------------------------


def second_run(story: UploadScenario) -> UploadScenario:
    """The same once more, as a person has asked by token."""
    story.restarted("t1", RestartMode.FORCE_RESTART)
    return story


def test_a_command_says_whose_it_is() -> None:
    story = second_run(begun("a"))
    story.answers("retry")
    story.timer()
    story.answers("continue")
    assert [command.mark for command in story.commands] == [
        Mark(Kind.START, BEGAN, 1, 1, "a", ""),
        Mark(Kind.START, BEGAN, 2, 1, "a", "t1"),
        Mark(Kind.RETRY, BEGAN, 2, 1, "a", ""),
        Mark(Kind.START, BEGAN, 2, 2, "a", "t1"),
        Mark(Kind.FINISH, BEGAN, 2, 1, "continue", "t1"),
    ]


def test_a_request_for_a_url_says_whose_it_is_and_is_counted_in_each_run() -> None:
    story = UploadScenario(config_of("a"))
    story.arrives(expires_at=START)
    story.timer()
    assert [command.mark for command in second_run(story).commands] == [
        Mark(Kind.RESTART, BEGAN, 1, 1, "a", ""),
        Mark(Kind.RESTART, BEGAN, 1, 2, "a", ""),
        Mark(Kind.RESTART, BEGAN, 2, 1, "a", "t1"),
    ]


def test_a_request_for_an_unknown_upload_belongs_to_no_run() -> None:
    (command,) = decide(None, UPLOAD_ID, Resume(), START, config_of("a")).commands
    assert command.mark == Mark(Kind.RESTART, START, 0, 1)


# -- uploads ---------------------------------------------------------------------------------


def test_an_upload_knows_its_own_id() -> None:
    assert begun("a").upload.id == UPLOAD_ID


def test_cancelling_what_has_ended_is_noted_and_changes_nothing() -> None:
    story = begun("a")
    story.answers("continue")
    story.ready()
    before = story.upload
    story.wanted(DesiredState.CANCELLED)
    assert story.upload.control.desired is DesiredState.CANCELLED
    assert story.upload == evolve(before, control=story.upload.control, observed_generation=2)
