"""A collector of traces: takes OTLP over HTTP as any real one does, and keeps what it gets."""

import threading
from dataclasses import dataclass
from functools import cached_property
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span

KINDS = Span.SpanKind


@dataclass(frozen=True)
class Received:
    """A span as it came over the wire."""

    service: str
    span: Span

    @property
    def name(self) -> str:
        return self.span.name

    @property
    def id(self) -> str:
        return self.span.span_id.hex()

    @property
    def parent(self) -> str:
        return self.span.parent_span_id.hex()

    @property
    def trace(self) -> str:
        return self.span.trace_id.hex()

    @property
    def kind(self) -> str:
        return str(KINDS.Name(self.span.kind)).removeprefix("SPAN_KIND_")

    @cached_property
    def attributes(self) -> dict[str, str | int]:
        return _plain(self.span.attributes)


class Collector:
    """Listens on the loopback."""

    def __init__(self) -> None:
        self.spans: list[Received] = []
        self.resources: list[dict[str, str | int]] = []
        self.bodies: list[bytes] = []
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                status = collector.take(self.path, self.headers["Content-Type"], body)
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    @property
    def url(self) -> str:
        """What OTEL_EXPORTER_OTLP_ENDPOINT is set to."""
        return f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def take(self, path: str, kind: str, body: bytes) -> int:
        """Keep what one request brings; the status of the answer."""
        if path != "/v1/traces" or kind != "application/x-protobuf":
            return 404
        self.bodies.append(body)
        request = ExportTraceServiceRequest.FromString(body)
        for each in request.resource_spans:
            resource = _plain(each.resource.attributes)
            self.resources.append(resource)
            found = [
                Received(str(resource["service.name"]), span) for s in each.scope_spans for span in s.spans
            ]
            self.spans += found
        return 200

    def named(self, name: str) -> list[Received]:
        """The spans of a name."""
        return [span for span in self.spans if span.name == name]


def _plain(attributes: list[KeyValue]) -> dict[str, str | int]:
    return {
        each.key: each.value.int_value if each.value.HasField("int_value") else each.value.string_value
        for each in attributes
    }
