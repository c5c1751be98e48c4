"""Sending spans with OpenTelemetry, over HTTP. Imported only where tracing is switched on.

Everything but the endpoint is configured by the standard variables (OTEL_EXPORTER_OTLP_*, OTEL_BSP_*,
OTEL_TRACES_SAMPLER, OTEL_RESOURCE_ATTRIBUTES, OTEL_SERVICE_NAME), which the SDK reads.
"""

import logging
import os
import re
import threading
import time
from collections.abc import Mapping
from functools import cache
from typing import Any
from urllib.parse import urlsplit

import requests
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import Decision
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import (
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    set_span_in_context,
)
from opentelemetry.util.re import parse_env_headers
from requests.adapters import HTTPAdapter
from requests.utils import requote_uri
from urllib3.connectionpool import HTTPConnectionPool

from uploadpp import __version__
from uploadpp.core import tracing as core
from uploadpp.core.text import clean
from uploadpp.core.tracing import Span, Trace
from uploadpp.http.heads import BoundedResponse
from uploadpp.process.setting_types import OTLP_PATH
from uploadpp.wire.envelope import TOPIC

log = logging.getLogger(__name__)

FLUSH_SECONDS = 5.0
MAX_ANSWER_BYTES = 64 * 1024
ANSWER_SECONDS = 10.0
TIMEOUT_SECONDS = 10.0
MOST_DIGITS = 9
"""Of a timeout; a longer one is eleven days."""
WRONG_HEADER = (
    "OTEL_EXPORTER_OTLP_HEADERS: an entry is not sent, because it is not name=value, such as "
    "authorization=Bearer%20TOKEN; commas separate several of them"
)
SCOPE = InstrumentationScope("uploadpp", __version__)
_LOGGERS = [logging.getLogger(each.__module__) for each in (OTLPSpanExporter, HTTPConnectionPool)]
"""What they log quotes the path; the second one does where debug is logged."""
_KINDS = {
    core.SpanKind.RUN: SpanKind.CONSUMER,
    core.SpanKind.REQUEST: SpanKind.PRODUCER,
    core.SpanKind.WAIT: SpanKind.INTERNAL,
}
_NANOS = 1_000_000
_WHICH_VARIES = re.compile(r", retrying in [\d.]++s| with url: \S++")

_EVENTS = {"messaging.system": "nats", "messaging.destination.name": TOPIC}
PROCESSED = {**_EVENTS, "messaging.operation.name": "process", "messaging.operation.type": "process"}
"""Of a span that a message has brought about, in the words of OpenTelemetry's conventions for messaging."""
PUBLISHED = {**_EVENTS, "messaging.operation.name": "publish", "messaging.operation.type": "send"}
_MESSAGING: dict[core.SpanKind, dict[str, str]] = {
    core.SpanKind.RUN: PROCESSED,
    core.SpanKind.REQUEST: PUBLISHED,
    core.SpanKind.WAIT: {},
}


class CollectorFilter(logging.Filter):
    """Says of a collector its host and port only, and each time the same.

    The path may hold a key. When it is tried again is left out, so that an unavailable collector is not in
    the log every second.
    """

    def __init__(self, endpoint: str) -> None:
        super().__init__()
        path = urlsplit(endpoint).path
        self._paths = {path, requote_uri(path)} if path.strip("/") and path != OTLP_PATH else set[str]()

    def filter(self, record: logging.LogRecord) -> bool:
        """Always lets the record pass."""
        text = _WHICH_VARIES.sub("", record.getMessage())
        for each in self._paths:
            text = text.replace(each, "/<path>")
        record.msg, record.args = text, None
        return True


@cache
def _bounded(kind: type) -> type:
    """A kind of connection that reads no head without an end."""
    return type(kind.__name__, (kind,), {"response_class": BoundedResponse})


class _Adapter(HTTPAdapter):
    """Opens such connections."""

    def get_connection_with_tls_context(
        self,
        request: requests.PreparedRequest,
        verify: bool | str,  # noqa: FBT001 -- theirs
        proxies: Mapping[str, str] | None = None,
        cert: str | tuple[str, str] | None = None,
    ) -> HTTPConnectionPool:
        """The pool of connections to a collector."""
        known = dict(proxies) if proxies is not None else None
        pool = super().get_connection_with_tls_context(request, verify, known, cert)
        pool.ConnectionCls = _bounded(pool.ConnectionCls)
        return pool


def _without_the_value(record: logging.LogRecord) -> bool:
    """Say what is wrong with a header for the collector, and not the header: it is a key or a password."""
    record.msg, record.args = WRONG_HEADER, None
    return True


class BoundedSession(requests.Session):
    """Reads a response up to a limit: the responses of a collector are short."""

    def __init__(self) -> None:
        super().__init__()
        for scheme in ("http://", "https://"):
            self.mount(scheme, _Adapter())

    def send(self, request: requests.PreparedRequest, **options: Any) -> requests.Response:  # noqa: ANN401 -- theirs
        """Send a request; a redirect is not followed, because it could lead anywhere."""
        response = super().send(request, **{**options, "stream": True, "allow_redirects": False})
        found, until = b"", time.monotonic() + ANSWER_SECONDS
        try:
            while len(found) < MAX_ANSWER_BYTES and time.monotonic() < until:
                part = response.raw.read1(MAX_ANSWER_BYTES - len(found), decode_content=False)
                if not part:
                    break
                found += part
        finally:
            response.close()
        response._content, response._content_consumed = found, True  # noqa: SLF001 -- `content` would read on
        return response


def _clean(attributes: Mapping[str, str | int]) -> dict[str, str | int]:
    """Ids and names of steps are words of others; half a pair in one would lose the whole batch."""
    return {name: clean(value) if isinstance(value, str) else value for name, value in attributes.items()}


def _error_type(error: str) -> dict[str, str]:
    return {"error.type": clean(error)} if error else {}


def timeout_seconds(environment: Mapping[str, str]) -> float:
    """The timeout of one request. OpenTelemetry defines it in milliseconds; its library reads seconds."""
    for name in ("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "OTEL_EXPORTER_OTLP_TIMEOUT"):
        value = environment.get(name, "").strip()
        if value.isascii() and value.isdecimal() and value.strip("0"):
            return int(value[:MOST_DIGITS]) / 1000
        if value:
            log.warning("%s: must be a number of milliseconds, such as 10000; 10 s are used", name)
            break
    return TIMEOUT_SECONDS


class Otlp:
    """A pipeline to a collector: what is sampled, a queue, and a thread that sends it in batches."""

    def __init__(self, endpoint: str, service: str, attributes: Mapping[str, str]) -> None:
        """`endpoint` is the URL of the traces."""
        named = os.environ.get("OTEL_SERVICE_NAME") or "service.name=" in os.environ.get(
            "OTEL_RESOURCE_ATTRIBUTES", ""
        )
        name = {} if named else {"service.name": service}
        self._resource = Resource.create({**attributes, **name, "service.version": __version__})
        self.provider = TracerProvider(resource=self._resource, shutdown_on_exit=False)
        self._filter = CollectorFilter(endpoint)
        for logger in _LOGGERS:
            logger.addFilter(self._filter)
        logging.getLogger(parse_env_headers.__module__).addFilter(_without_the_value)
        exporter = OTLPSpanExporter(
            endpoint=endpoint, session=BoundedSession(), timeout=timeout_seconds(os.environ)
        )
        self._processor = BatchSpanProcessor(exporter)
        self.provider.add_span_processor(self._processor)

    def sampled(self, trace: Trace) -> bool:
        """The sampler of OTEL_TRACES_SAMPLER: by default, the decision of the service that began it."""
        parent = None
        if trace.parent:
            remote = SpanContext(trace.id, trace.parent, is_remote=True, trace_flags=TraceFlags(trace.flags))
            parent = set_span_in_context(NonRecordingSpan(remote))
        answer = self.provider.sampler.should_sample(parent, trace.id, "postprocessing", SpanKind.CONSUMER)
        return answer.decision is Decision.RECORD_AND_SAMPLE

    def emit(self, trace: Trace, span: Span) -> None:
        """Queue a span; when the queue is full it is lost, nothing else."""
        flags = TraceFlags(TraceFlags.SAMPLED)
        context = SpanContext(trace.id, span.id, is_remote=False, trace_flags=flags)
        remote = span.parent == trace.parent
        parent = SpanContext(trace.id, span.parent, is_remote=remote, trace_flags=flags)
        self._processor.on_end(
            ReadableSpan(
                name=clean(span.name),
                context=context,
                parent=parent if span.parent else None,
                resource=self._resource,
                attributes={**_clean(span.attributes), **_MESSAGING[span.kind], **_error_type(span.error)},
                events=[Event(each.name, _clean(each.attributes), each.at * _NANOS) for each in span.events],
                kind=_KINDS[span.kind],
                status=Status(StatusCode.ERROR, span.error) if span.error else Status(),
                start_time=span.start * _NANOS,
                end_time=span.end * _NANOS,
                instrumentation_scope=SCOPE,
            )
        )

    def close(self) -> None:
        """Send what is queued; not for long when the collector does not answer."""
        closing = threading.Thread(target=self.provider.shutdown, daemon=True)
        closing.start()
        closing.join(FLUSH_SECONDS)
        if not closing.is_alive():
            for logger in _LOGGERS:
                logger.removeFilter(self._filter)
