"""Spans that begin or end in the same millisecond as others, or whose event went out late."""

from uploadpp.core.commands import Kind
from uploadpp.core.inputs import Resume, SpecChanged
from uploadpp.core.model import Control, Millis
from uploadpp.core.states import DesiredState, Stage
from uploadpp.core.tracing import SUPERSEDED, Span, command_span, finished_spans
from uploadpp.testing.builders import SECOND, START, UPLOAD_ID, UploadScenario, begun, config_of, of_kind

AT_ONCE = Millis(0)
LATER = Millis(40 * SECOND)


def resumed_at_once(story: UploadScenario) -> Span:
    """The span that ends when an upload is resumed in the millisecond in which it began to wait."""
    before = story.upload
    story.tell(Resume(), after=AT_ONCE)
    (span,) = finished_spans(before, story.upload, story.now)
    assert (span.error, span.start, span.end) == (SUPERSEDED, story.now, story.now)
    return span


def test_each_attempt_has_a_span_however_short_it_was() -> None:
    story = begun("a")
    assert resumed_at_once(story).id == command_span(UPLOAD_ID, of_kind(story, Kind.START)[0].mark)
    assert resumed_at_once(story).id == command_span(UPLOAD_ID, of_kind(story, Kind.START)[1].mark)


def test_each_order_to_the_storage_has_a_span_however_short_it_was() -> None:
    story = begun()
    assert resumed_at_once(story).id == command_span(UPLOAD_ID, of_kind(story, Kind.FINISH)[0].mark)
    assert resumed_at_once(story).id == command_span(UPLOAD_ID, of_kind(story, Kind.FINISH)[1].mark)


def test_each_request_for_a_url_has_a_span_however_short_it_was() -> None:
    story = UploadScenario(config_of("a"))
    story.arrives(expires_at=START)
    assert story.upload.stage is Stage.AWAITING_URL
    assert resumed_at_once(story).id == command_span(UPLOAD_ID, of_kind(story, Kind.RESTART)[0].mark)
    assert resumed_at_once(story).id == command_span(UPLOAD_ID, of_kind(story, Kind.RESTART)[1].mark)


def test_waits_of_two_kinds_are_two_spans_although_they_begin_at_once() -> None:
    story = begun("a", max_in_flight={"a": 1})
    spans: list[Span] = []
    for generation, desired in enumerate((DesiredState.SUSPENDED, DesiredState.ACTIVE), 2):
        before = story.upload
        story.tell(SpecChanged(Control(desired=desired, generation=generation)), after=AT_ONCE)
        spans += finished_spans(before, story.upload, story.now)
    assert [(span.name, span.start) for span in spans] == [("queued", story.now), ("suspended", story.now)]
    assert spans[0].id != spans[1].id


def test_an_order_that_went_out_late_is_still_the_same_order() -> None:
    story = begun("a")
    story.reads_own_events = False
    story.answers("continue")
    decided = story.upload
    story.now = Millis(story.now + LATER)
    story.read_own_event(story.commands[-1])
    assert story.upload.since == decided.since + LATER
    assert finished_spans(decided, story.upload, story.now) == []
    ordered = story.upload
    story.ready()
    assert finished_spans(ordered, story.upload, story.now)[0].start == decided.since + LATER


def test_an_attempt_begins_when_its_start_is_on_the_wire() -> None:
    story = UploadScenario(config_of("a"))
    story.reads_own_events = False
    story.arrives()
    decided = story.upload
    story.now = Millis(story.now + LATER)
    story.read_own_event(story.commands[-1])
    started = story.upload
    assert finished_spans(decided, started, story.now) == []
    story.answers("continue")
    (span,) = finished_spans(started, story.upload, story.now)
    assert (span.start, span.end) == (decided.since + LATER, story.now)
