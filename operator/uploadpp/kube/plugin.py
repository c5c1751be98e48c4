"""Runs a credential plugin (`users[].user.exec`), as kubectl does, but without a terminal."""

import errno
import json
import os
import selectors
import shutil
import subprocess
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import yaml

from uploadpp.api.timestamps import parse_time
from uploadpp.kube.access import ConfigError, Plugin
from uploadpp.kube.goyaml import documents

SECONDS = 60.0
"""Timeout for a plugin."""
QUOTED = 200
"""Characters of a failed plugin's output that an error quotes."""
MOST_BYTES = 1 << 20
"""Of an answer, and of what a plugin is told of the cluster."""
MOST_YAML_BYTES = 1 << 16
"""Of an answer that is not JSON; reading YAML takes long."""
KIND = "ExecCredential"
_UNREADABLE = object()


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
    try:
        info = _bounded({"apiVersion": plugin.version, "kind": KIND, "spec": spec})
        program = _find(plugin.command, environment)
        done = _run(
            plugin, program, {**environment, **dict(plugin.environment), "KUBERNETES_EXEC_INFO": info}
        )
    except subprocess.TimeoutExpired:
        raise ConfigError(f"exec {plugin.command}: did not end within {SECONDS:.0f} s") from None
    except (OSError, ValueError) as error:
        hint = f" ({' '.join(plugin.hint.split())})" if plugin.hint else ""
        words = getattr(error, "strerror", None) or error
        raise ConfigError(f"exec {plugin.command}: {words}{hint}") from None
    if done.returncode:
        said = " ".join(done.stderr.decode("utf-8", "replace").split())[-QUOTED:]
        raise ConfigError(f"exec {plugin.command}: ended with status {done.returncode}: {said}")
    try:
        return _issued(_read_answer(done.stdout), plugin.version)
    except ValueError as error:
        raise ConfigError(f"exec {plugin.command}: {error}") from None


def _read_answer(text: bytes) -> object:
    """What a plugin has written: JSON or, as kubectl takes it as well, YAML.

    Raises:
        ValueError: it is neither.
    """
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        found = _UNREADABLE
    if len(text) <= MOST_YAML_BYTES and not text.lstrip().startswith(b"{"):
        with suppress(yaml.YAMLError, RecursionError, ValueError, ArithmeticError, LookupError, TypeError):
            found = next(documents(text), None) or _UNREADABLE
    if found is _UNREADABLE:
        raise ValueError("its answer is not JSON")
    return found


def _find(command: str, environment: Mapping[str, str]) -> str:
    """The file of a command. As in Go, its own `env` has no say in where it is looked for.

    Raises:
        OSError: it is not there.
    """
    if os.sep in command:
        return command
    found = shutil.which(command, path=environment.get("PATH", os.defpath))
    if found is None:
        raise FileNotFoundError(errno.ENOENT, "no such program in the folders of PATH")
    return found


def _run(plugin: Plugin, program: str, environment: Mapping[str, str]) -> subprocess.CompletedProcess[bytes]:
    """Run it and keep what it writes, within bounds: of its standard error the end.

    Raises:
        ConfigError: its answer does not end.
        TimeoutExpired: it does not end.
    """
    command, deadline = [plugin.command, *plugin.arguments], time.monotonic() + SECONDS
    answer, said = bytearray(), bytearray()
    with (
        subprocess.Popen(  # noqa: S603 -- the kubeconfig's owner chooses it
            command,
            executable=program,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        ) as process,
        selectors.DefaultSelector() as pipes,
    ):
        try:
            for pipe, kept in ((process.stdout, answer), (process.stderr, said)):
                assert pipe is not None  # noqa: S101 -- it is a pipe
                pipes.register(pipe, selectors.EVENT_READ, kept)
            while pipes.get_map() and len(answer) <= MOST_BYTES:
                _read(pipes, deadline)
                del said[: -4 * QUOTED]
            if len(answer) <= MOST_BYTES:
                process.wait(max(deadline - time.monotonic(), 0))
        finally:
            process.kill()  # nothing, where it has ended
    if len(answer) > MOST_BYTES:
        raise ConfigError(f"exec {plugin.command}: its answer is larger than {MOST_BYTES} bytes")
    return subprocess.CompletedProcess(command, process.returncode, bytes(answer), bytes(said))


def _read(pipes: selectors.BaseSelector, deadline: float) -> None:
    """Take what has been written; what is at its end is not waited for again."""
    ready = pipes.select(max(deadline - time.monotonic(), 0))
    if not ready:
        raise subprocess.TimeoutExpired("a plugin", SECONDS)
    for key, _ in ready:
        part = os.read(key.fd, 65_536)
        key.data.extend(part)
        if not part:
            pipes.unregister(key.fileobj)


def _bounded(info: object) -> str:
    """JSON of what a plugin is told. Aliases can make little YAML into much JSON, or into a ring.

    Raises:
        ValueError: it is too much, or cannot be JSON.
    """
    parts, left = list[str](), MOST_BYTES
    try:
        for part in json.JSONEncoder().iterencode(info):
            parts.append(part)
            left -= len(part)
            if left < 0:
                raise ValueError("too large")  # noqa: TRY301
    except (ValueError, TypeError, RecursionError):
        raise ValueError("the kubeconfig's extensions for it cannot be passed on") from None
    return "".join(parts)


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
