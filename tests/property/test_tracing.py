"""Whatever happens to an upload, its trace is whole: nothing it waited for is missing or told twice."""

from collections import Counter
from itertools import pairwise

from hypothesis import given

from tests.property.walks import walks
from uploadpp.core.commands import Kind, Mark
from uploadpp.core.config import Config
from uploadpp.core.model import Millis, Upload
from uploadpp.core.states import UNHEARD, Stage
from uploadpp.core.tracing import Span, SpanKind, command_span, finished_spans, run_span


def awaited(upload: Upload) -> int | None:
    """The span of the command whose answer an upload waits for."""
    if upload.stage in {Stage.RUNNING, Stage.DELAYING}:
        kind, number, detail = Kind.START, upload.step.attempts, upload.current_step
    elif upload.stage is Stage.AWAITING_READY:
        kind, number, detail = Kind.FINISH, upload.finishes, str(upload.outcome)
    elif upload.stage is Stage.AWAITING_URL:
        kind, number, detail = Kind.RESTART, upload.url_requests, upload.current_step
    else:
        return None
    return command_span(upload.id, Mark(kind, upload.received_at, upload.run, number, detail))


def told(trail: list[Upload]) -> list[Span]:
    """Every span of a life."""
    now = Millis(max(upload.since for upload in trail))
    return [span for before, after in pairwise(trail) for span in finished_spans(before, after, now)]


@given(walks())
def test_each_wait_is_told_once_or_still_open(walk: tuple[Config, list[Upload]]) -> None:
    _, trail = walk
    if not trail:
        return
    opened = [
        each for each, again in pairwise([*map(awaited, trail), None]) if each is not None and each != again
    ]
    spans = told(trail)
    ids = [span.id for span in spans if span.id in set(opened)]
    still_open = awaited(trail[-1])
    assert Counter(ids) == Counter(each for each in opened if each != still_open)
    assert all(span.kind is not SpanKind.RUN and span.start <= span.end for span in spans if span.id in ids)


@given(walks())
def test_each_run_that_has_ended_is_told_and_holds_its_parts(walk: tuple[Config, list[Upload]]) -> None:
    _, trail = walk
    if not trail:
        return
    spans = told(trail)
    runs = {run_span(upload): upload.run for upload in trail}
    told_runs = [span for span in spans if span.kind is SpanKind.RUN]
    assert {span.parent for span in spans if span.kind is not SpanKind.RUN} <= runs.keys()
    assert {span.id for span in told_runs} <= runs.keys()
    last = trail[-1]
    over = {upload.run for upload in trail if upload.stage.ended or 0 < upload.run < last.run}
    assert {span.attributes["uploadpp.run"] for span in told_runs} == over
    again = Counter(span.id for span in told_runs)
    reopened = any(upload.stage in UNHEARD | {Stage.UPLOAD_FAILED} for upload in trail)
    assert reopened or set(again.values()) <= {1}
