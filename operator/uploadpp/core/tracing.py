"""Traces: the life of an upload as spans, each a function of two states that follow each other.

Nothing is kept while a span is open: where it began stands in the state, and its id is that of
the event that opened it, so the owner of the upload at that time can report all of it, also
after a crash. Attributes hold words of ours and ids, never what came from a user.
"""

import re
from dataclasses import dataclass
from enum import StrEnum
from hashlib import blake2b
from uuid import UUID

from uploadpp.core.commands import Kind, Mark
from uploadpp.core.model import Millis, Upload
from uploadpp.core.states import UNHEARD, Outcome, Stage

SAMPLED, RANDOM = 1, 2
"""The flags of a traceparent (W3C Trace Context, level 2)."""

SUPERSEDED = "Superseded"
"""The reason of what was cut short by something new: another attempt, another run."""

FAILED = UNHEARD | {Stage.RETRIES_EXHAUSTED, Stage.STEP_TIMED_OUT, Stage.UPLOAD_FAILED}
"""Ends that are a failure; a file that a step refuses is not."""

_TRACEPARENT = re.compile(r"(?!ff)([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Trace:
    """The trace an upload belongs to; `parent` is the span it continues, 0 when it begins one."""

    id: int
    parent: int = 0
    flags: int = 0

    def header(self, span: int, *, sampled: bool) -> str:
        """The traceparent of what happens below a span."""
        return f"00-{self.id:032x}-{span:016x}-{self.flags & RANDOM | SAMPLED * sampled:02x}"


class SpanKind(StrEnum):
    """What a span is to others: only what crosses NATS makes an edge between two services."""

    RUN = "run"
    REQUEST = "request"
    WAIT = "wait"


@dataclass(frozen=True, slots=True)
class SpanEvent:
    """Something that happened during a span."""

    name: str
    at: Millis
    attributes: dict[str, str | int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """A part of an upload's life that is over; `error` is empty, or one word that says why it failed."""

    name: str
    kind: SpanKind
    id: int
    parent: int
    start: Millis
    end: Millis
    attributes: dict[str, str | int]
    events: tuple[SpanEvent, ...] = ()
    error: str = ""


def parse_traceparent(text: str) -> Trace | None:
    """The trace that a traceparent names; None when it is none, and then counts as absent."""
    found = _TRACEPARENT.fullmatch(text)
    if found is None or (found[1] == "00" and found[5]):
        return None
    trace, parent = int(found[2], 16), int(found[3], 16)
    return Trace(trace, parent, int(found[4], 16)) if trace and parent else None


def trace_of(upload: Upload) -> Trace:
    """The trace of an upload: the one that its BytesReceived belongs to, else one of its own."""
    found = parse_traceparent(upload.origin.traceparent)
    if found is not None:
        return found
    digest = blake2b(f"{upload.id}\0{upload.received_at}".encode(), digest_size=16).digest()
    return Trace(int.from_bytes(digest), flags=RANDOM)


def run_span(upload: Upload) -> int:
    """The id of the span of the present run."""
    return _hashed(upload)


def command_span(upload_id: str, mark: Mark) -> int:
    """The id of the span below which the answer to a command belongs.

    It is the second half of the event's id. The notice of a retry belongs to the attempt that failed.
    """
    if mark.kind is Kind.RETRY:
        mark = Mark(Kind.START, mark.received_at, mark.run, mark.number, mark.detail)
    return int.from_bytes(UUID(mark.event_id(upload_id)).bytes[8:])


@dataclass(frozen=True, slots=True)
class _Wait:
    """What an upload waits for: the part of a span that its beginning decides."""

    id: int
    name: str
    kind: SpanKind
    start: Millis
    attributes: dict[str, str | int]


def finished_spans(before: Upload, after: Upload, now: Millis) -> list[Span]:
    """The spans that end between two states of an upload, children first."""
    spans = []
    if _place(before) != _place(after):  # most moves only note where an event of ours is in the stream
        wait = _wait(before)
        if wait is not None:
            spans.append(_ended(wait, before, after, now))
    if not before.stage.ended and (after.stage.ended or before.run not in {0, after.run}):
        spans.append(_run(before, after, now))
    return spans


def _place(upload: Upload) -> tuple[Stage, int, int, int, Outcome | None]:
    """What tells one wait of an upload from the next."""
    stage, number = upload.stage, int(upload.since)
    if stage is Stage.RUNNING or stage is Stage.DELAYING:
        number = upload.step.attempts
    elif stage is Stage.AWAITING_READY:
        number = upload.finishes
    elif stage is Stage.AWAITING_URL:
        number = upload.url_requests
    return stage, upload.run, upload.cursor, number, upload.outcome


def _wait(upload: Upload) -> _Wait | None:
    stage, step = upload.stage, upload.current_step
    if stage in {Stage.RUNNING, Stage.DELAYING}:
        status = upload.step
        mark = Mark(Kind.START, upload.received_at, upload.run, status.attempts, step)
        wait = _request(
            upload, mark, f"step {step}", status.started_at or upload.since, {"uploadpp.step": step}
        )
    elif stage is Stage.AWAITING_READY:
        outcome = upload.outcome or ""
        mark = Mark(Kind.FINISH, upload.received_at, upload.run, upload.finishes, outcome)
        wait = _request(upload, mark, "release", upload.since, {"uploadpp.outcome": outcome})
    elif stage is Stage.AWAITING_URL:
        mark = Mark(Kind.RESTART, upload.received_at, upload.run, upload.url_requests, step)
        wait = _request(upload, mark, "renew URL", upload.since, {"uploadpp.step": step})
    elif stage in {Stage.QUEUED, Stage.HELD, Stage.SUSPENDED, Stage.AWAITING_TURN}:
        attributes = {**_attributes(upload), "uploadpp.step": step}
        wait = _Wait(
            _hashed(upload, stage, upload.since), stage.lower(), SpanKind.WAIT, upload.since, attributes
        )
    else:
        return None
    return wait


def _request(upload: Upload, mark: Mark, name: str, start: Millis, attributes: dict[str, str | int]) -> _Wait:
    delaying = upload.stage is Stage.DELAYING  # which nobody but us answers
    return _Wait(
        command_span(upload.id, mark),
        name,
        SpanKind.WAIT if delaying else SpanKind.REQUEST,
        start,
        {
            **_attributes(upload),
            **attributes,
            "uploadpp.attempt": mark.number,
            "messaging.message.id": mark.event_id(upload.id),
        },
    )


def _ended(wait: _Wait, before: Upload, after: Upload, now: Millis) -> Span:
    end, error, attributes = now, "", wait.attributes
    if before.stage in {Stage.RUNNING, Stage.DELAYING}:
        end, error, ending = _answer(before, after, now)
        attributes = attributes | ending
    elif after.run != before.run or after.stage is before.stage:
        error = SUPERSEDED
    elif after.stage in {Stage.RELEASE_BACKING_OFF, Stage.UPLOAD_FAILED}:
        error = "ReleaseFailed"
    elif after.stage in UNHEARD:
        error = after.stage
    end = Millis(max(wait.start, end))
    return Span(
        name=wait.name,
        kind=wait.kind,
        id=wait.id,
        parent=run_span(before),
        start=wait.start,
        end=end,
        attributes=attributes,
        events=_events(before, after, end),
        error=error,
    )


def _answer(before: Upload, after: Upload, now: Millis) -> tuple[Millis, str, dict[str, str | int]]:
    """When an attempt ended, why it failed if it did, and how it ended."""
    same = after.run == before.run and before.cursor < len(after.steps)
    step = after.steps[before.cursor] if same else before.step
    if step.attempts != before.step.attempts or step.finished_at is None:
        return now, SUPERSEDED, {}
    attributes: dict[str, str | int] = {"uploadpp.outcome": step.outcome} if step.outcome else {}
    if step.reason is not None:
        attributes["uploadpp.reason"] = step.reason
    failed = step.outcome == Outcome.RETRY
    return step.finished_at, str(step.reason or step.outcome) if failed else "", attributes


def _events(before: Upload, after: Upload, end: Millis) -> tuple[SpanEvent, ...]:
    events = []
    if before.stalled_at is not None:
        events.append(SpanEvent("stalled", before.stalled_at, {}))
    backing_off = after.stage in {Stage.BACKING_OFF, Stage.RELEASE_BACKING_OFF} and after.run == before.run
    if backing_off and after.next_attempt_at is not None:
        events.append(SpanEvent("back-off", end, {"uploadpp.backoff_ms": after.next_attempt_at - end}))
    return tuple(events)


def _run(before: Upload, after: Upload, now: Millis) -> Span:
    over, end = (after, after.completed_at or now) if after.run == before.run else (before, now)
    start = before.started_at or before.since
    attributes = _attributes(before)
    attributes["uploadpp.retries"] = over.retry_count
    attributes["uploadpp.stage"] = over.stage
    if over.outcome is not None:
        attributes["uploadpp.outcome"] = over.outcome
    failed = over.stage if over.stage in FAILED else ""
    return Span(
        name="postprocessing",
        kind=SpanKind.RUN,
        id=run_span(before),
        parent=trace_of(before).parent,
        start=start,
        end=Millis(max(start, end)),
        attributes=attributes,
        error=failed if over is after else SUPERSEDED,
    )


def _attributes(upload: Upload) -> dict[str, str | int]:
    return {"uploadpp.upload": upload.id, "uploadpp.run": upload.run}


def _hashed(upload: Upload, *rest: str | int) -> int:
    """The id of a span that no event stands for."""
    name = "\0".join(map(str, (upload.id, upload.received_at, upload.run, *rest)))
    return int.from_bytes(blake2b(name.encode(), digest_size=8).digest())
