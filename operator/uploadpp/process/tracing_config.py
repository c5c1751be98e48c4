"""Whether and where to traces are sent, by the standard variables or by those of the legacy service.

Nothing of OpenTelemetry is loaded unless they are.
"""

import logging
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

from uploadpp.core.text import clean
from uploadpp.process.configuration import ConfigurationError
from uploadpp.process.setting_types import OTLP_GRPC_PORT, TracingType
from uploadpp.process.settings import Settings

log = logging.getLogger(__name__)

if TYPE_CHECKING:
    from uploadpp.process.otlp import Otlp

DEFAULT = "http://localhost:4318"
PATH = "/v1/traces"
OTLP, NONE = "otlp", "none"
_ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")


def endpoint(settings: Settings, environment: Mapping[str, str] = os.environ) -> str | None:
    """The URL that traces are sent to; None without tracing."""
    exporters = _exporters(environment)
    disabled = environment.get("OTEL_SDK_DISABLED", "").strip().lower() == "true"
    if disabled or (exporters and OTLP not in exporters):
        return None
    for name in _ENDPOINTS:
        if value := environment.get(name, "").strip():
            return value if name == _ENDPOINTS[0] else value.rstrip("/") + PATH
    if settings.tracing_enabled and settings.tracing_type == TracingType.OTLP:
        return (settings.tracing_endpoint or DEFAULT) + PATH
    return DEFAULT + PATH if exporters else None


def _exporters(environment: Mapping[str, str]) -> list[str]:
    """What OTEL_TRACES_EXPORTER lists; `none` beside others is none."""
    words = [word.strip().lower() for word in environment.get("OTEL_TRACES_EXPORTER", "").split(",")]
    return [NONE] if NONE in words else [word for word in words if word]


def notes(settings: Settings, environment: Mapping[str, str] = os.environ) -> list[str]:
    """Warnings about settings of tracing that mean something else here."""
    found = []
    if settings.tracing_enabled and settings.tracing_type == TracingType.JAEGER:
        found.append("traces are not sent: OCIS_TRACING_TYPE must be otlp, which Jaeger accepts as well")
    unknown = [clean(word, 63) for word in _exporters(environment) if word not in {OTLP, NONE}]
    if unknown:
        sent = "traces are sent with otlp only" if OTLP in _exporters(environment) else "traces are not sent"
        found.append(
            f"{sent}: OTEL_TRACES_EXPORTER has {', '.join(unknown)}, which is not supported; use otlp"
        )
    url = endpoint(settings, environment) or ""
    if url and not url.startswith(("http://", "https://")):
        found.append(f"traces cannot be sent to {url}: use a URL such as {DEFAULT}")
    elif f":{OTLP_GRPC_PORT}/" in url:
        found.append(
            f"traces are sent to {url}, but {OTLP_GRPC_PORT} is usually the collector's port for gRPC"
        )
    protocol = environment.get("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL") or environment.get(
        "OTEL_EXPORTER_OTLP_PROTOCOL", ""
    )
    if protocol not in {"", "http/protobuf"} and url:
        found.append(f"traces are sent as http/protobuf; OTEL_EXPORTER_OTLP_PROTOCOL={protocol} is ignored")
    return found


def open_otlp(settings: Settings, service: str, attributes: Mapping[str, str]) -> "Otlp | None":
    """The client for the collector; None without tracing.

    Raises:
        ConfigurationError: OpenTelemetry is not installed.
    """
    url = endpoint(settings)
    if url is None:
        return None
    try:
        from uploadpp.process.otlp import Otlp  # noqa: PLC0415 -- costs 30 MB and half a second
    except ImportError as error:
        text = f"traces cannot be sent without {error.name}; install uploadpp[tracing]"
        raise ConfigurationError(text) from None
    try:
        return Otlp(url, service, attributes)
    except ValueError as error:  # a number that the library refuses; no reason to process no uploads
        log.warning("traces are not sent: %s; correct the OTEL_... variable that sets this", error)
        return None
