"""Parts of a kubeconfig, which know where they stand, so that an error can say it."""

import binascii
from base64 import b64decode
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from uploadpp.kube.access import ConfigError, Source

T = TypeVar("T")
Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Entry:
    """A cluster, user or context, the file that holds it, and how to name it in an error."""

    name: str
    values: Json = field(repr=False)
    file: Path

    def error(self, key: str, problem: str) -> ConfigError:
        """What to raise about a field."""
        return ConfigError(f"{self.name}{'.' if key else ''}{key} in {self.file}: {problem}")

    def get(self, key: str, kind: type[T], word: str, default: T) -> T:
        """A field of a type; the default when it is absent or null."""
        value = self.values.get(key)
        if value is None:
            return default
        if not isinstance(value, kind):
            hint = "; put it in quotes" if kind is str and isinstance(value, bool | int | float) else ""
            raise self.error(key, f"must be {word}{hint}")
        return value

    def text(self, key: str) -> str:
        """A string."""
        return self.get(key, str, "a string", "")

    def flag(self, key: str) -> bool:
        """Whether something is so."""
        return self.get(key, bool, "true or false", False)

    def child(self, key: str) -> "Entry | None":
        """An object, None when absent."""
        if self.values.get(key) is None:
            return None
        return Entry(f"{self.name}.{key}", self.get(key, dict, "an object", {}), self.file)

    def source(self, key: str) -> Source | None:
        """What a file holds, or the field `…-data` in its place."""
        path, data = self.text(key), self.text(f"{key}-data")
        if path and data:
            raise self.error(key, f"is set as well as {key}-data; kubectl takes only one of them")
        if data:
            try:
                return Source(data=b64decode("".join(data.split()), validate=True))
            except (binascii.Error, ValueError):
                raise self.error(f"{key}-data", "is not base64") from None
        return Source(path=self.file.parent / path) if path else None


def unknown(entry: Entry, known: Collection[str]) -> tuple[str, ...]:
    """Warnings about fields that nobody knows."""
    return tuple(str(entry.error(key, "is not a known field")) for key in entry.values if key not in known)
