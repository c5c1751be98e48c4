"""What the operator and its tools derive from the settings: configuration of the core, namespace, keys."""

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from pydantic import ValidationError

from uploadpp.api.field_types import MAX_STEP_NAME, is_step_name, is_usable_step
from uploadpp.api.plan import encode_plan
from uploadpp.api.spec import UploadPostprocessingSpec
from uploadpp.core.config import Config
from uploadpp.core.model import DELAY_STEP, Millis, StepPlan
from uploadpp.core.naming import is_label
from uploadpp.core.shares import SharePolicy
from uploadpp.core.states import OnTooLarge, RequiredResult
from uploadpp.core.text import clean
from uploadpp.kube.access import ConfigError
from uploadpp.kube.kubeconfig import load_kubeconfig
from uploadpp.process.configuration import (
    MAX_SHOWN,
    PEM_FILES,
    ConfigurationError,
    is_tls_off,
    read_named_file,
    source_of,
)
from uploadpp.process.setting_types import Policies
from uploadpp.process.settings import Settings

NAMESPACE_FILE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
STORE_VARIABLES = ("POSTPROCESSING_STORE", "OCIS_PERSISTENT_STORE", "OC_PERSISTENT_STORE")


def notes(settings: Settings, environment: Mapping[str, str] = os.environ) -> list[str]:
    """Warnings about settings that are valid but do less or more than they seem to."""
    found = []
    if settings.delay and DELAY_STEP not in settings.steps:
        found.append(
            f"{source_of(settings, 'delay')} is set and delay is not among the steps: it is appended as the "
            "last one"
        )
    if not settings.steps and not settings.delay:
        found.append("no steps are configured: every upload is released at once")
    found += [
        f"{source_of(settings, 'steps')}: the step name {name!r} has characters other than letters, digits, "
        "'.', '_' and '-'. The step works, but spec.steps is left out of resources and shells do not "
        "complete the name"
        for name in settings.steps
        if not is_step_name(name)
    ]
    found += [
        f"{source_of(settings, 'step_settings')}: {name!r} is not among POSTPROCESSING_STEPS, so an "
        "upload runs it only if a policy lists it"
        for name in settings.step_settings
        if name not in {*settings.steps, DELAY_STEP}
    ]
    found += [
        f"{name} has no effect: uploads are stored as resources in Kubernetes"
        for name in environment
        if name.startswith(STORE_VARIABLES)
    ]
    if settings.webhook_cert_file is not None and settings.policies is Policies.DISABLED:
        name = source_of(settings, "webhook_cert_file")
        found.append(f"{name} has no effect without UPLOADPP_POLICIES=enabled")
    found += _notes_of_tls(settings)
    if any(value % 1000 for value in (settings.delay, settings.retry_backoff_duration, settings.stall_after)):
        found.append("durations are rounded up to whole seconds, the unit of the resource")
    return found


def _notes_of_tls(settings: Settings) -> list[str]:
    if not is_tls_off(settings):
        return []
    switch = source_of(settings, "events_enable_tls")
    return [
        f"{source_of(settings, name)} has no effect: TLS to NATS is disabled by {switch}"
        for name in PEM_FILES
        if getattr(settings, name)
    ]


def namespace_of(settings: Settings) -> str:
    """The namespace of the resources.

    Raises:
        ConfigurationError: none is configured and we are not in a Pod, or what is cannot be one.
    """
    if settings.namespace:
        return _checked(settings.namespace, source_of(settings, "namespace"))
    try:
        named = load_kubeconfig(os.environ).namespace if os.environ.get("KUBECONFIG") else ""
    except ConfigError as error:
        raise ConfigurationError(f"KUBECONFIG cannot be used: {error}") from None
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
        what = "must have 1 to 63 characters a-z, 0-9 and '-', and must begin and end with a letter or digit"
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
            "UPLOADPP_SEALING_KEY_FILE is required: a file with a key from `uploadpp generate-key`",
        )
    source = source_of(settings, "sealing_key_file")
    try:
        text = read_named_file(source, path).decode()
    except UnicodeDecodeError:
        raise ConfigurationError(f"{source}={path}: is not a text file") from None
    keys = [line.strip() for line in text.splitlines() if line.strip()]
    if not keys:
        raise ConfigurationError(f"{source}={path}: contains no key; see `uploadpp generate-key`")
    return keys


def core_config(settings: Settings) -> Config:
    """What the pure core needs to know.

    Raises:
        ConfigurationError: steps that the API server would refuse in every resource.
    """
    names = list(settings.steps)
    if settings.delay and DELAY_STEP not in names:
        names.append(DELAY_STEP)
    steps = tuple(_plan(settings, name) for name in names)
    others = tuple(
        _plan(settings, name) for name in settings.step_settings if name not in {*names, DELAY_STEP}
    )
    _check_resource((*steps, *others))
    return Config(
        steps=steps,
        unlisted_steps=others,
        other_step=_plan(settings, "other"),
        max_in_flight={n: own.maxInFlight for n, own in settings.step_settings.items() if own.maxInFlight},
        min_in_flight={n: own.minInFlight for n, own in settings.step_settings.items() if own.minInFlight},
        breaker_after={n: own.breakerAfter for n, own in settings.step_settings.items() if own.breakerAfter},
        shares=SharePolicy(
            by=settings.fair_share,
            weights=settings.share_weights,
            classes=settings.priority_classes,
            small_first=settings.small_first,
        ),
        ready_after=Millis(settings.ready_after),
        unanswered_after=Millis(settings.unanswered_after),
        order_timeout=Millis(settings.order_timeout),
        release_backoff=Millis(settings.release_backoff),
        ttl_completed=Millis(settings.ttl_completed),
        ttl_failed=Millis(settings.ttl_failed),
    )


def _check_resource(steps: tuple[StepPlan, ...]) -> None:
    """Validate the steps against the models of the CRD at the start, not at the first upload."""
    for step in steps:
        if not is_usable_step(step.name):
            raise ConfigurationError(
                f"steps.{step.name!r}: a step name must have 1 to {MAX_STEP_NAME} characters, without spaces "
                "and commas"
            )
    # An odd name is left out of the spec, but the numbers of its step are checked anyway.
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
            raise ConfigurationError(f"step {step.name}: backoffSeconds is longer than maxBackoffSeconds")


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
