"""The spans of an upload, told from its states alone."""

import re
from dataclasses import replace

import pytest

from uploadpp.core.commands import Command, Kind
from uploadpp.core.config import Config
from uploadpp.core.evolve import evolve
from uploadpp.core.inputs import Tick
from uploadpp.core.model import DELAY_STEP, Millis, StepPlan, Upload
from uploadpp.core.states import DesiredState, OnExhausted, RestartMode, Stage
from uploadpp.core.tracing import (
    RANDOM,
    SAMPLED,
    SUPERSEDED,
    Span,
    SpanKind,
    Trace,
    command_span,
    finished_spans,
    parse_traceparent,
    run_span,
    trace_of,
)
from uploadpp.testing.builders import FRESH_URL, SECOND, START, UPLOAD_ID, UploadScenario, arrival, config_of

TRACE, PARENT = 0x4BF92F3577B34DA6A3CE929D0E0E4736, 0x00F067AA0BA902B7
TRACEPARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


class Traced(UploadScenario):
    """A story that keeps the spans of each move, also of those that our own events make."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.spans: list[Span] = []

    def __setattr__(self, name: str, value: object) -> None:
        before = self.__dict__.get("state")
        super().__setattr__(name, value)
        if name == "state" and isinstance(before, Upload) and isinstance(value, Upload):
            self.spans += finished_spans(before, value, self.now)

    def named(self, name: str) -> list[Span]:
        return [span for span in self.spans if span.name == name]

    def command(self, kind: Kind, number: int = 0) -> Command:
        return [command for command in self.commands if command.mark.kind is kind][number]


def begun(*steps: str | StepPlan, **settings: Millis | int) -> Traced:
    story = Traced(config_of(*steps, **settings))
    event = arrival()
    story.tell(replace(event, origin=evolve(event.origin, traceparent=TRACEPARENT)))
    return story


def seconds(span: Span) -> tuple[float, float]:
    """Start and end, after the upload's arrival."""
    return (span.start - START - SECOND) / 1000, (span.end - START - SECOND) / 1000


def test_a_life_without_trouble() -> None:
    story = begun("a", "b")
    story.answers("continue")
    story.answers("continue")
    assert [span.name for span in story.spans] == ["step a", "step b"]
    story.ready()
    first, second, release, run = story.spans
    assert [seconds(span) for span in story.spans] == [(0, 1), (1, 2), (2, 3), (0, 3)]
    assert (run.name, run.kind, run.parent, run.id) == (
        "postprocessing",
        SpanKind.RUN,
        PARENT,
        run_span(story.upload),
    )
    assert {span.parent for span in (first, second, release)} == {run.id}
    assert {span.kind for span in (first, second, release)} == {SpanKind.REQUEST}
    assert release.name == "release"
    assert run.attributes == {
        "uploadpp.upload": UPLOAD_ID,
        "uploadpp.run": 1,
        "uploadpp.retries": 0,
        "uploadpp.stage": "Completed",
        "uploadpp.outcome": "continue",
    }
    assert {span.error for span in story.spans} == {""}
    assert len({span.id for span in story.spans}) == 4


def test_the_span_of_a_step_is_that_of_the_event_that_started_it() -> None:
    story = begun("a")
    started = story.command(Kind.START).mark
    story.answers("continue")
    (span,) = story.spans
    event_id = started.event_id(UPLOAD_ID)
    assert span.attributes["messaging.message.id"] == event_id
    assert f"{span.id:016x}" == event_id.replace("-", "")[16:]
    assert span.id == command_span(UPLOAD_ID, started)


def test_a_retry_is_an_error_with_a_back_off() -> None:
    story = begun(StepPlan(name="a", backoff=Millis(5_000)))
    story.answers("retry", message="clamd of einstein is unavailable, see https://host/secret")
    (failed,) = story.spans
    assert (failed.error, seconds(failed)) == ("retry", (0, 1))
    (event,) = failed.events
    assert (event.name, event.at, event.attributes) == (
        "back-off",
        failed.end,
        {"uploadpp.backoff_ms": 5_000},
    )
    assert command_span(UPLOAD_ID, story.command(Kind.RETRY).mark) == failed.id
    story.timer()
    story.answers("continue")
    first, second = story.named("step a")
    assert [span.attributes["uploadpp.attempt"] for span in (first, second)] == [1, 2]
    assert (second.error, seconds(second)) == ("", (6, 7))
    assert first.id != second.id
    story.ready()
    assert story.spans[-1].attributes["uploadpp.retries"] == 1
    assert "einstein" not in repr(story.spans)
    assert "https" not in repr(story.spans)


def test_a_stalled_step_that_times_out() -> None:
    plan = StepPlan(
        name="a",
        stall_after=Millis(60_000),
        timeout=Millis(90_000),
        max_retries=0,
        on_exhausted=OnExhausted.ABORT,
    )
    story = begun(plan)
    story.timer()
    assert story.spans == []
    story.timer()
    (step,) = story.spans
    assert (step.error, seconds(step)) == ("TimedOut", (0, 90))
    assert [(event.name, event.at - step.start) for event in step.events] == [("stalled", 60_000)]
    story.ready(failed=True)
    assert (story.spans[-1].name, story.spans[-1].error) == ("postprocessing", "StepTimedOut")


def test_a_refused_file_is_no_error() -> None:
    story = begun("a")
    story.answers("delete", message="Eicar")
    story.ready(failed=True)
    assert [(span.name, span.error) for span in story.spans] == [
        ("step a", ""),
        ("release", ""),
        ("postprocessing", ""),
    ]
    assert story.spans[0].attributes["uploadpp.reason"] == "Rejected"
    assert story.spans[-1].attributes["uploadpp.outcome"] == "delete"


def test_a_resumed_step_ends_the_attempt_before() -> None:
    story = begun("a")
    story.resumed()
    (span,) = story.spans
    assert (span.error, seconds(span)) == (SUPERSEDED, (0, 1))


def test_each_run_has_a_span_in_the_same_trace() -> None:
    story = begun("a")
    before = run_span(story.upload)
    story.restarted("1")
    step, run = story.spans
    assert (step.error, run.error) == (SUPERSEDED, SUPERSEDED)
    assert (run.id, run.parent, seconds(run)) == (before, PARENT, (0, 1))
    assert (step.parent, run.attributes["uploadpp.run"]) == (before, 1)
    story.answers("continue")
    story.ready()
    assert (story.spans[-1].parent, story.spans[-1].attributes["uploadpp.run"]) == (PARENT, 2)
    assert story.spans[2].parent == story.spans[-1].id
    story.restarted("2", RestartMode.FORCE_RESTART)
    assert len(story.named("postprocessing")) == 2, "a run that has ended ends once"


def test_a_failed_release_backs_off() -> None:
    story = begun()
    story.ready(failed=True)
    (failed,) = story.spans
    assert (failed.name, failed.error) == ("release", "ReleaseFailed")
    assert [event.name for event in failed.events] == ["back-off"]
    story.timer()
    story.timer()  # unanswered, sent again
    assert [span.error for span in story.named("release")] == ["ReleaseFailed", SUPERSEDED]
    story.ready()
    assert [span.error for span in story.named("release")][-1] == ""


def test_waits_that_nobody_answers_from_outside() -> None:
    story = begun(StepPlan(name=DELAY_STEP, delay=Millis(9_000)), "a")
    story.wanted(DesiredState.SUSPENDED)
    story.timer()
    story.wanted(DesiredState.ACTIVE)
    delay, suspended = story.spans
    assert (delay.name, delay.kind, seconds(delay)) == ("step delay", SpanKind.WAIT, (0, 9))
    assert (suspended.name, suspended.kind, seconds(suspended)) == ("suspended", SpanKind.WAIT, (9, 10))
    held = begun(StepPlan(name="a", max_retries=0, on_exhausted=OnExhausted.HOLD))
    held.answers("retry")
    held.resumed()
    assert [(span.name, seconds(span)) for span in held.spans] == [("step a", (0, 1)), ("held", (1, 2))]


def test_a_wait_for_a_url_is_seen() -> None:
    story = Traced(config_of("a"))
    story.arrives('""')
    asked = story.command(Kind.RESTART).mark
    story.tell(arrival(FRESH_URL))
    (span,) = story.spans
    assert (span.name, span.id, span.attributes["uploadpp.step"]) == (
        "renew URL",
        command_span(UPLOAD_ID, asked),
        "a",
    )


def test_time_does_not_run_backwards() -> None:
    story = begun("a")
    (span,) = finished_spans(story.upload, evolve(story.upload, stage=Stage.HELD), Millis(START - 5_000))
    assert span.end == span.start


def test_what_changes_nothing_ends_nothing() -> None:
    story = begun("a")
    story.tell(Tick())
    story.answers("continue", step="other")
    story.read_own_event(story.commands[0])
    assert story.spans == []


@pytest.mark.parametrize(
    "text",
    [
        "",
        "00",
        "00-" + "0" * 32 + "-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-" + "0" * 16 + "-01",
        TRACEPARENT.upper(),
        TRACEPARENT + "-more",
        TRACEPARENT + "\n",
        "ff" + TRACEPARENT[2:],
        TRACEPARENT.replace("4bf", "4bg"),
        "\u0660" + TRACEPARENT[1:],
    ],
    ids=range(10),
)
def test_what_is_no_traceparent_begins_a_trace_of_its_own(text: str) -> None:
    assert parse_traceparent(text) is None
    story = Traced(config_of("a"))
    event = arrival()
    story.tell(replace(event, origin=evolve(event.origin, traceparent=text)))
    trace = trace_of(story.upload)
    assert (trace.parent, trace.flags) == (0, RANDOM)
    assert trace.id
    assert trace == trace_of(evolve(story.upload, run=7))
    assert trace.id != trace_of(evolve(story.upload, id="another")).id


def test_traceparents_of_now_and_later() -> None:
    assert parse_traceparent(TRACEPARENT) == Trace(TRACE, PARENT, SAMPLED)
    assert parse_traceparent("01" + TRACEPARENT[2:] + "-more") == Trace(TRACE, PARENT, SAMPLED)
    header = Trace(TRACE, PARENT, 0xFF).header(0xAB, sampled=True)
    assert header == "00-4bf92f3577b34da6a3ce929d0e0e4736-00000000000000ab-03"
    assert re.fullmatch(r".*-00", Trace(TRACE).header(1, sampled=False))
