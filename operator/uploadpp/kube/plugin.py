"""Runs a credential plugin (`users[].user.exec`), as kubectl does, but without a terminal."""

import json
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from uploadpp.api.timestamps import parse_time
from uploadpp.kube.access import ConfigError, Plugin

SECONDS = 60.0
"""Nobody waits longer for a plugin."""
QUOTED = 200
"""So much of what a failed plugin has written is quoted."""
KIND = "ExecCredential"


@dataclass(frozen=True, slots=True)
class Issued:
    """What a plugin has given."""

    token: str = field(default="", repr=False)
    certificate: bytes = b""
    key: bytes = field(default=b"", repr=False)
    expires_at: float = float("inf")
    """Seconds since the epoch."""


def run_plugin(plugin: Plugin, environment: Mapping[str, str]) -> Issued:
    """Run a plugin and take what it gives.

    Raises:
        ConfigError: it cannot be run, fails, or answers something else.
    """
    spec: dict[str, Any] = {"interactive": False}
    if plugin.cluster is not None:
        spec["cluster"] = plugin.cluster()
    info = json.dumps({"apiVersion": plugin.version, "kind": KIND, "spec": spec})
    try:
        done = subprocess.run(  # noqa: S603 -- the kubeconfig's owner chooses it
            [plugin.command, *plugin.arguments],
            env={**environment, **dict(plugin.environment), "KUBERNETES_EXEC_INFO": info},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise ConfigError(f"exec {plugin.command}: did not end within {SECONDS:.0f} s") from None
    except (OSError, ValueError) as error:
        hint = f" ({' '.join(plugin.hint.split())})" if plugin.hint else ""
        words = getattr(error, "strerror", None) or type(error).__name__
        raise ConfigError(f"exec {plugin.command}: {words}{hint}") from None
    if done.returncode:
        said = " ".join(done.stderr.decode("utf-8", "replace").split())[-QUOTED:]
        raise ConfigError(f"exec {plugin.command}: ended with status {done.returncode}: {said}")
    try:
        return _issued(json.loads(done.stdout), plugin.version)
    except ValueError as error:
        problem = "its answer is not JSON" if isinstance(error, json.JSONDecodeError) else error
        raise ConfigError(f"exec {plugin.command}: {problem}") from None


def _issued(answer: object, version: str) -> Issued:
    """What an answer holds. Errors never quote it.

    Raises:
        ValueError: it is not what the protocol asks for.
    """
    if not isinstance(answer, dict) or answer.get("kind") != KIND:
        raise ValueError(f"its answer is not an {KIND}")
    if answer.get("apiVersion") != version:
        raise ValueError(f"its answer is not of the version {version}")
    status = answer.get("status") or {}
    names = ("token", "clientCertificateData", "clientKeyData", "expirationTimestamp")
    if not isinstance(status, dict) or not all(isinstance(status.get(name) or "", str) for name in names):
        raise ValueError("its answer has a status of the wrong form")
    token, certificate, key, expiry = (status.get(name) or "" for name in names)
    if bool(certificate) is not bool(key):
        raise ValueError("its answer has a certificate or a key, not both")
    if not token and not certificate:
        raise ValueError("its answer has neither a token nor a certificate")
    try:
        expires_at = parse_time(expiry) / 1000 if expiry else float("inf")
    except ValueError:
        raise ValueError("its expirationTimestamp is not a time") from None
    return Issued(token.strip(), certificate.encode(), key.encode(), expires_at)
