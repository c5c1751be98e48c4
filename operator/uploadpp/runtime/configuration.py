"""Reading settings, and turning them into what the core and the clients take."""

import argparse
import json
import os
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from uploadpp.api.limits import MAX_STEP_NAME, is_step_name, is_usable_step
from uploadpp.api.plan import encode_plan
from uploadpp.api.spec import UploadPostprocessingSpec
from uploadpp.core.config import Config
from uploadpp.core.model import DELAY_STEP, Millis, StepPlan
from uploadpp.core.naming import is_label
from uploadpp.core.states import OnTooLarge, RequiredResult
from uploadpp.core.text import clean
from uploadpp.kube.access import ConfigError
from uploadpp.kube.kubeconfig import load_kubeconfig
from uploadpp.runtime.durations import format_duration
from uploadpp.runtime.settings import Settings, is_duration, is_empty_meant, is_repeatable, is_secret
from uploadpp.wire.addresses import parse_address
from uploadpp.wire.connection import NatsOptions, tls_context
from uploadpp.wire.credentials import CredentialsError, CredsFile, NkeyFile, read_token

NAMESPACE_FILE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
MAX_SHOWN = 200
"""Characters of a value that a message quotes."""
STORE_VARIABLES = ("POSTPROCESSING_STORE", "OCIS_PERSISTENT_STORE", "OC_PERSISTENT_STORE")


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
    if isinstance(text := values.get("step_settings"), str):
        values["step_settings"] = _json(text, sources["step_settings"])
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
            message = f"is too short; at least {format_duration(_least(problem))} is needed"
        if is_duration(name, model) and problem["type"].startswith("less_than"):
            message = f"is too long; at most {format_duration(problem['ctx']['le'])} can be used"
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


def notes(settings: Settings, environment: Mapping[str, str] = os.environ) -> list[str]:
    """What a person should know about settings that are valid but do less or more than they say."""
    found = []
    if settings.delay and DELAY_STEP not in settings.steps:
        found.append(
            "POSTPROCESSING_DELAY is set and delay is not among the steps: it is appended as the last one"
        )
    if not settings.steps and not settings.delay:
        found.append("no steps are configured: every upload is released at once")
    found += [
        f"POSTPROCESSING_STEPS: the step name {name!r} has characters other than letters, digits, '.', '_' "
        "and '-'. The step works, but spec.steps is left out of resources and shells do not complete the name"
        for name in settings.steps
        if not is_step_name(name)
    ]
    found += [
        f"{name} no longer matters: resources in Kubernetes are the store"
        for name in environment
        if name.startswith(STORE_VARIABLES)
    ]
    found += _notes_of_tls(settings)
    if any(value % 1000 for value in (settings.delay, settings.retry_backoff_duration, settings.stall_after)):
        found.append("lengths of time are rounded up to whole seconds, the unit of the resource")
    return found


def _notes_of_tls(settings: Settings) -> list[str]:
    if not is_tls_off(settings):
        return []
    return [
        f"{variables_of(name)[-1]} counts for nothing: TLS to NATS is switched off by "
        "POSTPROCESSING_EVENTS_ENABLE_TLS or one of its other names"
        for name in PEM_FILES
        if getattr(settings, name)
    ]


def namespace_of(settings: Settings) -> str:
    """The namespace of the resources.

    Raises:
        ConfigurationError: none is configured and we are not in a Pod, or what is cannot be one.
    """
    if settings.namespace:
        return _checked(settings.namespace, "UPLOADPP_NAMESPACE")
    try:
        named = load_kubeconfig(os.environ).namespace if os.environ.get("KUBECONFIG") else ""
    except ConfigError:
        named = ""  # said when we connect
    if named:
        return _checked(named, "the namespace of KUBECONFIG's context")
    if NAMESPACE_FILE.exists():
        return _checked(NAMESPACE_FILE.read_text(errors="replace").strip(), str(NAMESPACE_FILE))
    raise ConfigurationError(
        "UPLOADPP_NAMESPACE or --namespace is needed outside of a Pod, or a namespace in KUBECONFIG's context"
    )


def _checked(namespace: str, source: str) -> str:
    """A namespace as Kubernetes takes it: it becomes a part of request paths and of subjects of NATS."""
    if not is_label(namespace):
        what = "must be 1 to 63 of a-z, 0-9 and -, and begin and end with a letter or digit"
        raise ConfigurationError(f"{source}={clean(namespace, MAX_SHOWN)}: a namespace {what}")
    return namespace


def sealing_keys(settings: Settings) -> list[str]:
    """The keys that seal resources, the current one first.

    Raises:
        ConfigurationError: there is no file, or no key in it.
    """
    path = settings.sealing_key_file
    if path is None:
        raise ConfigurationError(
            "UPLOADPP_SEALING_KEY_FILE is needed: a file with a key made by `uploadpp generate-key`",
        )
    text = _read("UPLOADPP_SEALING_KEY_FILE", path)
    keys = [line.strip() for line in text.splitlines() if line.strip()]
    if not keys:
        raise ConfigurationError(
            f"UPLOADPP_SEALING_KEY_FILE={path}: holds no key; see `uploadpp generate-key`"
        )
    return keys


def _read(variable: str, path: Path) -> str:
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


def core_config(settings: Settings) -> Config:
    """What the pure core needs to know.

    Raises:
        ConfigurationError: steps that the API server would refuse in every resource.
    """
    names = list(settings.steps)
    if settings.delay and DELAY_STEP not in names:
        names.append(DELAY_STEP)
    steps = tuple(_plan(settings, name) for name in names)
    _check_resource(steps)
    return Config(
        steps=steps,
        max_in_flight={n: own.maxInFlight for n, own in settings.step_settings.items() if own.maxInFlight},
        ready_after=Millis(settings.ready_after),
        unanswered_after=Millis(settings.unanswered_after),
        release_backoff=Millis(settings.release_backoff),
        ttl_completed=Millis(settings.ttl_completed),
        ttl_failed=Millis(settings.ttl_failed),
    )


def _check_resource(steps: tuple[StepPlan, ...]) -> None:
    """Hold the steps against the models that the CRD is made of, before the first upload does."""
    for step in steps:
        if not is_usable_step(step.name):
            raise ConfigurationError(
                f"steps.{step.name!r}: a step name must have 1 to {MAX_STEP_NAME} characters, without spaces "
                "and commas"
            )
    # An odd name is left out of the spec, but the numbers of its step are checked all the same.
    named = tuple(replace(step, name=f"step-{index}") for index, step in enumerate(steps))
    try:
        UploadPostprocessingSpec.model_validate(
            {"upload": {"id": "-", "receivedTime": "2026-01-01T00:00:00Z"}, **encode_plan(named)},
            strict=False,
        )
    except ValidationError as error:
        problem = error.errors()[0]
        path = [steps[part].name if isinstance(part, int) else str(part) for part in problem["loc"]]
        raise ConfigurationError(f"{'.'.join(path)}={problem['input']!r}: {problem['msg']}") from None
    for step in steps:
        if step.backoff > step.max_backoff:
            raise ConfigurationError(f"step {step.name}: its back-off is longer than the longest allowed one")


def _plan(settings: Settings, name: str) -> StepPlan:
    own = settings.step_settings.get(name)

    def pick(value: int | None, default: int) -> Millis:
        return Millis(value * 1000 if value is not None else _whole(default))

    timeout = own.timeoutSeconds if own else None
    retries = own.maxRetries if own else None
    return StepPlan(
        name=name,
        timeout=Millis(timeout * 1000) if timeout else None,
        stall_after=pick(own.stallAfterSeconds if own else None, settings.stall_after),
        max_retries=settings.max_retries if retries is None else retries,
        backoff=pick(own.backoffSeconds if own else None, settings.retry_backoff_duration),
        max_backoff=pick(own.maxBackoffSeconds if own else None, settings.max_backoff),
        on_exhausted=(own.onExhausted if own else None) or settings.on_exhausted,
        delay=_whole(settings.delay) if name == DELAY_STEP else Millis(0),
        max_filesize=own.maxFilesize if own else None,
        on_too_large=(own.onTooLarge if own else None) or OnTooLarge.SKIP,
        require_result=(own.requireResult if own else None) or RequiredResult.OPTIONAL,
    )


def _whole(milliseconds: int) -> Millis:
    """Rounded up to whole seconds, the unit of the resource, so that a restart changes nothing."""
    return Millis(-(-milliseconds // 1000) * 1000)


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
        if path and mark not in _read(variables_of(setting)[-1], Path(path)):
            raise ConfigurationError(f"{variables_of(setting)[-1]}={path}: holds no {mark.strip('- ')!r}")
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
        raise ConfigurationError(f"the certificates for NATS cannot be used: {error}") from None
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
