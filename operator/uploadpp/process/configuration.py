"""Reads settings, and converts them for the core and the clients."""

import argparse
import json
import os
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from uploadpp.core.text import clean
from uploadpp.process.durations import format_duration
from uploadpp.process.setting_fields import is_empty_meant, is_repeatable, is_secret
from uploadpp.process.settings import Settings, is_duration
from uploadpp.wire.addresses import parse_address
from uploadpp.wire.connection import NatsOptions, tls_context
from uploadpp.wire.credentials import CredentialsError, CredsFile, NkeyFile, read_token

MAX_SHOWN = 200
"""Maximum number of characters of a value that a message quotes."""
JSON_SETTINGS = ("step_settings", "share_weights", "priority_classes")

M = TypeVar("M", bound=BaseModel)


class ConfigurationError(Exception):
    """The configuration cannot be used; the text names the variable or flag and the remedy."""


def flag_of(name: str) -> str:
    """The flag of a setting."""
    return f"--{name.replace('_', '-')}"


def variables_of(name: str, model: type[BaseModel] = Settings) -> list[str]:
    """The environment variables of a setting, the one that counts most last."""
    extra = model.model_fields[name].json_schema_extra
    return list(extra["env"]) if isinstance(extra, dict) else []  # type: ignore[arg-type]


def add_flags(
    parser: argparse.ArgumentParser | argparse._ArgumentGroup,
    model: type[BaseModel] = Settings,
    names: Collection[str] | None = None,
) -> None:
    """One flag per setting; only those with these names, if any are given."""
    for name, field in model.model_fields.items():
        if names is not None and name not in names:
            continue
        variables = ", ".join(reversed(variables_of(name, model)))
        text = f"{field.description} [{variables}]".replace("%", "%%")
        action = "append" if is_repeatable(name, model) else "store"
        parser.add_argument(flag_of(name), dest=name, metavar="VALUE", action=action, help=text)


def read_settings(flags: Mapping[str, Any], environment: Mapping[str, str] = os.environ) -> Settings:
    """The settings: flags before variables, variables before defaults.

    Raises:
        ConfigurationError: a value cannot be parsed or does not go with another.
    """
    return read_model(Settings, flags, environment)


def read_model(
    model: type[M],
    flags: Mapping[str, Any],
    environment: Mapping[str, str] = os.environ,
    names: Collection[str] | None = None,
) -> M:
    """The settings of a model, or those with these names; the others keep their defaults.

    Raises:
        ConfigurationError: a value cannot be parsed or does not go with another.
    """
    values: dict[str, Any] = {}
    sources: dict[str, str] = {}
    for name in model.model_fields:
        if names is not None and name not in names:
            continue
        for variable in variables_of(name, model):
            value = environment.get(variable, "")
            said = value if is_secret(name, model) else value.strip()
            if said or (variable in environment and is_empty_meant(name, model)):
                values[name], sources[name] = environment[variable], variable
        given = flags.get(name)
        if given is not None:
            values[name], sources[name] = given, flag_of(name)
    for name in JSON_SETTINGS:
        if isinstance(text := values.get(name), str):
            values[name] = _json(text, sources[name])
    try:
        return model(**values)
    except ValidationError as error:
        raise ConfigurationError(_explain(model, error, values, sources)) from None


def _json(text: str, source: str) -> object:
    try:
        return json.loads(text) if text.strip() else {}
    except (ValueError, RecursionError) as error:
        raise ConfigurationError(f"{source}: is not a JSON object: {clean(str(error))}") from None


def _explain(
    model: type[BaseModel], error: ValidationError, values: Mapping[str, Any], sources: Mapping[str, str]
) -> str:
    lines = []
    for problem in error.errors():
        message = problem["msg"].removeprefix("Value error, ").removeprefix("Input ")
        if not problem["loc"]:  # a check over several settings; its text begins with the setting's name
            name, _, rest = message.partition(":")
            named = rest and name in sources
            lines.append(f"{sources[name]}:{rest}" if named else _named(model, message, sources))
            continue
        name, *path = (str(part) for part in problem["loc"])
        field = model.model_fields[name]
        if is_duration(name, model) and problem["type"].startswith("greater_than"):
            message = f"is too short; the minimum is {format_duration(_least(problem))}"
        if is_duration(name, model) and problem["type"].startswith("less_than"):
            message = f"is too long; the maximum is {format_duration(problem['ctx']['le'])}"
        shown = f"={clean(repr(values[name]), MAX_SHOWN)}" if field.repr and not path else ""
        place = clean(".".join([sources.get(name, name), *path]), MAX_SHOWN)
        lines.append(f"{place}{shown}: {clean(message)}")
    return "\n".join(lines)


def _least(problem: Any) -> int:  # noqa: ANN401 -- pydantic's error details
    return int(problem["ctx"].get("ge", problem["ctx"].get("gt", 0) + 1))


def _named(model: type[BaseModel], message: str, sources: Mapping[str, str]) -> str:
    for name in model.model_fields:
        if name in message:
            message = message.replace(name, sources.get(name, variables_of(name, model)[-1]))
    return message


def read_text_file(variable: str, path: Path) -> str:
    """A small text file that a setting names.

    Raises:
        ConfigurationError: it cannot be read.
    """
    try:
        return path.read_text()
    except OSError as error:
        raise ConfigurationError(f"{variable}={path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigurationError(f"{variable}={path}: is not a text file") from None


PEM_FILES = {
    "events_tls_root_ca_certificate": "-----BEGIN CERTIFICATE",
    "nats_tls_cert_file": "-----BEGIN CERTIFICATE",
    "nats_tls_key_file": "PRIVATE KEY-----",
}
"""What a file must hold; the NATS client would wait for it forever, or fail without naming it."""


def is_tls_off(settings: Settings) -> bool:
    """Whether TLS to NATS is switched off in so many words: its files are then not even read."""
    said = "events_enable_tls" in settings.model_fields_set and not settings.events_enable_tls
    others = any(parse_address(each).tls for each in settings.events_endpoint)
    return said and not others and not settings.nats_tls_handshake_first


def nats_options(settings: Settings, name: str) -> NatsOptions:
    """How to reach NATS.

    Raises:
        ConfigurationError: a file cannot be read or is not what it should be.
    """
    scheme = "tls" if settings.events_enable_tls else "nats"
    servers = tuple(s if "://" in s else f"{scheme}://{s}" for s in settings.events_endpoint)
    files = dict.fromkeys(PEM_FILES, "")
    if not is_tls_off(settings):
        files = {setting: str(getattr(settings, setting) or "") for setting in PEM_FILES}
    for setting, path in files.items():
        mark = PEM_FILES[setting]
        if path and mark not in read_text_file(variables_of(setting)[-1], Path(path)):
            raise ConfigurationError(
                f"{variables_of(setting)[-1]}={path}: does not contain {mark.strip('- ')!r}"
            )
    options = NatsOptions(
        servers=servers,
        user=settings.events_auth_username,
        password=settings.events_auth_password,
        token_file=str(settings.nats_token_file or ""),
        creds_file=str(settings.nats_creds_file or ""),
        nkey_file=str(settings.nats_nkey_file or ""),
        tls=settings.events_enable_tls,
        tls_insecure=settings.events_tls_insecure,
        tls_handshake_first=settings.nats_tls_handshake_first,
        tls_ca_file=files["events_tls_root_ca_certificate"],
        tls_cert_file=files["nats_tls_cert_file"],
        tls_key_file=files["nats_tls_key_file"],
        inbox_prefix=settings.nats_inbox_prefix,
        name=name,
    )
    _check_credentials(options)
    try:
        tls_context(options)
    except OSError as error:
        named = ", ".join(f"{variables_of(setting)[-1]}={path}" for setting, path in files.items() if path)
        raise ConfigurationError(f"{named}: cannot be used: {error.strerror or error}") from None
    return options


def _check_credentials(options: NatsOptions) -> None:
    """Read the files of credentials once, so that a damaged one stops the start."""
    checks: tuple[tuple[str, str, Callable[[str], object]], ...] = (
        ("nats_creds_file", options.creds_file, lambda path: CredsFile(path).check()),
        # The credentials hold a seed of their own, and count before it.
        (
            "nats_nkey_file",
            "" if options.creds_file else options.nkey_file,
            lambda path: NkeyFile(path).sign("nonce"),
        ),
        ("nats_token_file", options.token_file, read_token),
    )
    for setting, path, check in checks:
        try:
            if path:
                check(path)
        except CredentialsError as error:
            raise ConfigurationError(f"{variables_of(setting)[-1]}={error}") from None
