"""Values as people write them, for the operator and for steps: both readers take the same."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from uploadpp.core.states import OnExhausted, OnTooLarge, Outcome
from uploadpp.process.configuration import ConfigurationError, read_model
from uploadpp.process.settings import Settings
from uploadpp.steps.command import CommandOptions
from uploadpp.steps.options import ServiceOptions
from uploadpp.steps.policies import PoliciesOptions
from uploadpp.steps.virusscan import Infected, Oversize, VirusscanOptions

STEPS = {"POSTPROCESSING_STEPS": "virusscan"}


def read(model: type[BaseModel], **environment: str) -> Any:  # noqa: ANN401 -- any of the models
    return read_model(model, {}, environment)


@pytest.mark.parametrize(
    ("model", "variable", "text", "field", "value"),
    [
        (VirusscanOptions, "UPLOADPP_STEP_INFECTED", "Abort", "infected", Infected.ABORT),
        (VirusscanOptions, "UPLOADPP_STEP_OVERSIZE", " RETRY\n", "oversize", Oversize.RETRY),
        (VirusscanOptions, "UPLOADPP_STEP_ENCRYPTED", "Delete", "encrypted", Outcome.DELETE),
        (VirusscanOptions, "UPLOADPP_STEP_UNSCANNABLE", "Delete", "unscannable", Outcome.DELETE),
        (VirusscanOptions, "UPLOADPP_STEP_SUSPICIOUS", "Continue", "suspicious", Infected.CONTINUE),
        (PoliciesOptions, "UPLOADPP_STEP_DEFAULT", "Abort", "default", Outcome.ABORT),
        (CommandOptions, "UPLOADPP_STEP_EXIT", "1=Delete", "exit", {1: Outcome.DELETE}),
        (ServiceOptions, "UPLOADPP_STEP_START_WITH", " All ", "start_with", "all"),
        (ServiceOptions, "UPLOADPP_STEP_DOWNLOAD_CA_FILE", " /ca.pem\n", "download_ca_file", Path("/ca.pem")),
        (CommandOptions, "UPLOADPP_STEP_EXEC", " true ", "exec", "true"),
        (Settings, "UPLOADPP_NAMESPACE", "ocis\n", "namespace", "ocis"),
        (Settings, "UPLOADPP_POD_UID", " a-1 ", "pod_uid", "a-1"),
        (Settings, "UPLOADPP_NATS_INBOX_PREFIX", " _INBOX.a ", "nats_inbox_prefix", "_INBOX.a"),
        (Settings, "UPLOADPP_SEALING_KEY_FILE", "/key\n", "sealing_key_file", Path("/key")),
    ],
)
def test_the_case_of_a_word_and_spaces_around_a_value_do_not_count(
    model: type[BaseModel], variable: str, text: str, field: str, value: object
) -> None:
    """The operator took `Abort`, a step did not; files and names kept the line end of a Secret."""
    assert getattr(read(model, **{variable: text}), field) == value


@pytest.mark.parametrize("variable", ["POSTPROCESSING_STEPS", "OC_EVENTS_ENDPOINT", "UPLOADPP_STEP_EXEC"])
def test_what_is_not_utf_8_is_refused_by_name(variable: str) -> None:
    """It was taken, and could be part of no message and no resource."""
    model = CommandOptions if "EXEC" in variable else Settings
    with pytest.raises(ConfigurationError, match=f"^{variable}: is not UTF-8$"):
        read(model, **{variable: b"a\xff".decode(errors="surrogateescape")})


def test_a_password_keeps_its_spaces() -> None:
    login = {"OC_EVENTS_AUTH_USERNAME": "mary\n", "OC_EVENTS_AUTH_PASSWORD": " p "}
    found = read(Settings, **login)
    assert (found.events_auth_username, found.events_auth_password) == ("mary", " p ")


def test_clamd_may_have_spaces_around_it() -> None:
    assert read(VirusscanOptions, UPLOADPP_STEP_CLAMD=" unix:/run/clamd \n").clamd.path == "/run/clamd"


def test_the_case_of_a_word_does_not_count_in_the_settings_of_a_step_either() -> None:
    text = '{"virusscan": {"onExhausted": "hold", "onTooLarge": "SKIP", "requireResult": "scan"}}'
    found = read(Settings, UPLOADPP_STEP_SETTINGS=text, **STEPS).step_settings["virusscan"]
    assert (found.onExhausted, found.onTooLarge) == (OnExhausted.HOLD, OnTooLarge.SKIP)


@pytest.mark.parametrize(
    ("model", "variable", "text", "words"),
    [
        (
            Settings,
            "UPLOADPP_STEP_SETTINGS",
            '{"virusscan":{"timeoutSeconds":"10m"}}',
            "'10m': must be",
        ),
        (Settings, "UPLOADPP_STEP_SETTINGS", '{"virusscan":{"maxRetries":true}}', "must be a whole number"),
        (Settings, "UPLOADPP_STEP_SETTINGS", '{"virusscan":{"retries":3}}', "not known; write maxRetries"),
        (
            Settings,
            "UPLOADPP_STEP_SETTINGS",
            '{"virusscan":{"x":3}}',
            "not known; there are timeoutSecon",
        ),
        (Settings, "UPLOADPP_STEP_SETTINGS", '{"virusscan":null}', "must be a JSON object"),
        (Settings, "UPLOADPP_STEP_SETTINGS", '{"virusscan":{},"virusscan":{}}', "is there twice; keep one"),
        (Settings, "UPLOADPP_NATS_INBOX_PREFIX", "_INBOX.>", "must be words of letters, digits"),
        (Settings, "UPLOADPP_NATS_INBOX_PREFIX", "a..b", "must be words of letters, digits"),
        (Settings, "UPLOADPP_POD_UID", "a b", "must be the metadata.uid of the Pod"),
        (Settings, "UPLOADPP_STORAGE_FROM", "https://*.example.org/", "a star is not the name of a host"),
        (CommandOptions, "UPLOADPP_STEP_EXIT", "1=delete,1=retry", "1 has two outcomes, delete and retry"),
        (CommandOptions, "UPLOADPP_STEP_EXIT", "1=remove", "='remove': should be 'continue'"),
        (ServiceOptions, "UPLOADPP_STEP_DEBUG_ADDR", "9256", "is only a port; write :9256"),
    ],
)
def test_what_is_wrong_is_said_with_the_remedy(
    model: type[BaseModel], variable: str, text: str, words: str
) -> None:
    with pytest.raises(ConfigurationError, match=variable) as caught:
        read(model, **{variable: text}, **STEPS)
    assert words in str(caught.value)


@pytest.mark.parametrize("variable", ["UPLOADPP_STORAGE_FROM", "UPLOADPP_STEP_DOWNLOAD_FROM"])
def test_an_error_never_shows_the_password_of_a_url(variable: str) -> None:
    model = Settings if "STORAGE" in variable else ServiceOptions
    with pytest.raises(ConfigurationError, match="has a user or a password") as caught:
        read(model, **{variable: "https://mary:s3cret@ocis:9200/data/"})
    assert "s3cret" not in str(caught.value)
    with pytest.raises(ConfigurationError, match=variable) as caught:
        read(model, **{variable: "mary:s3cret@ocis:9200/data/"})
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    ("endpoint", "words"),
    [
        ("http://mary:s3cret@collector:4318", "they belong into OTEL_EXPORTER_OTLP_HEADERS"),
        ("http://collector:4318/traces?key=1", "has text behind its path"),
    ],
)
def test_what_is_not_sent_to_a_collector_is_refused(endpoint: str, words: str) -> None:
    """It was left out, so that the collector answered 401 and nobody knew why."""
    with pytest.raises(ConfigurationError, match=words) as caught:
        read(Settings, OC_TRACING_ENABLED="true", OC_TRACING_ENDPOINT=endpoint)
    assert "s3cret" not in str(caught.value)
    assert read(Settings, OC_TRACING_ENDPOINT=endpoint).tracing_enabled is False
