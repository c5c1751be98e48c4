"""How to reach an API server: addresses, authorities and credentials, before any of them is used."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from uploadpp.core.text import clean
from uploadpp.http.files import read_regular

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
