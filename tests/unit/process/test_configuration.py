"""Errors that are found after the settings were read name what has set them, and files are read safely."""

import os
from pathlib import Path

import pytest

from uploadpp.core.text import MAX_LINE
from uploadpp.pipeline.storage_check import open_check
from uploadpp.process.configuration import ConfigurationError, nats_options, read_settings, source_of
from uploadpp.process.operator_config import namespace_of, notes, sealing_keys
from uploadpp.process.settings import Settings
from uploadpp.process.tracing_config import notes as tracing_notes

CA = "events_tls_root_ca_certificate"
NAMES_OF_CA = ("OCIS_EVENTS_TLS_ROOT_CA_CERTIFICATE", "OC_EVENTS_TLS_ROOT_CA_CERTIFICATE")


@pytest.mark.parametrize(
    "environment",
    [
        {"OC_TRACING_TYPE": "x" * 100_000, "OC_TRACING_ENABLED": "true"},
        {"POSTPROCESSING_STEPS": f"{'x' * 50_000},{'x' * 50_000}"},
        {"UPLOADPP_STEP_SETTINGS": f'{{"{"x" * 50_000}": {{}}}}'},
    ],
)
def test_an_error_is_no_longer_than_a_line_of_the_log(environment: dict[str, str]) -> None:
    with pytest.raises(ConfigurationError, match=f"^{next(iter(environment))}") as caught:
        read_settings({}, environment)
    assert len(str(caught.value)) <= MAX_LINE


@pytest.mark.parametrize("variable", NAMES_OF_CA)
@pytest.mark.parametrize("content", [None, b"nothing", b"-----BEGIN CERTIFICATE-----\nx"])
def test_the_variable_that_was_set_is_named(tmp_path: Path, variable: str, content: bytes | None) -> None:
    path = tmp_path / "ca.crt"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigurationError, match=f"^{variable}={path}: "):
        nats_options(read_settings({}, {variable: str(path)}), "me")


def test_of_several_variables_the_one_that_counts_is_named() -> None:
    environment = dict.fromkeys(NAMES_OF_CA, "/nowhere/a") | {NAMES_OF_CA[1]: "/nowhere/b"}
    with pytest.raises(ConfigurationError, match=f"^{NAMES_OF_CA[1]}=/nowhere/b: No such file"):
        nats_options(read_settings({}, environment), "me")


def test_a_flag_is_named_where_it_has_set_the_value() -> None:
    settings = read_settings(
        {
            CA: "/nowhere/ca.crt",
            "storage_ca_file": "/nowhere/storage.crt",
            "sealing_key_file": "/nowhere/key",
            "namespace": "a b",
        },
        {"OC_EVENTS_TLS_ROOT_CA_CERTIFICATE": "/nowhere/other.crt"},
    )
    with pytest.raises(
        ConfigurationError, match=r"^--events-tls-root-ca-certificate=/nowhere/ca\.crt: No such"
    ):
        nats_options(settings, "me")
    with pytest.raises(ConfigurationError, match=r"^--storage-ca-file=/nowhere/storage\.crt: cannot be used"):
        open_check(settings)
    with pytest.raises(ConfigurationError, match=r"^--sealing-key-file=/nowhere/key: No such file"):
        sealing_keys(settings)
    with pytest.raises(ConfigurationError, match=r"^--namespace=a b: a namespace must"):
        namespace_of(settings)


def test_warnings_name_what_was_set_as_well() -> None:
    environment = {
        "OC_EVENTS_TLS_ROOT_CA_CERTIFICATE": "/nowhere/ca.crt",
        "OCIS_EVENTS_ENABLE_TLS": "false",
        "OC_TRACING_ENABLED": "true",
        "OC_TRACING_TYPE": "jaeger",
        "POSTPROCESSING_STEPS": "a",
    }
    settings = read_settings({}, environment)
    assert notes(settings, {}) == [
        "OC_EVENTS_TLS_ROOT_CA_CERTIFICATE has no effect: TLS to NATS is disabled by OCIS_EVENTS_ENABLE_TLS"
    ]
    assert tracing_notes(settings, {})[0].startswith("traces are not sent: OC_TRACING_TYPE must be otlp")


def test_what_was_not_set_has_its_own_variable() -> None:
    own = "POSTPROCESSING_EVENTS_TLS_ROOT_CA_CERTIFICATE"
    assert source_of(read_settings({}, {}), CA) == own
    assert source_of(Settings(), CA) == own


@pytest.mark.parametrize(
    ("variable", "setting"),
    [
        ("UPLOADPP_SEALING_KEY_FILE", "sealing_key_file"),
        ("UPLOADPP_NATS_TOKEN_FILE", "nats_token_file"),
        ("UPLOADPP_NATS_CREDS_FILE", "nats_creds_file"),
        ("UPLOADPP_NATS_NKEY_FILE", "nats_nkey_file"),
        ("OC_EVENTS_TLS_ROOT_CA_CERTIFICATE", "events_tls_root_ca_certificate"),
        ("UPLOADPP_STORAGE_CA_FILE", "storage_ca_file"),
    ],
)
def test_a_file_without_an_end_is_refused_at_once(tmp_path: Path, variable: str, setting: str) -> None:
    """One took all memory, the other waited forever without a word."""
    os.mkfifo(tmp_path / "pipe")
    for path in ("/dev/zero", f"{tmp_path}/pipe"):
        settings = read_settings({}, {variable: path, "UPLOADPP_SEALING_KEY_FILE": path})
        with pytest.raises(ConfigurationError, match=f"^{variable}={path}: .*it is not a regular file"):
            use(settings, setting)
    with pytest.raises(ConfigurationError, match=f"^{variable}={tmp_path}: .*Is a directory"):
        use(read_settings({}, {variable: str(tmp_path)}), setting)


def use(settings: Settings, setting: str) -> None:
    if setting == "sealing_key_file":
        sealing_keys(settings)
    elif setting == "storage_ca_file":
        open_check(settings)
    else:
        nats_options(settings, "me")
