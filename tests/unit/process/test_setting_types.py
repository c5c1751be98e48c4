"""Variables that were written for services in Go are read as those read them."""

from pathlib import Path

import pytest

from uploadpp.process.configuration import (
    ConfigurationError,
    is_tls_off,
    nats_options,
    read_model,
    read_settings,
    variables_of,
)
from uploadpp.process.operator_config import core_config, notes
from uploadpp.process.settings import Settings
from uploadpp.process.tracing_config import open_otlp
from uploadpp.steps.options import ServiceOptions

NAMES = list(Settings.model_fields)
SECRETS = {"events_auth_password", "debug_token"}


def read(environment: dict[str, str]) -> Settings:
    return read_settings({}, environment)


@pytest.mark.parametrize("variable", [v for n in NAMES for v in variables_of(n) if n != "show"])
def test_a_variable_set_to_nothing_counts_as_not_set(variable: str) -> None:
    assert read({variable: ""}) == read({})


def test_a_variable_set_to_nothing_hides_no_other_one() -> None:
    settings = read(
        {"OCIS_EVENTS_ENDPOINT": "a:1", "OC_EVENTS_ENDPOINT": "", "POSTPROCESSING_EVENTS_ENDPOINT": ""}
    )
    assert settings.events_endpoint == ("a:1",)
    assert read({"UPLOADPP_SHOW": ""}).show == frozenset()


def test_nothing_between_two_commas_is_passed_over() -> None:
    settings = read({"POSTPROCESSING_STEPS": "virusscan, delay, ,", "OCIS_EVENTS_ENDPOINT": "a:1,,b:1, "})
    assert settings.steps == ("virusscan", "delay")
    assert settings.events_endpoint == ("a:1", "b:1")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("14", 14),
        ("+14", 14),
        ("0x0e", 14),
        ("0X0E", 14),
        ("0b1110", 14),
        ("0o16", 14),
        ("016", 14),
        ("1_4", 14),
    ],
)
def test_numbers_are_read_as_in_go(text: str, value: int) -> None:
    assert read({"POSTPROCESSING_MAX_RETRIES": text}).max_retries == value


@pytest.mark.parametrize(
    "text", ["1e1", "14.5", "0x", "09", "1__4", "_14", "14_", "\u0661", "0xg", "9" * 5000]
)
def test_what_is_not_a_number_stops_the_start(text: str) -> None:
    with pytest.raises(ConfigurationError, match="POSTPROCESSING_MAX_RETRIES"):
        read({"POSTPROCESSING_MAX_RETRIES": text})


@pytest.mark.parametrize(
    "text", ["1", "t", "T", "TRUE", "true", "True", "0", "f", "F", "FALSE", "false", "False"]
)
def test_booleans_are_those_of_go(text: str) -> None:
    assert read({"OC_EVENTS_ENABLE_TLS": text}).events_enable_tls is (text[0] in "1tT")
    with pytest.raises(ConfigurationError, match="OC_EVENTS_ENABLE_TLS"):
        read({"OC_EVENTS_ENABLE_TLS": f"{text} x"})


@pytest.mark.parametrize("text", ["ftp://a", "://", "a:b", "http://[::1", "http://a..b:4318"])
def test_settings_of_traces_stop_nothing_while_none_are_sent(text: str) -> None:
    broken = {"OCIS_TRACING_ENDPOINT": text, "OC_TRACING_TYPE": "agent"}
    assert not read(broken).tracing_enabled
    assert read({**broken, "OCIS_TRACING_ENABLED": "true", "OC_TRACING_TYPE": "jaeger"}).tracing_enabled
    with pytest.raises(ConfigurationError, match="OC_TRACING_TYPE: 'agent' is not supported; use otlp"):
        read({**broken, "OCIS_TRACING_ENABLED": "true"})
    with pytest.raises(ConfigurationError, match="OCIS_TRACING_ENDPOINT: "):
        read({"OCIS_TRACING_ENDPOINT": text, "OCIS_TRACING_ENABLED": "true"})


@pytest.mark.parametrize("variable", [v for n in NAMES for v in variables_of(n) if n not in SECRETS])
def test_spaces_count_as_nothing(variable: str) -> None:
    assert read({variable: " \t "}) == read({variable: ""})


def test_a_token_of_spaces_opens_nothing() -> None:
    with pytest.raises(ConfigurationError, match="POSTPROCESSING_DEBUG_TOKEN: contains only spaces"):
        read({"POSTPROCESSING_DEBUG_TOKEN": "  "})
    assert read({"POSTPROCESSING_DEBUG_TOKEN": "secret\n"}).debug_token == "secret"
    spaces = {"OC_EVENTS_AUTH_USERNAME": "u", "OC_EVENTS_AUTH_PASSWORD": "  "}
    assert read(spaces).events_auth_password == "  "


@pytest.mark.parametrize(
    ("variable", "text"),
    [
        ("OC_EVENTS_ENABLE_TLS", "true"),
        ("POSTPROCESSING_MAX_RETRIES", "0x0e"),
        ("POSTPROCESSING_DELAY", "1m30s"),
        ("POSTPROCESSING_DEBUG_ADDR", ":9255"),
        ("OCIS_LOG_LEVEL", "Debug"),
        ("UPLOADPP_LOG_FORMAT", "Text"),
        ("UPLOADPP_ON_EXHAUSTED", "HOLD"),
        ("UPLOADPP_START_FROM", "New"),
        ("OC_TRACING_TYPE", "OTLP"),
        ("OC_TRACING_ENDPOINT", "collector:4317"),
    ],
)
def test_spaces_and_line_ends_around_a_value_are_no_part_of_it(variable: str, text: str) -> None:
    assert read({variable: f" {text}\r\n"}) == read({variable: text})


HOSTILE = [
    '"true"', "''", "yes", "1e3", "9" * 5000, "-1", "1.5", ":99999999999", "[fe80::1%eth0]:9255", "unix:/x",
    "http://[", "http://h:x", "{}", "[]", "null", "NaN", '{"a":' * 5000, "[1" + "0" * 5000 + "]",
    "x" * 100_000, "a\x1b[2J\nb", "\u202e", "\udcff", "\u0661", "a\0b", "\0", "100000000000h", "../x", "5,",
]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_any_text_is_used_or_refused_in_one_short_line(name: str, text: str) -> None:
    variable = variables_of(name)[-1]
    said = variable
    try:
        settings = read({variable: text})
        core_config(settings)
        notes(settings, {})
        nats_options(settings, "me")
    except ConfigurationError as error:
        said = str(error)
    assert len(said) < 2000
    assert variable in said or name == "steps"


def test_a_lease_ends_within_an_hour() -> None:
    with pytest.raises(
        ConfigurationError, match="UPLOADPP_LEASE_DURATION='2h': is too long; the maximum is 1h"
    ):
        read({"UPLOADPP_LEASE_DURATION": "2h"})


@pytest.mark.parametrize("text", ["1ms", "99ms", "98001us", "1ns"])
def test_an_age_that_no_stream_of_nats_can_have_is_refused(text: str) -> None:
    """Nobody noticed before the stream had to be created, which then failed forever."""
    with pytest.raises(ConfigurationError, match=r"^UPLOADPP_STREAM_MAX_AGE=.*at least 100ms, or 0"):
        read({"UPLOADPP_STREAM_MAX_AGE": text})
    assert read({"UPLOADPP_STREAM_MAX_AGE": "100ms"}).stream_max_age == 100
    assert read({"UPLOADPP_STREAM_MAX_AGE": "0"}).stream_max_age == 0


@pytest.mark.parametrize("variable", ["UPLOADPP_STREAM_MAX_AGE", "UPLOADPP_STEP_ACK_WAIT"])
def test_the_longest_duration_is_one_for_nats(variable: str) -> None:
    """Rounded up, it was more nanoseconds than NATS can read."""
    longest = "2562047h47m16.854775807s"
    model = Settings if "STREAM" in variable else ServiceOptions
    found = read_model(model, {}, {variable: longest})
    milliseconds = getattr(found, variable.lower().removeprefix("uploadpp_").removeprefix("step_"))
    assert int(milliseconds / 1000 * 1_000_000_000) < 2**63


TLS_FILES = (
    "OCIS_EVENTS_TLS_ROOT_CA_CERTIFICATE",
    "OC_EVENTS_TLS_ROOT_CA_CERTIFICATE",
    "POSTPROCESSING_EVENTS_TLS_ROOT_CA_CERTIFICATE",
)


@pytest.mark.parametrize("variable", TLS_FILES)
@pytest.mark.parametrize("switch", ["OCIS_EVENTS_ENABLE_TLS", "POSTPROCESSING_EVENTS_ENABLE_TLS"])
@pytest.mark.parametrize("content", [None, "", "nothing"])
def test_files_of_tls_stop_nothing_while_it_is_off(
    tmp_path: Path, variable: str, switch: str, content: str | None
) -> None:
    path = tmp_path / "ca.crt"
    if content is not None:
        path.write_text(content)
    pair = {"UPLOADPP_NATS_TLS_CERT_FILE": str(path), "UPLOADPP_NATS_TLS_KEY_FILE": str(path)}
    settings = read({variable: str(path), switch: "false", **pair})
    options = nats_options(settings, "me")
    assert not options.wants_tls
    assert (options.tls_ca_file, options.tls_cert_file, options.tls_key_file) == ("", "", "")
    assert sum("has no effect" in note for note in notes(settings, {})) == 3


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"OC_EVENTS_ENABLE_TLS": "true"},
        {"OC_EVENTS_ENABLE_TLS": "false", "OC_EVENTS_ENDPOINT": "a:1,tls://b:1"},
        {"OC_EVENTS_ENABLE_TLS": "false", "UPLOADPP_NATS_TLS_HANDSHAKE_FIRST": "true"},
        {"OC_EVENTS_ENABLE_TLS": "false", "POSTPROCESSING_EVENTS_ENABLE_TLS": "true"},
    ],
)
def test_files_of_tls_are_never_left_out_in_silence(environment: dict[str, str]) -> None:
    """What is not switched off in so many words is on: an authority that is missing is no reason for less."""
    settings = read({"OC_EVENTS_TLS_ROOT_CA_CERTIFICATE": "/nowhere/ca.crt", **environment})
    assert not is_tls_off(settings)
    with pytest.raises(ConfigurationError, match=r"/nowhere/ca\.crt: No such file"):
        nats_options(settings, "me")


def test_a_seed_beside_credentials_is_not_read() -> None:
    settings = read(
        {"UPLOADPP_NATS_NKEY_FILE": "/nowhere/nkey", "UPLOADPP_NATS_CREDS_FILE": "/nowhere/creds"}
    )
    with pytest.raises(ConfigurationError, match="UPLOADPP_NATS_CREDS_FILE=/nowhere/creds"):
        nats_options(settings, "me")


@pytest.mark.parametrize(
    ("variable", "text"),
    [
        ("OTEL_BSP_MAX_QUEUE_SIZE", "0"),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "5"),
        ("OTEL_BSP_SCHEDULE_DELAY", "-1"),
        ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "99999999"),
        ("OTEL_ATTRIBUTE_COUNT_LIMIT", "many"),
        ("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "-1"),
    ],
)
def test_a_number_for_traces_that_cannot_be_stops_traces_only(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, variable: str, text: str
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
    monkeypatch.setenv(variable, text)
    assert open_otlp(read({}), "me", {}) is None
    assert "traces are not sent" in caplog.text
