"""How to reach an API server: addresses, authorities and credentials, before any of them is used."""

import os
import select
import stat
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from uploadpp.core.text import clean

MOST_BYTES = 4 << 20
"""Maximum size of a kubeconfig, a token or a certificate. A larger file is none of these."""
MOST_WORDS = 1000


class ConfigError(Exception):
    """The way to the API server cannot be used; the text names the file, the field and the remedy.

    Names of a kubeconfig and what a plugin has written are in it, so it is cleaned for logs and terminals.
    """

    def __init__(self, text: str) -> None:
        super().__init__(clean(text, MOST_WORDS))


@dataclass(frozen=True, slots=True)
class Source:
    """Bytes from a file that may be renewed at any time, or bytes that are known already."""

    path: Path | None = None
    data: bytes = field(default=b"", repr=False)

    def read(self) -> bytes:
        """The bytes as they are now.

        Raises:
            ConfigError: the file cannot be read.
        """
        return self.data if self.path is None else read_file(self.path)


def read_file(path: Path) -> bytes:
    """The content of a file.

    Raises:
        ConfigError: it cannot be read.
    """
    try:
        return read_regular(path)
    except (OSError, ValueError) as error:
        words = getattr(error, "strerror", None) or error
        raise ConfigError(f"{path} cannot be read: {words}") from None


def read_regular(path: Path, *, pipe_seconds: float = 0) -> bytes:
    """The content of a regular file. A pipe would keep us waiting, and a device may never end.

    With `pipe_seconds` a pipe is read as well, for so long: shells hand one over with `<(command)`.

    Raises:
        OSError: it cannot be read.
        ValueError: it is another kind of file, too large, or a pipe that does not end in time.
    """
    with open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK)) as file:
        mode = os.fstat(file.fileno()).st_mode
        if stat.S_ISREG(mode):
            content = file.read(MOST_BYTES + 1)
        elif stat.S_ISFIFO(mode) and pipe_seconds:
            content = _read_pipe(file.fileno(), pipe_seconds)
        else:
            raise ValueError("it is not a regular file")
    if len(content) > MOST_BYTES:
        raise ValueError(f"it is larger than {MOST_BYTES >> 20} MiB")
    return content


def _read_pipe(descriptor: int, seconds: float) -> bytes:
    deadline, content = time.monotonic() + seconds, bytearray()
    while len(content) <= MOST_BYTES:
        ready, _, _ = select.select([descriptor], [], [], max(deadline - time.monotonic(), 0))
        if not ready:
            raise ValueError(f"it is a pipe, and its writer did not finish within {seconds:g} s")
        part = os.read(descriptor, 65_536)
        if not part:
            break
        content += part
    return bytes(content)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plugin:
    """A program that fetches credentials (`users[].user.exec`)."""

    command: str
    arguments: tuple[str, ...] = field(default=(), repr=False)
    environment: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    version: str
    hint: str = ""
    cluster: Callable[[], dict[str, Any]] | None = None
    asks_person: bool = False
    """Whether it cannot do without a terminal."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """One context of a kubeconfig, or the Pod's account. Secrets do not show in its text."""

    server: str
    namespace: str = ""
    authority: Source | None = None
    insecure: bool = False
    server_name: str = ""
    proxy_url: str = field(default="", repr=False)
    certificate: Source | None = None
    key: Source | None = None
    token: str = field(default="", repr=False)
    token_file: Path | None = None
    basic: tuple[str, str] | None = field(default=None, repr=False)
    headers: tuple[tuple[str, str], ...] = ()
    plugin: Plugin | None = None
    notes: tuple[str, ...] = ()
    """Warnings about fields that are not honoured."""

    @property
    def asks_plugin(self) -> bool:
        """Whether the plugin is asked: to kubectl what is written down counts before what it would give."""
        return self.plugin is not None and not (self.token or self.token_file or self.basic)
