"""The span of a step's work, below the operator's span of that attempt.

Imported only where traces are sent. While the author's function runs its span is the current one, so
what the function does with OpenTelemetry by itself belongs to it.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from opentelemetry import trace
from opentelemetry.trace import SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from uploadpp.process.otlp import PROCESSED, Otlp
from uploadpp.steps.job import Job
from uploadpp.steps.judge import Attempt

KEY = "traceparent"


class WorkSpans:
    """Makes the spans of one process."""

    def __init__(self, otlp: Otlp) -> None:
        self._tracer = otlp.provider.get_tracer("uploadpp")
        self._propagator = TraceContextTextMapPropagator()
        trace.set_tracer_provider(otlp.provider)

    @contextmanager
    def of(self, job: Job) -> Iterator[Attempt]:
        """Trace the work on one upload."""
        start = job.start
        with self._tracer.start_as_current_span(
            f"work {start.step}",
            context=self._propagator.extract({KEY: start.metadata[KEY]}),
            kind=SpanKind.CONSUMER,
            attributes={
                "uploadpp.upload": start.upload_id,
                "uploadpp.step": start.step,
                "uploadpp.redelivered": job.redelivered,
                **PROCESSED,
                "messaging.message.id": start.event_id,
            },
            record_exception=False,  # its text may quote what belongs to a user
        ) as span:
            carried: dict[str, str] = {}
            self._propagator.inject(carried)
            attempt = Attempt(carried.get(KEY, start.metadata[KEY]))
            yield attempt
            span.set_attribute("uploadpp.outcome", attempt.outcome)
            if attempt.failure:
                span.set_status(Status(StatusCode.ERROR, attempt.failure))
                span.set_attribute("error.type", attempt.failure)
