"""What a collector answers is read up to a limit."""

import logging
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import ReadableSpan

from uploadpp.core.model import Millis
from uploadpp.core.tracing import Span, SpanKind, Trace
from uploadpp.process import otlp
from uploadpp.process.otlp import MAX_ANSWER_BYTES, BoundedSession

LOGGER = logging.getLogger(OTLPSpanExporter.__module__)
HEADS = {
    "chunked": b"Transfer-Encoding: chunked\r\n",
    "until it closes": b"",
    "announced": b"Content-Length: 99999999999\r\n",
    "compressed": b"Content-Encoding: gzip\r\n",
}


@pytest.fixture
def endless(request: pytest.FixtureRequest) -> Iterator[str]:
    """A collector that answers until the other side has had enough."""
    server = socket.create_server(("127.0.0.1", 0))
    part = b"x" * 4096
    if request.param == "chunked":
        part = b"1000\r\n" + part + b"\r\n"

    def answer() -> None:
        connection, _ = server.accept()
        with connection:
            connection.recv(65536)
            try:
                connection.sendall(b"HTTP/1.1 200 OK\r\n" + HEADS[request.param] + b"\r\n")
                while True:
                    connection.sendall(part)
            except OSError:
                pass

    thread = threading.Thread(target=answer)
    thread.start()
    yield f"http://127.0.0.1:{server.getsockname()[1]}/"
    thread.join()
    server.close()


@pytest.mark.parametrize("endless", HEADS, indirect=True)
def test_an_answer_without_end_is_cut(endless: str) -> None:
    with BoundedSession() as session:
        response = session.post(endless, data=b"spans", timeout=10)
    assert response.status_code == 200
    assert 0 < len(response.content) <= MAX_ANSWER_BYTES


@pytest.mark.parametrize("endless", ["until it closes"], indirect=True)
def test_an_answer_that_takes_too_long_is_cut(endless: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(otlp, "ANSWER_SECONDS", -1)
    with BoundedSession() as session:
        assert session.post(endless, data=b"spans", timeout=10).content == b""


def test_a_redirect_is_not_followed() -> None:
    server = socket.create_server(("127.0.0.1", 0))

    def answer() -> None:
        connection, _ = server.accept()
        with connection:
            connection.recv(65536)
            connection.sendall(
                b"HTTP/1.1 307 X\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n"
            )

    thread = threading.Thread(target=answer)
    thread.start()
    with BoundedSession() as session:
        response = session.post(f"http://127.0.0.1:{server.getsockname()[1]}/", data=b"", timeout=10)
    assert response.status_code == 307
    thread.join()
    server.close()


def test_names_of_others_lose_no_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half a surrogate pair cannot be encoded, and with it all spans that are sent together."""
    made = otlp.Otlp("http://127.0.0.1:9", "test", {})
    told: list[ReadableSpan] = []
    monkeypatch.setattr(made._processor, "on_end", told.append)
    odd = "a\ud800\n"
    names: dict[str, str | int] = {"step": odd, "n": 1}
    at = Millis(0)
    span = Span(name=odd, kind=SpanKind.WAIT, id=1, parent=0, start=at, end=at, attributes=names)
    made.emit(Trace(1), span)
    made.close()
    assert encode_spans(told).SerializeToString()
    (sent,) = told
    assert (sent.name, dict(sent.attributes or {})) == ("a\\ud800\\n", {"step": "a\\ud800\\n", "n": 1})


@pytest.mark.parametrize(
    ("kind", "operation"),
    [(SpanKind.RUN, ("process", "process")), (SpanKind.REQUEST, ("publish", "send")), (SpanKind.WAIT, None)],
)
def test_spans_use_the_words_of_the_conventions_for_messaging(
    monkeypatch: pytest.MonkeyPatch, kind: SpanKind, operation: tuple[str, str] | None
) -> None:
    made = otlp.Otlp("http://127.0.0.1:9", "test", {})
    told: list[ReadableSpan] = []
    monkeypatch.setattr(made._processor, "on_end", told.append)
    for error in ("", "RetriesExhausted"):
        at = Millis(0)
        made.emit(
            Trace(1), Span(name="a", kind=kind, id=1, parent=0, start=at, end=at, attributes={}, error=error)
        )
    made.close()
    expected = {}
    if operation:
        expected = {
            "messaging.system": "nats",
            "messaging.destination.name": "main-queue",
            "messaging.operation.name": operation[0],
            "messaging.operation.type": operation[1],
        }
    well, failed = (dict(each.attributes or {}) for each in told)
    assert well == expected
    assert failed == {**expected, "error.type": "RetriesExhausted"}


@pytest.mark.parametrize(
    "value", ["Authorization: Bearer s3cret", "api-key s3cret", "a=b,s3cret", "x=y\ns3cret", "ü=s3cret"]
)
def test_a_header_that_cannot_be_sent_is_not_in_the_log(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, value: str
) -> None:
    """It is the key for the collector, and a colon in place of `=` is a common mistake."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", value)
    otlp.Otlp("http://127.0.0.1:1/v1/traces", "test", {}).close()
    assert "s3cret" not in caplog.text
    assert "OTEL_EXPORTER_OTLP_HEADERS: an entry is not sent" in caplog.text


@pytest.mark.parametrize("path", ["/receiver/s3cret/v1/traces", "/s3cret key/v1/traces", "/\u00fc/s3cret"])
def test_a_key_in_the_path_is_not_in_the_log(caplog: pytest.LogCaptureFixture, path: str) -> None:
    """Errors of the client and its messages for debugging quote the path with each batch."""
    with socket.create_server(("127.0.0.1", 0)) as server, caplog.at_level(logging.DEBUG):
        port = server.getsockname()[1]
        made = otlp.Otlp(f"http://127.0.0.1:{port}{path}", "test", {})
        answering = threading.Thread(target=refuse, args=(server, path))
        answering.start()
        assert not made._processor._batch_processor._exporter._client.export(b"spans").success  # type: ignore[attr-defined]
        answering.join()
        LOGGER.warning(
            "HTTPConnectionPool(host='h', port=1): Max retries exceeded with url: %s (by x), retrying in 1s",
            path.replace(" ", "%20"),
        )
        made.close()
    assert "s3cret" not in caplog.text
    assert f"127.0.0.1:{port}" in caplog.text
    assert "port=1): Max retries exceeded (by x)" in caplog.text


def refuse(server: socket.socket, path: str) -> None:
    """A collector that says in its answer what it was asked for."""
    connection, _ = server.accept()
    with connection:
        connection.recv(65536)
        connection.sendall(f"HTTP/1.1 404 no {path}\r\nContent-Length: 0\r\n\r\n".encode("latin-1"))


def test_the_usual_path_is_shown(caplog: pytest.LogCaptureFixture) -> None:
    made = otlp.Otlp("http://127.0.0.1:9/v1/traces", "test", {})
    LOGGER.warning("no service at %s", "/v1/traces")
    made.close()
    assert "no service at /v1/traces" in caplog.text
    assert not LOGGER.filters


@pytest.mark.parametrize(
    ("environment", "seconds"),
    [
        ({}, 10.0),
        ({"OTEL_EXPORTER_OTLP_TIMEOUT": "10000"}, 10.0),
        ({"OTEL_EXPORTER_OTLP_TIMEOUT": " 500 "}, 0.5),
        ({"OTEL_EXPORTER_OTLP_TRACES_TIMEOUT": "2000", "OTEL_EXPORTER_OTLP_TIMEOUT": "10000"}, 2.0),
        ({"OTEL_EXPORTER_OTLP_TRACES_TIMEOUT": "", "OTEL_EXPORTER_OTLP_TIMEOUT": "3000"}, 3.0),
        ({"OTEL_EXPORTER_OTLP_TIMEOUT": "9" * 5000}, 999_999.999),
    ],
)
def test_the_timeout_is_in_milliseconds_as_for_services_in_go(
    environment: dict[str, str], seconds: float
) -> None:
    """The library took 10000 for seconds: a collector that hangs kept the traces for hours."""
    assert otlp.timeout_seconds(environment) == seconds


@pytest.mark.parametrize("value", ["10s", "0", "-1", "1.5", "\u0663"])
def test_a_timeout_that_is_none_is_said(caplog: pytest.LogCaptureFixture, value: str) -> None:
    assert otlp.timeout_seconds({"OTEL_EXPORTER_OTLP_TIMEOUT": value}) == 10.0
    assert "OTEL_EXPORTER_OTLP_TIMEOUT: must be a number of milliseconds" in caplog.text


def test_a_variable_that_is_read_while_the_library_loads_stops_traces_only() -> None:
    code = (
        "import logging; logging.basicConfig()\n"
        "from uploadpp.process.configuration import read_settings\n"
        "from uploadpp.process.tracing_config import open_otlp\n"
        "assert open_otlp(read_settings({}), 'me', {}) is None"
    )
    set_to = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1",
        "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT": "many",
    }
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **set_to},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "traces are not sent: OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT must be" in done.stderr
