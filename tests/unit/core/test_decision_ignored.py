"""Why an input changed nothing: the words of the log."""

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from uploadpp.core.commands import Kind, Mark
from uploadpp.core.decision import AnyDecision
from uploadpp.core.evolve import evolve
from uploadpp.core.inputs import Input, Published, Resume, SpecChanged, StepFinished, Tick
from uploadpp.core.model import Control, Millis
from uploadpp.core.replay import Position, apply
from uploadpp.core.states import DesiredState, Ignored
from uploadpp.testing.builders import (
    FRESH_URL,
    START,
    STREAM,
    UPLOAD_ID,
    UploadScenario,
    begun,
    by_hand,
    config_of,
    placeless,
)

SUSPENDED, CANCELLED = DesiredState.SUSPENDED, DesiredState.CANCELLED


def answered(*outcomes: str) -> UploadScenario:
    """The two steps of an upload, so far."""
    story = begun("a", "b")
    for outcome in outcomes:
        story.answers(outcome)
    return story


def released(*, failed: bool = False) -> UploadScenario:
    story = answered("continue", "continue")
    story.ready(failed=failed)
    return story


def without_url() -> UploadScenario:
    story = UploadScenario(config_of("a"))
    story.arrives(expires_at=START)
    return story


def unechoed() -> UploadScenario:
    """The start of the step has not come back yet."""
    story = UploadScenario(config_of("a"))
    story.reads_own_events = False
    story.arrives()
    return story


def wanted(desired: DesiredState) -> UploadScenario:
    story = begun("a", "b")
    story.wanted(desired)
    return story


def cancelled_late() -> UploadScenario:
    """Cancelled while the release was on its way."""
    story = answered("continue", "continue")
    story.wanted(CANCELLED)
    return story


def read(story: UploadScenario, event: Input, sequence: int) -> AnyDecision:
    """A message is read from a place in the log."""
    return apply(story.upload, UPLOAD_ID, event, Position(STREAM, sequence), story.now, story.config)


def met(story: UploadScenario, received_at: Millis) -> AnyDecision:
    """The start of step a is met in the log."""
    return read(story, Published(Mark(Kind.START, received_at, 1, 1, "a"), 99), 99)


@dataclass(frozen=True)
class Case:
    """An input that changes nothing."""

    situation: Callable[[], UploadScenario]
    event: Callable[[UploadScenario], AnyDecision]
    ignored: Ignored
    why: str


CASES = [
    # what steps say
    Case(
        lambda: begun("a", "b"),
        lambda story: story.answers("abort", "b"),
        Ignored.NOT_CURRENT_STEP,
        "b answered while a is running",
    ),
    Case(
        lambda: begun("a"),
        lambda story: story.answers("abort", ""),
        Ignored.NOT_CURRENT_STEP,
        "a step without name answered while a is running",
    ),
    Case(
        lambda: begun("delay"),
        lambda story: story.answers("continue"),
        Ignored.NOT_RUNNING,
        "delay answered during a delay, which the operator runs itself",
    ),
    Case(
        lambda: answered("retry"),
        lambda story: story.answers("continue"),
        Ignored.NOT_RUNNING,
        "a answered while the upload is BackingOff",
    ),
    Case(
        lambda: answered("retry"),
        lambda story: read(story, StepFinished("a", "retry"), 3),
        Ignored.ALREADY_APPLIED,
        "applied before the last checkpoint",
    ),
    Case(
        unechoed,
        lambda story: story.answers("continue"),
        Ignored.BEFORE_START,
        "the answer is older than the command it would answer",
    ),
    # what the storage says
    Case(
        lambda: released(failed=True),
        lambda story: story.ready(failed=True),
        Ignored.DUPLICATE,
        "UploadReady(failed) was already counted",
    ),
    Case(
        lambda: begun("a"),
        lambda story: story.ready(failed=True),
        Ignored.NOT_AWAITED,
        "UploadReady(failed) without PostprocessingFinished",
    ),
    Case(
        without_url,
        lambda story: story.arrives(),
        Ignored.DUPLICATE,
        "BytesReceived brought the URL that needs renewal",
    ),
    Case(
        lambda: begun("a"),
        lambda story: story.arrives(),
        Ignored.DUPLICATE,
        "BytesReceived with the same URL, or one from before it",
    ),
    Case(
        cancelled_late,
        lambda story: story.arrives(FRESH_URL),
        Ignored.UPLOAD_ENDED,
        "the upload is cancelled",
    ),
    Case(
        lambda: answered("abort"),
        lambda story: story.arrives(FRESH_URL),
        Ignored.UPLOAD_ABORTED,
        "processing an aborted upload again would lose its bytes (F13); "
        "to do that anyway, use spec.restart with mode ForceRestart",
    ),
    Case(
        lambda: answered("delete"),
        lambda story: story.arrives(FRESH_URL),
        Ignored.UPLOAD_ENDED,
        "the storage has already carried out the outcome",
    ),
    # what people say
    Case(
        lambda: begun("a"),
        lambda story: story.resumed("b"),
        Ignored.OTHER_STEP,
        "the upload is not in step b",
    ),
    Case(
        lambda: wanted(SUSPENDED),
        lambda story: story.resumed(),
        Ignored.SUSPENDED,
        "the upload is suspended; set spec.desiredState to Active",
    ),
    Case(
        lambda: by_hand(Control(desired=CANCELLED)),
        lambda story: story.resumed(),
        Ignored.UPLOAD_ENDED,
        "the upload is cancelled",
    ),
    Case(
        released,
        lambda story: story.resumed(),
        Ignored.UPLOAD_ENDED,
        "the upload has ended: Completed",
    ),
    Case(
        lambda: answered("abort"),
        lambda story: story.resumed(),
        Ignored.UPLOAD_ABORTED,
        "PostprocessingFinished(abort) a second time would make the storage remove the bytes (F14)",
    ),
    Case(
        lambda: begun("a"),
        lambda story: read(story, Resume("a"), 2),
        Ignored.ALREADY_APPLIED,
        "what was published after the resume has answered it",
    ),
    Case(
        lambda: wanted(SUSPENDED),
        lambda story: story.tell(SpecChanged(story.upload.control)),
        Ignored.NOTHING_DUE,
        "the spec asks for nothing new",
    ),
    # what the operator says to itself
    Case(
        lambda: begun("a"),
        lambda story: story.tell(Tick()),
        Ignored.NOTHING_DUE,
        "no timer is due",
    ),
    Case(
        lambda: begun("a"),
        lambda story: met(story, Millis(1)),
        Ignored.ALREADY_APPLIED,
        "a command for an earlier upload of the same id",
    ),
    Case(
        lambda: begun("a"),
        lambda story: met(story, story.upload.received_at),
        Ignored.ALREADY_APPLIED,
        "our own event, known",
    ),
    Case(
        lambda: answered("continue"),
        lambda story: met(story, story.upload.received_at),
        Ignored.ALREADY_APPLIED,
        "our own event, from before",
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.why)
def test_what_changes_nothing_says_why(case: Case) -> None:
    story = case.situation()
    before = story.upload
    decision = case.event(story)
    assert (decision.ignored, decision.why) == (case.ignored, case.why)
    assert decision.upload is not None
    with_its_url = evolve(before, origin=decision.upload.origin)
    assert placeless(decision.upload) == placeless(with_its_url)
    assert (decision.commands, decision.notices) == ((), ())
