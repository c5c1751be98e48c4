"""Reads settings, and converts them for the core and the clients."""

import argparse
import difflib
import json
import os
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from uploadpp.core.text import clean, hide_credentials
from uploadpp.http.files import read_regular
from uploadpp.process.durations import format_duration
from uploadpp.process.setting_fields import Sourced, is_empty_meant, is_repeatable, is_secret
from uploadpp.process.settings import Settings, is_duration
from uploadpp.process.step_settings import StepSettings
from uploadpp.wire.addresses import parse_address
from uploadpp.wire.connection import NatsOptions, tls_context
from uploadpp.wire.credentials import CredentialsError, CredsFile, NkeyFile, read_token

MAX_SHOWN = 200
"""Maximum number of characters of a value that a message quotes."""
_PLAIN = dict.fromkeys(("dict_type", "model_type"), "must be a JSON object")
"""Words for what pydantic says in those of Python."""
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
                values[name], sources[name] = said, variable
        given = flags.get(name)
        if given is not None:
            values[name], sources[name] = given, flag_of(name)
    for name, value in values.items():
        if isinstance(value, str) and not is_utf8(value):
            raise ConfigurationError(f"{sources[name]}: is not UTF-8")
    for name in JSON_SETTINGS:
        if isinstance(text := values.get(name), str):
            values[name] = _json(text, sources[name])
    try:
        found = model(**values)
    except ValidationError as error:
        raise ConfigurationError(_explain(model, error, values, sources)) from None
    if isinstance(found, Sourced):
        found.note_sources(sources)
    return found


def source_of(settings: Sourced, name: str) -> str:
    """What has set a setting, the variable or the flag; its own variable if it was left alone."""
    return settings.sources.get(name) or variables_of(name, type(settings))[-1]


class _TwiceError(ValueError):
    """A member is in an object twice, and one of the two would be lost."""


def _members(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found: dict[str, object] = {}
    for name, value in pairs:
        if name in found:
            raise _TwiceError(f"{name!r} is there twice; keep one of them")
        found[name] = value
    return found


def _json(text: str, source: str) -> object:
    try:
        return json.loads(text, object_pairs_hook=_members) if text.strip() else {}
    except _TwiceError as error:
        raise ConfigurationError(f"{source}: {clean(str(error), MAX_SHOWN)}") from None
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
            said = f"{sources[name]}:{rest}" if named else _named(model, message, sources)
            lines.append(clean(said))
            continue
        name, *path = (str(part) for part in problem["loc"])
        field = model.model_fields[name]
        if is_duration(name, model) and problem["type"].startswith("greater_than"):
            message = f"is too short; the minimum is {format_duration(_least(problem))}"
        if is_duration(name, model) and problem["type"].startswith("less_than"):
            message = f"is too long; the maximum is {format_duration(problem['ctx']['le'])}"
        value = values[name] if not path else problem["input"]
        shown = f"={_shown(value)}" if field.repr and (not path or isinstance(value, str)) else ""
        place = clean(".".join([sources.get(name, name), *path]), MAX_SHOWN)
        message = _PLAIN.get(problem["type"], message)
        if problem["type"] == "extra_forbidden":
            shown, message = "", _unknown_member(path[-1])
        lines.append(f"{place}{shown}: {clean(hide_credentials(message))}")
    return "\n".join(lines)


def is_utf8(text: str) -> bool:
    """Whether a text of the environment is one; what is not could be in no message and no resource."""
    return not any("\ud800" <= char <= "\udfff" for char in text)


def _shown(value: object) -> str:
    return clean(hide_credentials(repr(value)), MAX_SHOWN)


def _unknown_member(name: str) -> str:
    """About a member of an object in JSON; only objects with the settings of a step have fixed ones."""
    known = list(StepSettings.model_fields)
    close = difflib.get_close_matches(name[:MAX_SHOWN], known, 1)
    return f"is not known; write {close[0]}" if close else f"is not known; there are {', '.join(known)}"


def _least(problem: Any) -> int:  # noqa: ANN401 -- pydantic's error details
    return int(problem["ctx"].get("ge", problem["ctx"].get("gt", 0) + 1))


def _named(model: type[BaseModel], message: str, sources: Mapping[str, str]) -> str:
    for name in model.model_fields:
        if name in message:
            message = message.replace(name, sources.get(name, variables_of(name, model)[-1]))
    return message


def read_named_file(source: str, path: Path) -> bytes:
    """A file that a setting names; `source` is the variable or flag that does.

    Raises:
        ConfigurationError: it cannot be read, or is not a regular file.
    """
    try:
        return read_regular(path)
    except OSError as error:
        raise ConfigurationError(f"{source}={path}: {error.strerror or type(error).__name__}") from None


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
        mark, source = PEM_FILES[setting], source_of(settings, setting)
        # Comments between the certificates may be in any encoding.
        if path and mark.encode() not in read_named_file(source, Path(path)):
            raise ConfigurationError(f"{source}={path}: does not contain {mark.strip('- ')!r}")
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
    _check_credentials(settings, options)
    try:
        tls_context(options)
    except OSError as error:
        named = ", ".join(f"{source_of(settings, each)}={path}" for each, path in files.items() if path)
        raise ConfigurationError(f"{named}: cannot be used: {error.strerror or error}") from None
    return options


def _check_credentials(settings: Settings, options: NatsOptions) -> None:
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
            raise ConfigurationError(f"{source_of(settings, setting)}={error}") from None
