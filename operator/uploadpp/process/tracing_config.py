"""Whether and where to traces are sent, by the standard variables or by those of the legacy service.

Nothing of OpenTelemetry is loaded unless they are.
"""

import logging
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from uploadpp.core.text import clean
from uploadpp.http.hosts import is_encodable
from uploadpp.process.configuration import ConfigurationError, source_of
from uploadpp.process.setting_types import OTLP_GRPC_PORT, OTLP_PATH, OTLP_PORT, TracingType
from uploadpp.process.settings import Settings

log = logging.getLogger(__name__)

if TYPE_CHECKING:
    from uploadpp.process.otlp import Otlp

DEFAULT = "http://localhost:4318"
SCHEMES = ("http://", "https://")
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
            return value if name == _ENDPOINTS[0] else _complete(value)
    if settings.tracing_enabled and settings.tracing_type == TracingType.OTLP:
        return _complete(settings.tracing_endpoint or DEFAULT)
    return DEFAULT + OTLP_PATH if exporters else None


def _complete(address: str) -> str:
    """The URL for traces; many write the whole of it."""
    return address.rstrip("/").removesuffix(OTLP_PATH) + OTLP_PATH


def _problem(url: str) -> str:
    """Why no traces can be sent there, as the end of a sentence; empty if they can, or shall not be."""
    if not url:
        return ""
    try:
        parts = urlsplit(url)
        name, _ = parts.hostname or "", parts.port
    except ValueError:
        name = ""
    if not name or not is_encodable(name) or not url.startswith(SCHEMES):
        return f"must be a URL such as {DEFAULT}"
    if "?" in url or "#" in url:  # which errors would quote
        return "has text behind its path; a key belongs into OTEL_EXPORTER_OTLP_HEADERS"
    return ""


def _exporters(environment: Mapping[str, str]) -> list[str]:
    """What OTEL_TRACES_EXPORTER lists; `none` beside others is none."""
    words = [word.strip().lower() for word in environment.get("OTEL_TRACES_EXPORTER", "").split(",")]
    return [NONE] if NONE in words else [word for word in words if word]


def notes(settings: Settings, environment: Mapping[str, str] = os.environ) -> list[str]:
    """Warnings about settings of tracing that mean something else here."""
    found = []
    if settings.tracing_enabled and settings.tracing_type == TracingType.JAEGER:
        name = source_of(settings, "tracing_type")
        found.append(f"traces are not sent: {name} must be otlp, which Jaeger accepts as well")
    unknown = [clean(word, 63) for word in _exporters(environment) if word not in {OTLP, NONE}]
    if unknown:
        sent = "traces are sent with otlp only" if OTLP in _exporters(environment) else "traces are not sent"
        found.append(
            f"{sent}: OTEL_TRACES_EXPORTER has {', '.join(unknown)}, which is not supported; use otlp"
        )
    url = endpoint(settings, environment) or ""
    if problem := _problem(url):
        # What it is instead is not shown: it may have a login or a key.
        name = next(name for name in _ENDPOINTS if environment.get(name, "").strip())
        found.append(f"traces are not sent: {name} {problem}")
    elif url and urlsplit(url).port == OTLP_GRPC_PORT:
        found.append(
            f"traces are sent to {urlsplit(url).hostname}:{OTLP_GRPC_PORT}, which is usually the collector's "
            f"port for gRPC; use {OTLP_PORT}, its port for HTTP"
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
    if url is None or _problem(url):  # the notes say so
        return None
    try:
        from uploadpp.process.otlp import Otlp  # noqa: PLC0415 -- costs 30 MB and half a second
    except ImportError as error:
        text = f"traces cannot be sent without {error.name}; install uploadpp[tracing]"
        raise ConfigurationError(text) from None
    except ValueError as error:  # some variables are read while it loads
        _say_refused(error)
        return None
    try:
        return Otlp(url, service, attributes)
    except ValueError as error:
        _say_refused(error)
        return None


def _say_refused(error: ValueError) -> None:
    """A number that the library refuses; no reason to process no uploads."""
    log.warning("traces are not sent: %s; correct the OTEL_... variable that sets this", error)
