"""Variables that were written for services in Go are read as those read them."""

import pytest

from uploadpp.runtime.configuration import ConfigurationError, read_settings, variables_of
from uploadpp.runtime.settings import Settings

NAMES = list(Settings.model_fields)


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


@pytest.mark.parametrize("text", ["ftp://a", "://", "a:b", "http://[::1"])
def test_settings_of_traces_stop_nothing_while_none_are_sent(text: str) -> None:
    broken = {"OCIS_TRACING_ENDPOINT": text, "OC_TRACING_TYPE": "agent"}
    assert not read(broken).tracing_enabled
    assert read({**broken, "OCIS_TRACING_ENABLED": "true", "OC_TRACING_TYPE": "jaeger"}).tracing_enabled
    with pytest.raises(ConfigurationError, match="OC_TRACING_TYPE: 'agent' is not known; use otlp"):
        read({**broken, "OCIS_TRACING_ENABLED": "true"})
    with pytest.raises(ConfigurationError, match="OCIS_TRACING_ENDPOINT: "):
        read({"OCIS_TRACING_ENDPOINT": text, "OCIS_TRACING_ENABLED": "true"})
