"""Reads one JSON object of a resource field by field, with errors that name the field.

The API server checks types and limits of the spec, but not those of the status, and an older
or newer CRD may leave something that this version cannot make sense of.
"""

from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Any, TypeVar

from uploadpp.api.timestamps import parse_time
from uploadpp.core.model import Millis

Word = TypeVar("Word", bound=StrEnum)
NOTHING: Mapping[str, Any] = {}


class InvalidResourceError(ValueError):
    """A resource that this version of the operator cannot read; `field` says where."""

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(f"{field}: {problem}")
        self.field = field
        self.problem = problem


class UnknownWordError(InvalidResourceError):
    """A field holds another word than those of this version."""


class FieldReader:
    """The fields of one object; an absent or null field has the given default."""

    __slots__ = ("_values", "path")

    def __init__(self, values: object, path: str) -> None:
        if not isinstance(values, dict | Mapping):  # dict first: the other takes ten times as long
            raise InvalidResourceError(path, f"must be an object, not {values!r}")
        self._values = values
        self.path = path

    def __contains__(self, name: str) -> bool:
        return self._values.get(name) is not None

    def __bool__(self) -> bool:
        return bool(self._values)

    def text(self, name: str, default: str = "") -> str:
        """A string."""
        value = self._values.get(name)
        if value is None:
            return default
        if not isinstance(value, str):
            raise self.error(name, f"must be a string, not {value!r}")
        return value

    def number(self, name: str, default: int = 0) -> int:
        """A whole number, not below zero."""
        value = self._values.get(name)
        if value is None:
            return default
        if not isinstance(value, int) or isinstance(value, bool):
            raise self.error(name, f"must be a whole number, not {value!r}")
        if value < 0:
            raise self.error(name, f"must not be negative, as {value} is")
        return value

    def optional_number(self, name: str) -> int | None:
        """A whole number, or None when absent."""
        return self.number(name) if name in self else None

    def time(self, name: str) -> Millis | None:
        """A time, or None when absent."""
        text = self.text(name)
        try:
            return parse_time(text) if text else None
        except ValueError as error:
            raise self.error(name, f"{text!r} is not an RFC 3339 time") from error

    def word(self, name: str, kind: type[Word], default: Word) -> Word:
        """One of the words of an enumeration."""
        return self.optional_word(name, kind) or default

    def optional_word(self, name: str, kind: type[Word]) -> Word | None:
        """One of the words of an enumeration, or None when absent."""
        text = self.text(name)
        if not text:
            return None
        try:
            return kind(text)
        except ValueError as error:
            known = self.error(name, f"{text!r} is none of {', '.join(kind)}")
            raise UnknownWordError(known.field, known.problem) from error

    def child(self, name: str) -> "FieldReader":
        """An object, empty when absent."""
        value = self._values.get(name)
        return FieldReader(NOTHING if value is None else value, f"{self.path}.{name}" if self.path else name)

    def children(self, name: str) -> Iterator["FieldReader"]:
        """The objects of a list, none when absent."""
        values = self._values.get(name) or ()
        if not isinstance(values, list | tuple):
            raise self.error(name, f"must be a list, not {values!r}")
        for index, value in enumerate(values):
            yield FieldReader(value, f"{self.path}.{name}[{index}]")

    def error(self, name: str, problem: str) -> InvalidResourceError:
        """What to raise about a field."""
        return InvalidResourceError(f"{self.path}.{name}" if self.path else name, problem)
