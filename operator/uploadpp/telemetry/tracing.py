"""Traces at the edge: which uploads are traced, and what their events carry on.

`core.tracing` says what a trace consists of, `process.otlp` sends it away; without tracing neither is called.
"""

from collections.abc import Callable

from uploadpp.core.commands import Mark
from uploadpp.core.model import Millis, Upload
from uploadpp.core.tracing import Span, Trace, command_span, finished_spans, trace_of

Sampled = Callable[[Trace], bool]
"""Whether a trace is recorded; always the same for the same trace."""
Emit = Callable[[Trace, Span], None]


class Tracing:
    """Reports spans when they end."""

    def __init__(self, sampled: Sampled, emit: Emit) -> None:
        self._sampled = sampled
        self._emit = emit

    def moved(self, before: Upload, after: Upload, now: Millis) -> None:
        """An upload has come from one state into the next."""
        spans = finished_spans(before, after, now)
        if not spans:
            return
        trace = trace_of(after)
        if self._sampled(trace):
            for span in spans:
                self._emit(trace, span)

    def traceparent(self, upload: Upload, mark: Mark) -> str:
        """What a command's event carries: its own span, below which the answer's belong.

        An event of a trace that is not recorded carries on what the upload came with.
        """
        trace = trace_of(upload)
        if self._sampled(trace):
            return trace.header(command_span(upload.id, mark), sampled=True)
        return upload.origin.traceparent or trace.header(command_span(upload.id, mark), sampled=False)
