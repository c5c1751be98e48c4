"""What a collector answers is read up to a limit."""

import socket
import threading
from collections.abc import Iterator

import pytest
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.trace import ReadableSpan

from uploadpp.core.model import Millis
from uploadpp.core.tracing import Span, SpanKind, Trace
from uploadpp.process import otlp
from uploadpp.process.otlp import MAX_ANSWER_BYTES, BoundedSession

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
