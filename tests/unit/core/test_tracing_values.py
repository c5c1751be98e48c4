"""Spans in every detail: ids that never change, and what each kind of span says."""

from uploadpp.core.evolve import evolve
from uploadpp.core.model import Millis, StepPlan, Upload
from uploadpp.core.states import DesiredState
from uploadpp.core.tracing import (
    RANDOM,
    SAMPLED,
    Span,
    SpanEvent,
    Trace,
    finished_spans,
    parse_traceparent,
    run_span,
    trace_of,
)
from uploadpp.testing.builders import FRESH_URL, SECOND, START, UPLOAD_ID, UploadScenario, begun, config_of

BEGAN = Millis(START + SECOND)
SAID = {"uploadpp.upload": UPLOAD_ID, "uploadpp.run": 1}


def ended(story: UploadScenario, before: Upload) -> list[Span]:
    """The spans that ended since a state."""
    return finished_spans(before, story.upload, story.now)


def test_the_flags_of_a_traceparent_are_hexadecimal() -> None:
    text = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-1f"
    assert parse_traceparent(text) == Trace(0x4BF92F3577B34DA6A3CE929D0E0E4736, 0x00F067AA0BA902B7, 0x1F)


def test_what_is_not_sampled_here_is_not_marked_as_if_it_were() -> None:
    trace = Trace(0xAB, flags=SAMPLED | RANDOM)
    assert [trace.header(1, sampled=sampled)[-3:] for sampled in (False, True)] == ["-02", "-03"]
    assert Trace(0xAB, flags=SAMPLED).header(1, sampled=False)[-3:] == "-00"


def test_ids_never_change() -> None:
    """Whoever takes an upload over goes on with the trace that another operator began."""
    upload = Upload(id=UPLOAD_ID, received_at=START, run=1)
    assert trace_of(upload).header(run_span(upload), sampled=True) == (
        "00-7c4d54fe574e620124007dd010ba0dd0-8a2e01fe4f543175-03"
    )
    assert f"{run_span(evolve(upload, run=2)):016x}" == "a01e33993adb021d"


def test_what_is_said_of_a_step_that_passed() -> None:
    story = begun("a", "b")
    before = story.upload
    story.answers("continue")
    (span,) = ended(story, before)
    assert span.attributes == {
        **SAID,
        "uploadpp.step": "a",
        "uploadpp.attempt": 1,
        "uploadpp.outcome": "continue",
        "messaging.message.id": story.commands[0].mark.event_id(UPLOAD_ID),
    }
    assert span.events == ()


def test_what_is_said_of_a_step_that_was_cut_short() -> None:
    story = begun("a", "b")
    before = story.upload
    story.wanted(DesiredState.CANCELLED)
    (span,) = ended(story, before)
    assert (span.error, span.attributes["uploadpp.reason"]) == ("", "Cancelled")
    assert "uploadpp.outcome" not in span.attributes


def test_what_is_said_of_a_release() -> None:
    story = begun()
    before = story.upload
    story.ready()
    release, run = ended(story, before)
    assert release.attributes == {
        **SAID,
        "uploadpp.outcome": "continue",
        "uploadpp.attempt": 1,
        "messaging.message.id": story.commands[0].mark.event_id(UPLOAD_ID),
    }
    assert run.attributes == {
        **SAID,
        "uploadpp.retries": 0,
        "uploadpp.stage": "Completed",
        "uploadpp.outcome": "continue",
    }


def test_what_is_said_of_a_wait_for_a_url() -> None:
    story = UploadScenario(config_of("a"))
    story.arrives(expires_at=START)
    before = story.upload
    story.arrives(FRESH_URL)
    (span,) = ended(story, before)
    assert span.attributes == {
        **SAID,
        "uploadpp.step": "a",
        "uploadpp.attempt": 1,
        "messaging.message.id": story.commands[0].mark.event_id(UPLOAD_ID),
    }


def test_what_is_said_of_a_wait_for_a_person() -> None:
    story = begun("a", "b")
    story.wanted(DesiredState.SUSPENDED)
    story.answers("continue")
    before = story.upload
    story.wanted(DesiredState.ACTIVE)
    (span,) = ended(story, before)
    assert span.attributes == {**SAID, "uploadpp.step": "b"}
    assert span.id != run_span(story.upload)
    later = evolve(before, since=Millis(before.since + 1))
    assert ended(story, later)[0].id != span.id, "waits of a run differ"


def test_a_stall_is_an_event_and_a_back_off_belongs_to_its_run() -> None:
    story = begun(StepPlan(name="a", stall_after=Millis(60_000), backoff=Millis(5_000)))
    story.timer()
    before = story.upload
    story.answers("retry")
    (span,) = ended(story, before)
    assert span.events == (
        SpanEvent("stalled", Millis(BEGAN + 60_000), {}),
        SpanEvent("back-off", story.now, {"uploadpp.backoff_ms": 5_000}),
    )
    other_run = evolve(story.upload, run=2)
    assert [event.name for event in finished_spans(before, other_run, story.now)[0].events] == ["stalled"]


def test_a_delay_is_no_back_off() -> None:
    story = begun("a", "delay")
    before = story.upload
    story.answers("continue")
    assert story.upload.next_attempt_at is not None
    assert ended(story, before)[0].events == ()


def test_a_run_without_a_retry_left_has_failed() -> None:
    story = begun(StepPlan(name="a", max_retries=0))
    story.answers("retry")
    before = story.upload
    story.ready(failed=True)
    assert ended(story, before)[-1].error == "RetriesExhausted"


def test_a_run_whose_file_was_not_released_has_failed() -> None:
    story = begun(max_releases=0)
    before = story.upload
    story.ready(failed=True)
    assert [span.error for span in ended(story, before)] == ["ReleaseFailed", "UploadFailed"]


def test_a_run_ends_when_it_is_over_and_not_when_that_is_noticed() -> None:
    story = begun()
    before = story.upload
    story.ready()
    _, run = finished_spans(before, story.upload, Millis(story.now + 9_000))
    assert (run.start, run.end) == (BEGAN, story.now)
    undated = evolve(story.upload, completed_at=None)
    assert finished_spans(before, undated, Millis(story.now + 9_000))[-1].end == story.now + 9_000


def test_an_upload_that_the_storage_has_lost_ends_its_wait_in_an_error() -> None:
    story = begun()
    before = story.upload
    story.absent()
    assert [span.error for span in ended(story, before)] == ["Gone", "Gone"]
