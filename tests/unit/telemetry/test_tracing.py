"""Whether traces are sent, where to, and which."""

import subprocess
import sys
import time
from typing import Any

import pytest

from uploadpp.core.commands import Kind, Mark
from uploadpp.core.evolve import evolve
from uploadpp.core.tracing import RANDOM, SAMPLED, Span, SpanKind, Trace, command_span
from uploadpp.process.otlp import Otlp
from uploadpp.process.settings import Settings
from uploadpp.process.tracing_config import endpoint, notes, open_otlp
from uploadpp.telemetry.tracing import Tracing
from uploadpp.testing.builders import ARRIVAL, NOW, after

HERE = "http://localhost:4318/v1/traces"
TRACEPARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
QUIET = TRACEPARENT[:-2] + "00"


def settings(**values: object) -> Settings:
    return Settings(**values)  # type: ignore[arg-type]  # names are the caller's


@pytest.mark.parametrize(
    ("environment", "values", "expected"),
    [
        ({}, {}, None),
        ({}, {"tracing_enabled": True}, HERE),
        ({}, {"tracing_endpoint": "otel:4318"}, None),
        ({}, {"tracing_enabled": True, "tracing_endpoint": "otel"}, "http://otel:4318/v1/traces"),
        ({}, {"tracing_enabled": True, "tracing_endpoint": "otel:4317"}, "http://otel:4318/v1/traces"),
        ({}, {"tracing_enabled": True, "tracing_endpoint": "[::1]:7"}, "http://[::1]:7/v1/traces"),
        ({}, {"tracing_enabled": True, "tracing_endpoint": "https://a/b/"}, "https://a/b/v1/traces"),
        ({}, {"tracing_enabled": True, "tracing_type": "jaeger"}, None),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://otel:4318/"}, {}, "http://otel:4318/v1/traces"),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://otel:4318/v1/traces"}, {}, "http://otel:4318/v1/traces"),
        ({}, {"tracing_enabled": True, "tracing_endpoint": "https://a/v1/traces/"}, "https://a/v1/traces"),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://otel/x"}, {}, "http://otel/x"),
        ({"OTEL_TRACES_EXPORTER": "otlp"}, {}, HERE),
        ({"OTEL_TRACES_EXPORTER": "none"}, {"tracing_enabled": True}, None),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://otel", "OTEL_TRACES_EXPORTER": "none"}, {}, None),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://otel", "OTEL_SDK_DISABLED": "TRUE"}, {}, None),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": ""}, {}, None),
        ({"OTEL_TRACES_EXPORTER": "zipkin"}, {"tracing_enabled": True}, None),
        ({"OTEL_TRACES_EXPORTER": "console, OTLP"}, {}, HERE),
        ({"OTEL_TRACES_EXPORTER": "otlp,none"}, {}, None),
        ({"OTEL_TRACES_EXPORTER": " , "}, {}, None),
    ],
)
def test_where_traces_go(environment: dict[str, str], values: dict[str, Any], expected: str | None) -> None:
    assert endpoint(settings(**values), environment) == expected


@pytest.mark.parametrize("text", ["ftp://a", "http://", "a:b", "a:99999999"])
def test_an_address_that_is_none_stops_the_start(text: str) -> None:
    with pytest.raises(ValueError, match="tracing_endpoint"):
        settings(tracing_enabled=True, tracing_endpoint=text)


def test_what_means_something_else_here_is_said() -> None:
    assert notes(settings(), {}) == []
    assert "must be otlp" in notes(settings(tracing_enabled=True, tracing_type="jaeger"), {})[0]
    (note,) = notes(settings(tracing_enabled=True), {"OTEL_TRACES_EXPORTER": "zipkin"})
    assert note.startswith("traces are not sent: OTEL_TRACES_EXPORTER has zipkin")
    (note,) = notes(settings(), {"OTEL_TRACES_EXPORTER": "otlp,console"})
    assert note.startswith("traces are sent with otlp only")
    grpc = {"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}
    assert notes(settings(), grpc) == []
    assert "http/protobuf" in notes(settings(tracing_enabled=True), grpc)[0]
    for url, words in (
        ("otel:4318", "must be a URL such as"),
        ("http://a..b:4318", "must be a URL such as"),
        ("http://otel:x", "must be a URL such as"),
        ("http://[::1:4318", "must be a URL such as"),
        (
            "http://me:pw@otel:4317/key",
            "traces are sent to otel:4317, which is usually the collector's port for",
        ),
    ):
        (note,) = notes(settings(), {"OTEL_EXPORTER_OTLP_ENDPOINT": url})
        assert words in note
    assert notes(settings(), {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://otel:4318"}) == []


@pytest.mark.parametrize("name", ["OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"])
@pytest.mark.parametrize(
    "address", ["http://otel/?token=s3cret", "https://otel/v1/traces#s3cret", "http://otel?"]
)
def test_s7_a_query_is_refused_and_not_quoted(
    monkeypatch: pytest.MonkeyPatch, name: str, address: str
) -> None:
    """The path for traces was added behind it, and each error quoted both."""
    (note,) = notes(settings(), {name: address})
    assert note == (
        f"traces are not sent: {name} has text behind its path; a key belongs into OTEL_EXPORTER_OTLP_HEADERS"
    )
    monkeypatch.setenv(name, address)
    assert open_otlp(settings(), "test", {}) is None


@pytest.mark.parametrize("name", ["OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"])
@pytest.mark.parametrize("address", ["mary:s3cret@otel:4318", "ftp://mary:s3cret@otel"])
def test_s7_what_is_no_url_is_not_quoted_and_not_used(
    monkeypatch: pytest.MonkeyPatch, name: str, address: str
) -> None:
    """The library would log it with each batch, and a login without `//` looks like none."""
    (note,) = notes(settings(), {name: address})
    assert note == f"traces are not sent: {name} must be a URL such as http://localhost:4318"
    monkeypatch.setenv(name, address)
    assert open_otlp(settings(), "test", {}) is None


def test_nothing_is_loaded_when_off() -> None:
    code = (
        "import sys, uploadpp.__main__, uploadpp.process.tracing_config as e\n"
        "from uploadpp.process.settings import Settings\n"
        "assert e.open_otlp(Settings(), 'a', {}) is None\n"
        "print([name for name in sys.modules if 'opentelemetry' in name])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env={})
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("variables", "trace", "expected"),
    [
        ({}, Trace(1, 2, SAMPLED), True),
        ({}, Trace(1, 2, 0), False),
        ({}, Trace(1), True),
        ({"OTEL_TRACES_SAMPLER": "always_off"}, Trace(1, 2, SAMPLED), False),
        (
            {"OTEL_TRACES_SAMPLER": "parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0"},
            Trace(1),
            False,
        ),
        (
            {"OTEL_TRACES_SAMPLER": "parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0"},
            Trace(1, 2, SAMPLED),
            True,
        ),
    ],
)
def test_the_sampler_decides(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], trace: Trace, *, expected: bool
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    otlp = Otlp("http://127.0.0.1:9", "test", {})
    try:
        assert otlp.sampled(trace) is expected
    finally:
        otlp.close()


def test_a_trace_of_an_uploads_own_is_sampled_by_its_share(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its id is made of the upload's; the share must hold for such ids as well."""
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "parentbased_traceidratio")
    monkeypatch.setenv("OTEL_TRACES_SAMPLER_ARG", "0.25")
    otlp = Otlp("http://127.0.0.1:9", "test", {})
    spans: list[Span] = []
    tracing = Tracing(otlp.sampled, lambda _, span: spans.append(span))
    uploads = [after(ARRIVAL, upload_id=f"upload-{number}") for number in range(400)]
    flags = [
        tracing.traceparent(each, Mark(Kind.START, each.received_at, 1, 1, "a"))[-2:] for each in uploads
    ]
    otlp.close()
    assert set(flags) == {f"{RANDOM:02x}", f"{RANDOM | SAMPLED:02x}"}
    assert 60 < flags.count("03") < 140


def test_a_collector_that_is_away_is_said_in_the_same_words(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Then the log says it once in a while, not at every try."""
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "50")
    otlp = Otlp("http://127.0.0.1:9", "test", {})
    otlp.emit(Trace(1), Span(name="a", kind=SpanKind.WAIT, id=1, parent=0, start=NOW, end=NOW, attributes={}))
    transient: list[str] = []
    deadline = time.monotonic() + 60
    while len(transient) < 2 and time.monotonic() < deadline:
        time.sleep(0.05)
        transient = [text for text in caplog.messages if "Transient" in text]
    otlp.close()
    assert len(transient) > 1
    assert len(set(transient)) == 1


def test_events_of_an_untraced_request_carry_on_what_they_came_with() -> None:
    upload = after(ARRIVAL)
    mark = Mark(Kind.START, upload.received_at, 1, 1, "virusscan")
    quiet = evolve(upload, origin=evolve(upload.origin, traceparent=QUIET))
    emitted: list[Span] = []
    off = Tracing(lambda _: False, lambda _, span: emitted.append(span))
    on = Tracing(lambda _: True, lambda _, span: emitted.append(span))
    assert off.traceparent(quiet, mark) == QUIET
    assert off.traceparent(upload, mark).endswith(f"-{RANDOM:02x}")
    assert on.traceparent(quiet, mark) == f"{QUIET[:36]}{command_span(upload.id, mark):016x}-01"
    moved = evolve(upload, run=2)
    off.moved(upload, moved, upload.since)
    assert emitted == []
    on.moved(upload, moved, upload.since)
    assert [span.name for span in emitted] == ["step virusscan", "postprocessing"]


def test_without_the_packages_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "uploadpp.process.otlp", None)
    with pytest.raises(Exception, match=r"install uploadpp\[tracing\]"):
        open_otlp(settings(tracing_enabled=True), "test", {})
