"""Every setting by every name it has, and every mistake answered with the variable and the remedy."""

import argparse
import json
from pathlib import Path
from typing import Any

import pytest

from uploadpp.api.codec import ShownField
from uploadpp.core.model import Millis
from uploadpp.core.shares import FairShare
from uploadpp.core.states import OnExhausted, OnTooLarge, RequiredResult
from uploadpp.process.configuration import (
    ConfigurationError,
    add_flags,
    flag_of,
    nats_options,
    read_settings,
    variables_of,
)
from uploadpp.process.logs import LogFormat, LogLevel
from uploadpp.process.operator_config import core_config, namespace_of, notes
from uploadpp.process.setting_types import Policies, StorageChecks, TracingType
from uploadpp.process.settings import Settings
from uploadpp.storage.sources import Source
from uploadpp.wire.legacy_consumers import LegacyConsumer, OnLegacyService
from uploadpp.wire.stream import StartFrom

# A value that is not the default, as text and as what it must become.
VALUES: dict[str, tuple[str, Any]] = {
    "steps": ("a, b", ("a", "b")),
    "delay": ("3s", 3000),
    "max_retries": ("3", 3),
    "retry_backoff_duration": ("1s", 1000),
    "max_backoff": ("1h", 3_600_000),
    "on_exhausted": ("hold", OnExhausted.HOLD),
    "stall_after": ("1m", 60_000),
    "step_settings": ('{"delay":{"maxRetries":1}}', None),
    "fair_share": ("space", FairShare.SPACE),
    "share_weights": ('{"mary": 2}', {"mary": 2}),
    "priority_classes": ('{"normal": 1, "bulk": 2}', {"normal": 1, "bulk": 2}),
    "ready_after": ("1m30s", 90_000),
    "unanswered_after": ("1h", 3_600_000),
    "order_timeout": ("5m", 300_000),
    "storage_check": ("OFF", StorageChecks.OFF),
    "storage_check_interval": ("2s", 2000),
    "storage_from": ("https://ocis:9200/data/", (Source.parse("https://ocis:9200/data"),)),
    "storage_insecure": ("true", True),
    "release_backoff": ("0", 0),
    "ttl_completed": ("1s", 1000),
    "ttl_failed": ("1h", 3_600_000),
    "show": ("userID, filename", {ShownField.USER_ID, ShownField.FILENAME}),
    "events_endpoint": ("a:1,b:2", ("a:1", "b:2")),
    "events_auth_username": ("mary", "mary"),
    "events_auth_password": ("hunter2", "hunter2"),
    "events_enable_tls": ("T", True),
    "events_tls_insecure": ("1", True),
    "nats_tls_handshake_first": ("true", True),
    "nats_inbox_prefix": ("_INBOX_us.own", "_INBOX_us.own"),
    "start_from": ("NEW", StartFrom.NEW),
    "on_legacy_service": ("continue", OnLegacyService.CONTINUE),
    "legacy_consumer": ("REMOVE", LegacyConsumer.REMOVE),
    "stream_max_age": ("168h", 604_800_000),
    "namespace": ("team", "team"),
    "pod_uid": ("6f1c1a52-9d0e", "6f1c1a52-9d0e"),
    "lease_duration": ("2s", 2000),
    "writers": ("4", 4),
    "debug_addr": (":9255", ":9255"),
    "debug_token": ("hunter2", "hunter2"),
    "log_level": ("WARN", LogLevel.WARN),
    "log_format": ("text", LogFormat.TEXT),
    "tracing_enabled": ("true", True),
    "tracing_type": ("Jaeger", TracingType.JAEGER),
    "tracing_endpoint": ("collector:4317", "http://collector:4318"),
    "policies": ("ENABLED", Policies.ENABLED),
    "webhook_addr": ("127.0.0.1:8443", "127.0.0.1:8443"),
    "workers": ("9", 9),
}
PAIRS = {
    "events_auth_username": {"events_auth_password": "x"},
    "events_auth_password": {"events_auth_username": "x"},
    "nats_tls_cert_file": {"nats_tls_key_file": "x"},
    "nats_tls_key_file": {"nats_tls_cert_file": "x"},
    "webhook_cert_file": {"webhook_key_file": "x"},
    "webhook_key_file": {"webhook_cert_file": "x"},
}
NAMES = list(Settings.model_fields)


def value_of(name: str) -> tuple[str, Any]:
    if name in VALUES:
        return VALUES[name]
    return ("some/file", Path("some/file")) if name.endswith(("_file", "_certificate")) else ("7", 7)


def read(environment: dict[str, str], **flags: str) -> Settings:
    return read_settings(flags, environment)


@pytest.mark.parametrize(("name", "variable"), [(n, v) for n in NAMES for v in variables_of(n)])
def test_variable(name: str, variable: str) -> None:
    text, value = value_of(name)
    settings = read({variable: text}, **PAIRS.get(name, {}))
    expected = settings.step_settings if value is None else value
    assert getattr(settings, name) == expected != Settings.model_fields[name].default


@pytest.mark.parametrize("name", NAMES)
def test_flag_counts_more_than_any_variable(name: str) -> None:
    parser = argparse.ArgumentParser()
    add_flags(parser)
    text, value = value_of(name)
    flags = vars(parser.parse_args([flag_of(name), text])) | PAIRS.get(name, {})
    settings = read_settings(flags, dict.fromkeys(variables_of(name), "unusable \0"))
    assert getattr(settings, name) == (settings.step_settings if value is None else value)


@pytest.mark.parametrize("name", [name for name in NAMES if len(variables_of(name)) > 1])
def test_own_variable_counts_more_than_those_of_the_product(name: str) -> None:
    """The last one of a list wins; what it overrides is not even looked at."""
    *others, own = variables_of(name)
    text, value = value_of(name)
    settings = read({**dict.fromkeys(others, "unusable \0"), own: text}, **PAIRS.get(name, {}))
    assert getattr(settings, name) == value
    assert own.startswith(("POSTPROCESSING_", "UPLOADPP_"))
    assert {each.partition("_")[0] for each in others} == {"OCIS", "OC"}


def test_defaults_are_those_of_the_legacy_service() -> None:
    settings = read({})
    assert (settings.steps, settings.delay, settings.max_retries) == ((), 0, 14)
    assert settings.retry_backoff_duration == 5000
    assert settings.events_endpoint == ("127.0.0.1:9233",)
    assert settings.debug_addr == "127.0.0.1:9255"


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        ({"POSTPROCESSING_DELAY": "10"}, "POSTPROCESSING_DELAY='10': .* unit such as s, m or h is missing"),
        ({"POSTPROCESSING_WORKERS": "many"}, "POSTPROCESSING_WORKERS='many': should be a valid integer"),
        ({"POSTPROCESSING_MAX_RETRIES": "-1"}, "POSTPROCESSING_MAX_RETRIES='-1': .*equal to 0"),
        ({"POSTPROCESSING_STEPS": "a,delay,a"}, "POSTPROCESSING_STEPS: 'a' is listed twice"),
        ({"POSTPROCESSING_STEPS": "a,finished"}, "POSTPROCESSING_STEPS: 'finished' is a reserved word"),
        ({"POSTPROCESSING_STEPS": "x" * 64}, "POSTPROCESSING_STEPS: at most 32 names of at most 63"),
        ({"OCIS_EVENTS_ENABLE_TLS": "maybe"}, "OCIS_EVENTS_ENABLE_TLS='maybe': .* use true or false"),
        ({"OC_EVENTS_ENABLE_TLS": "yes"}, "OC_EVENTS_ENABLE_TLS='yes'"),
        ({"OC_LOG_LEVEL": "loud"}, "OC_LOG_LEVEL='loud': should be 'panic'"),
        ({"UPLOADPP_ON_EXHAUSTED": "explode"}, "UPLOADPP_ON_EXHAUSTED='explode': should be 'Abort'"),
        ({"UPLOADPP_SHOW": "filename,shoe"}, r"UPLOADPP_SHOW\.1='shoe': should be 'filename'"),
        ({"UPLOADPP_STEP_SETTINGS": "{"}, "UPLOADPP_STEP_SETTINGS: is not a JSON object"),
        ({"UPLOADPP_STEP_SETTINGS": "[]"}, "UPLOADPP_STEP_SETTINGS=.*must be a JSON object"),
        ({"UPLOADPP_STEP_SETTINGS": '{"x":{}}'}, "UPLOADPP_STEP_SETTINGS: 'x' is not among the steps"),
        (
            {"UPLOADPP_STEP_SETTINGS": '{"delay":{"timeoutSeconds":0}}'},
            r"UPLOADPP_STEP_SETTINGS\.delay\.timeoutSeconds: ",
        ),
        (
            {"UPLOADPP_STEP_SETTINGS": '{"delay":{"timeout":1}}'},
            r"timeout: is not known; write time",
        ),
        ({"UPLOADPP_STEP_SETTINGS": '{"delay":{"maxInFlight":1}}'}, "SETTINGS: 'delay' cannot have"),
        (
            {
                "POSTPROCESSING_STEPS": "a",
                "UPLOADPP_STEP_SETTINGS": '{"a":{"maxInFlight":2}}',
                "UPLOADPP_SHARDS": "3",
            },
            "UPLOADPP_STEP_SETTINGS: maxInFlight of 'a' is divided among 3 shards",
        ),
        ({"UPLOADPP_POD_UID": "a_b.c"}, "UPLOADPP_POD_UID='a_b.c': must be the metadata.uid"),
        ({"UPLOADPP_STORAGE_FROM": "https://a;https://b"}, "UPLOADPP_STORAGE_FROM=.*commas separate several"),
        ({"UPLOADPP_STORAGE_FROM": "https://a https://b"}, "UPLOADPP_STORAGE_FROM=.*commas separate several"),
        ({"UPLOADPP_TTL_FAILED": "7d"}, "UPLOADPP_TTL_FAILED='7d': .*the longest unit is h: a day is 24h"),
        ({"UPLOADPP_TTL_FAILED": "1 w"}, "UPLOADPP_TTL_FAILED='1 w': .*a week 168h"),
        (
            {"UPLOADPP_SHARDS": "3.0"},
            "UPLOADPP_SHARDS='3.0': should be a valid integer, without a decimal point",
        ),
        ({"UPLOADPP_LEASE_DURATION": "10ms"}, "UPLOADPP_LEASE_DURATION='10ms': .*the minimum is 1s"),
        ({"UPLOADPP_STALL_AFTER": "0"}, "UPLOADPP_STALL_AFTER='0': is too short"),
        ({"UPLOADPP_START_FROM": "middle"}, "UPLOADPP_START_FROM='middle': should be 'auto'"),
        ({"OCIS_EVENTS_ENDPOINT": " , "}, "OCIS_EVENTS_ENDPOINT: needs addresses"),
        ({"POSTPROCESSING_DEBUG_ADDR": "9255"}, "_DEBUG_ADDR='9255': is only a port; write :9255"),
        (
            {"POSTPROCESSING_DEBUG_ADDR": ":99999"},
            "POSTPROCESSING_DEBUG_ADDR=':99999': has a port above 65535",
        ),
        (
            {"POSTPROCESSING_RETRY_BACKOFF_DURATION": "13h"},
            "POSTPROCESSING_RETRY_BACKOFF_DURATION is longer than UPLOADPP_MAX_BACKOFF",
        ),
        (
            {"OC_EVENTS_AUTH_USERNAME": "mary"},
            "OC_EVENTS_AUTH_USERNAME and POSTPROCESSING_EVENTS_AUTH_PASSWORD must be set together",
        ),
        ({"UPLOADPP_NATS_TLS_CERT_FILE": "x"}, "TLS_CERT_FILE and .*KEY_FILE must be set together"),
    ],
)
def test_mistake(environment: dict[str, str], words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        read(environment)


def test_mistakes_are_told_all_at_once() -> None:
    with pytest.raises(ConfigurationError) as caught:
        read({"POSTPROCESSING_DELAY": "10", "POSTPROCESSING_WORKERS": "many"}, writers="0")
    lines = str(caught.value).splitlines()
    assert [line.partition("=")[0] for line in lines] == [
        "POSTPROCESSING_DELAY",
        "--writers",
        "POSTPROCESSING_WORKERS",
    ]


def test_secrets_are_in_no_error_and_no_repr(tmp_path: Path) -> None:
    secret = "hunter2"
    (tmp_path / "token").write_text(secret)
    given = {"POSTPROCESSING_DEBUG_TOKEN": secret, "OC_EVENTS_AUTH_PASSWORD": secret}
    settings = read(
        {**given, "OC_EVENTS_AUTH_USERNAME": "mary", "UPLOADPP_NATS_TOKEN_FILE": f"{tmp_path}/token"}
    )
    options = nats_options(settings, "me")
    assert (options.password, options.token_file) == (secret, f"{tmp_path}/token")
    assert secret not in repr(settings)
    assert secret not in repr(options)
    with pytest.raises(ConfigurationError) as caught:
        read({**given, "POSTPROCESSING_DELAY": "x"})
    assert secret not in str(caught.value)
    with pytest.raises(ConfigurationError) as caught:
        read(given)
    assert secret not in str(caught.value)


def test_empty_means_no_file_and_no_steps() -> None:
    """Charts set what they leave open to nothing."""
    settings = read({"OCIS_EVENTS_TLS_ROOT_CA_CERTIFICATE": "", "POSTPROCESSING_STEPS": " "}, steps="")
    assert settings.events_tls_root_ca_certificate is None
    assert settings.steps == ()


def test_delay_is_appended_and_said() -> None:
    settings = read({"POSTPROCESSING_STEPS": "virusscan", "POSTPROCESSING_DELAY": "1500ms"})
    config = core_config(settings)
    assert [(step.name, step.delay) for step in config.steps] == [("virusscan", 0), ("delay", 2000)]
    assert any("appended" in note for note in notes(settings, {}))
    assert any("whole seconds" in note for note in notes(settings, {}))
    listed = read({"POSTPROCESSING_STEPS": "delay,virusscan", "POSTPROCESSING_DELAY": "1s"})
    assert [step.name for step in core_config(listed).steps] == ["delay", "virusscan"]
    assert notes(listed, {}) == []


@pytest.mark.parametrize("name", ["größer", "a:b", "$(x)", "-x"])
def test_a_step_with_an_odd_name_works_and_is_warned_of(name: str) -> None:
    settings = read({}, steps=f"virusscan,{name}")
    assert [step.name for step in core_config(settings).steps] == ["virusscan", name]
    (note,) = notes(settings, {})
    assert repr(name) in note
    assert notes(read({}, steps="virusscan,a.b_c-D9"), {}) == []


def test_with_policies_a_step_that_is_not_listed_may_have_settings() -> None:
    own = '{"transcode": {"maxInFlight": 2, "maxRetries": 3}}'
    settings = read({"UPLOADPP_STEP_SETTINGS": own, "UPLOADPP_POLICIES": "enabled"}, steps="virusscan")
    config = core_config(settings)
    assert [step.name for step in config.steps] == ["virusscan"]
    assert config.max_in_flight == {"transcode": 2}
    assert config.defaults_of("transcode").max_retries == 3
    (note,) = notes(settings, {})
    assert "'transcode' is not among POSTPROCESSING_STEPS" in note


def test_notes() -> None:
    assert any("released at once" in note for note in notes(read({}), {}))
    found = notes(read({}, steps="a"), {"OCIS_PERSISTENT_STORE": "x", "POSTPROCESSING_STORE_TABLE": "y"})
    assert len(found) == 2
    assert all("has no effect" in note for note in found)


def test_settings_of_a_step() -> None:
    own = {
        "timeoutSeconds": 60,
        "stallAfterSeconds": 30,
        "maxRetries": 0,
        "backoffSeconds": 0,
        "maxBackoffSeconds": 9,
        "onExhausted": "Hold",
    }
    settings = read({"POSTPROCESSING_STEPS": "a,b", "UPLOADPP_STEP_SETTINGS": json.dumps({"b": own})})
    first, second = core_config(settings).steps
    assert (first.timeout, first.max_retries, first.on_exhausted) == (None, 14, OnExhausted.ABORT)
    assert (second.timeout, second.stall_after) == (Millis(60_000), Millis(30_000))
    assert (second.max_retries, second.backoff, second.max_backoff) == (0, 0, 9000)
    assert second.on_exhausted is OnExhausted.HOLD


def test_addresses_get_a_scheme() -> None:
    settings = read({"OC_EVENTS_ENDPOINT": "a:1, nats://b:2", "OC_EVENTS_ENABLE_TLS": "true"})
    assert nats_options(settings, "me").servers == ("tls://a:1", "nats://b:2")
    assert nats_options(read({}), "me").servers == ("nats://127.0.0.1:9233",)


@pytest.mark.parametrize(
    ("variable", "content", "words"),
    [
        ("UPLOADPP_NATS_CREDS_FILE", "nothing", "BEGIN NATS USER JWT"),
        ("UPLOADPP_NATS_CREDS_FILE", None, "No such file"),
        ("UPLOADPP_NATS_TOKEN_FILE", None, "No such file"),
        ("POSTPROCESSING_EVENTS_TLS_ROOT_CA_CERTIFICATE", "nothing", "BEGIN CERTIFICATE"),
        ("POSTPROCESSING_EVENTS_TLS_ROOT_CA_CERTIFICATE", "-----BEGIN CERTIFICATE-----\nx", "cannot be used"),
    ],
)
def test_unusable_file(tmp_path: Path, variable: str, content: str | None, words: str) -> None:
    path = tmp_path / "file"
    if content is not None:
        path.write_text(content)
    settings = read({variable: str(path), "OC_EVENTS_ENABLE_TLS": "true"})
    with pytest.raises(ConfigurationError, match=words):
        nats_options(settings, "me")


def test_namespace_is_needed_outside_of_a_pod() -> None:
    with pytest.raises(ConfigurationError, match="UPLOADPP_NAMESPACE or --namespace"):
        namespace_of(read({}))
    assert namespace_of(read({}, namespace="x")) == "x"


def test_a_kubeconfig_that_cannot_be_used_is_named_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise UPLOADPP_NAMESPACE would be asked for."""
    monkeypatch.setenv("KUBECONFIG", "/nonexistent")
    with pytest.raises(ConfigurationError, match="KUBECONFIG cannot be used: there is no kubeconfig"):
        namespace_of(read({}))


@pytest.mark.parametrize(
    "name",
    ["a/../b", "..", "a.b", "a.>", "*", ">", "a b", "A", "-a", "a" * 64, "a\nb", "a?x=1", "%2e", "\u0430"],
)
def test_s2_a_namespace_is_a_name_and_nothing_else(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It becomes a part of request paths, and of subjects of NATS."""
    with pytest.raises(ConfigurationError, match=r"UPLOADPP_NAMESPACE=.*: a namespace must have") as found:
        namespace_of(read({"UPLOADPP_NAMESPACE": name}))
    assert len(str(found.value)) < 300
    assert "\n" not in str(found.value)
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "c",
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u", "namespace": name}}],
        "clusters": [{"name": "c", "cluster": {"server": "http://127.0.0.1:1"}}],
        "users": [{"name": "u", "user": {}}],
    }
    (tmp_path / "config").write_text(json.dumps(config))
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "config"))
    with pytest.raises(ConfigurationError, match=r"KUBECONFIG's context=.*: a namespace must have"):
        namespace_of(read({}))


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        ({"POSTPROCESSING_STEPS": "virus scan"}, "virus scan"),
        ({"POSTPROCESSING_STEPS": "x", "POSTPROCESSING_DELAY": "1000h"}, "steps.delay.delaySeconds=3600000"),
        (
            {"POSTPROCESSING_STEPS": "x", "UPLOADPP_STEP_SETTINGS": '{"x": {"timeoutSeconds": 99999999}}'},
            "steps.x.timeoutSeconds=99999999",
        ),
        (
            {
                "POSTPROCESSING_STEPS": "x",
                "UPLOADPP_STEP_SETTINGS": '{"x": {"backoffSeconds": 9, "maxBackoffSeconds": 5}}',
            },
            "step x",
        ),
    ],
)
def test_what_the_api_server_would_refuse_stops_the_start(environment: dict[str, str], words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        core_config(read_settings({}, environment))


def test_what_a_step_is_for_and_has_to_prove() -> None:
    own = '{"a":{"maxFilesize":1000,"onTooLarge":"Hold","requireResult":"Scan"}}'
    first, second = core_config(read({"POSTPROCESSING_STEPS": "a,b", "UPLOADPP_STEP_SETTINGS": own})).steps
    assert (first.max_filesize, first.on_too_large, first.require_result) == (
        1000,
        OnTooLarge.HOLD,
        RequiredResult.SCAN,
    )
    assert (second.max_filesize, second.require_result) == (None, RequiredResult.OPTIONAL)
