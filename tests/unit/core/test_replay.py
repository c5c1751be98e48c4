"""Positions: each input of the log counts once, and an answer only after what it answers."""

import pytest

from uploadpp.core.commands import Finish, Kind, Mark, RequestRestart, RetryNotice, StartStep
from uploadpp.core.decision import Decision
from uploadpp.core.evolve import evolve
from uploadpp.core.inputs import Published, Resume, StepFinished, UploadReady
from uploadpp.core.model import LogPosition, Millis, Upload
from uploadpp.core.replay import Position, apply, wanted
from uploadpp.core.states import DesiredState, Ignored, Outcome, Stage
from uploadpp.testing.builders import (
    FRESH_URL,
    START,
    STREAM,
    UPLOAD_ID,
    URL,
    UploadScenario,
    arrival,
    begun,
    config_of,
)


def position(upload: Upload) -> LogPosition:
    return upload.log


def test_an_input_moves_the_position_and_our_own_event_does_not() -> None:
    story = begun("a")
    assert position(story.upload) == LogPosition(stream=STREAM, sequence=1, start=2)
    story.answers("retry")
    assert position(story.upload) == LogPosition(stream=STREAM, sequence=3, start=2)


def test_what_is_ignored_moves_the_position_and_nothing_else() -> None:
    story = begun("a")
    before = story.upload
    story.answers("continue", step="b")
    assert story.upload == evolve(before, log=evolve(before.log, sequence=3))


def test_what_was_ignored_is_not_used_when_it_is_read_again() -> None:
    """A Resume means nothing while suspended, and must not count once the upload goes on."""
    story = begun("a")
    story.wanted(DesiredState.SUSPENDED)
    story.resumed()
    read = story.sequence
    story.wanted(DesiredState.ACTIVE)
    again = apply(story.upload, UPLOAD_ID, Resume(), Position(STREAM, read), story.now, story.config)
    assert again.ignored is Ignored.ALREADY_APPLIED


def test_an_input_that_was_applied_before_is_not_applied_again() -> None:
    story = begun("a", "b")
    story.answers("continue")
    story.sequence = 2
    decision = story.tell(StepFinished("b", "continue"))
    assert (decision.ignored, decision.upload) == (Ignored.ALREADY_APPLIED, story.upload)


@pytest.mark.parametrize("answer", [StepFinished("a", "continue"), UploadReady(failed=True)])
def test_an_answer_before_the_command_is_none(answer: StepFinished | UploadReady) -> None:
    story = UploadScenario(config_of("a"))
    story.reads_own_events = False
    story.arrives()
    if isinstance(answer, UploadReady):
        story.read_own_event(story.commands[-1])
        story.answers("continue")
    assert story.tell(answer).ignored is Ignored.BEFORE_START
    story.sequence += 10
    story.read_own_event(story.commands[-1])
    at = Position(STREAM, story.sequence - 5)
    assert apply(story.upload, UPLOAD_ID, answer, at, story.now, story.config).ignored is Ignored.BEFORE_START
    assert story.tell(answer).ignored is None


@pytest.mark.parametrize("step", ["a", ""])
def test_a_resume_is_answered_by_a_start_that_came_later(step: str) -> None:
    story = begun("a")
    story.timer()
    at = Position(STREAM, 2)
    decision = apply(story.upload, UPLOAD_ID, Resume(step), at, story.now, story.config)
    assert decision.ignored is Ignored.ALREADY_APPLIED
    assert story.resumed("a").ignored is None
    unproven = UploadScenario(config_of("a"))
    unproven.reads_own_events = False
    unproven.arrives()
    early = unproven.resumed("a")
    assert early.ignored is Ignored.DUPLICATE
    assert early.why == "what the resume asks for is about to be published"


def test_in_another_incarnation_of_the_stream_everything_is_news() -> None:
    story = begun("a", "b")
    story.sequence, story.stream = 0, "main-queue@2"
    story.answers("continue")
    assert story.published == ["start a 1", "start b 1"]
    assert position(story.upload) == LogPosition(stream="main-queue@2", sequence=1, start=2)


def test_our_own_event_in_another_incarnation() -> None:
    story = begun("a")
    mark = Mark(Kind.START, story.upload.received_at, 1, 2, "a")
    at = Position("main-queue@2", 7)
    told = apply(story.upload, UPLOAD_ID, Published(mark, 7), at, story.now, story.config).upload
    assert told is not None
    assert (told.step.attempts, told.log) == (2, LogPosition(stream="main-queue@2", sequence=0, start=7))


def test_what_is_ignored_in_another_incarnation_is_passed_all_the_same() -> None:
    story = begun("a")
    story.stream = "main-queue@2"
    assert story.arrives().ignored is Ignored.DUPLICATE
    assert position(story.upload) == LogPosition(stream="main-queue@2", sequence=3, start=0)


def test_an_unknown_upload_gets_the_position_of_its_arrival() -> None:
    at = Position(STREAM, 41)
    made = apply(None, UPLOAD_ID, arrival(), at, START, config_of("a")).upload
    assert made is not None
    assert made.log == LogPosition(stream=STREAM, sequence=41, start=None)
    nothing = apply(None, UPLOAD_ID, UploadReady(failed=False), at, START, config_of("a"))
    assert (nothing.upload, nothing.ignored) == (None, Ignored.UNKNOWN_UPLOAD)


def marked(story: UploadScenario, kind: Kind, number: int, detail: str = "", run: int = 1) -> Mark:
    return Mark(kind, story.upload.received_at, run, number, detail)


def test_a_held_start_is_wanted_while_its_attempt_is_current() -> None:
    story = begun("a", "b")
    start = StartStep(marked(story, Kind.START, 1, "a"))
    assert wanted(story.upload, start)
    assert not wanted(story.upload, StartStep(marked(story, Kind.START, 2, "a")))
    assert not wanted(story.upload, StartStep(marked(story, Kind.START, 1, "b")))
    assert not wanted(story.upload, StartStep(marked(story, Kind.START, 1, "a", run=2)))
    story.answers("retry")
    assert not wanted(story.upload, start)
    delayed = begun("delay")
    assert wanted(delayed.upload, StartStep(marked(delayed, Kind.START, 1, "delay")))


def test_a_held_finish_is_wanted_while_it_is_awaited() -> None:
    story = begun()
    first = Finish(marked(story, Kind.FINISH, 1, "continue"), Outcome.CONTINUE)
    assert wanted(story.upload, first)
    assert not wanted(story.upload, Finish(marked(story, Kind.FINISH, 1, "abort"), Outcome.ABORT))
    story.timer()
    assert not wanted(story.upload, first)
    second = Finish(marked(story, Kind.FINISH, 2, "continue"), Outcome.CONTINUE)
    assert wanted(story.upload, second)
    story.ready()
    assert not wanted(story.upload, second)


def test_a_held_request_is_wanted_while_the_url_is_missing() -> None:
    story = UploadScenario(config_of("a"))
    story.arrives(expires_at=START)
    assert wanted(story.upload, RequestRestart(marked(story, Kind.RESTART, 1, "a")))
    assert not wanted(story.upload, RequestRestart(marked(story, Kind.RESTART, 2, "a")))
    assert not wanted(begun("a").upload, RequestRestart(marked(story, Kind.RESTART, 0, "a")))


def test_a_held_notice_is_a_record_of_its_run_and_always_wanted() -> None:
    story = begun("a")
    assert wanted(story.upload, RetryNotice(marked(story, Kind.RETRY, 9, "a"), 1, Millis(1)))
    assert not wanted(story.upload, RetryNotice(marked(story, Kind.RETRY, 1, "a", run=2), 1, Millis(1)))
    assert story.upload.stage is Stage.RUNNING


def read_again(story: UploadScenario, url: str, came_at: int) -> Decision:
    """An announcement that was applied and is read again."""
    event = arrival(url)
    event = evolve(event, origin=evolve(event.origin, url_received_at=Millis(came_at)))
    return apply(story.upload, UPLOAD_ID, event, Position(STREAM, 1), story.now, story.config)


def test_an_announcement_that_is_read_again_brings_a_url_that_was_not_stored() -> None:
    """The status of the run that it began was, and that comes first."""
    story = begun("a")
    decision = read_again(story, FRESH_URL, START + 1)
    url = evolve(story.upload.origin, url=FRESH_URL, url_received_at=Millis(START + 1))
    assert (decision.ignored, decision.commands) == (Ignored.ALREADY_APPLIED, ())
    assert decision.upload == evolve(story.upload, origin=url)


@pytest.mark.parametrize(("url", "came_at"), [(URL, START + 1), (FRESH_URL, START - 1)])
def test_a_url_that_is_known_or_older_changes_nothing_when_it_is_read_again(url: str, came_at: int) -> None:
    story = begun("a")
    assert read_again(story, url, came_at).upload is story.upload
