"""Rules about uploads: read from the command line or from a file, and matched."""

import shlex
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, TypeVar
from unicodedata import normalize

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)

from uploadpp.core.states import Outcome
from uploadpp.steps.mime import UNKNOWN
from uploadpp.steps.sizes import parse_size
from uploadpp.steps.upload import Upload

MAX_NAME = 1024
"""Longest name, in characters, for which both forms of an umlaut are equal; storages take 255 bytes."""
ALIASES = {"larger-than": "largerThan", "smaller-than": "smallerThan"}


T = TypeVar("T", bound=BaseModel)


class RuleError(ValueError):
    """A rule cannot be used; the text says which and why."""


def _folded(text: str) -> str:
    """A text in which small and capital letters are alike, and both forms of an umlaut: macOS writes two.

    Marks in the wrong order are sorted in quadratic time, so a text longer than any name keeps its form.
    """
    folded = text.casefold()
    return normalize("NFC", folded) if len(folded) <= MAX_NAME else folded


def _words(value: object) -> object:
    return [value] if isinstance(value, str) else value


def _extensions(value: object) -> object:
    value = _words(value)
    return [_folded(str(each)).lstrip(".") for each in value] if isinstance(value, list) else value


def _size(value: object) -> object:
    return parse_size(value) if isinstance(value, str) else value


Words = Annotated[tuple[str, ...], BeforeValidator(_words)]
Size = Annotated[int, BeforeValidator(_size), Field(ge=0)]


def _final(value: Outcome) -> Outcome:
    if value is Outcome.RETRY:
        raise ValueError("a rule cannot say retry: it would say the same again")
    return value


Final = Annotated[Outcome, AfterValidator(_final)]


class Rule(BaseModel):
    """One rule: it matches when everything it names does, each with any of its values."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    outcome: Final
    message: str = ""
    name: Words = ()
    extension: Annotated[tuple[str, ...], BeforeValidator(_extensions)] = ()
    mime: Words = ()
    user: Words = ()
    largerThan: Size | None = None  # noqa: N815 -- as in the files of Kubernetes
    smallerThan: Size | None = None  # noqa: N815

    @model_validator(mode="after")
    def _check(self) -> "Rule":
        if not self.model_fields_set - {"outcome", "message"}:
            raise ValueError(
                "a rule needs a condition: name, extension, mime, user, largerThan or smallerThan"
            )
        return self

    def matches(self, upload: Upload, mime: str, *, sure: bool = True) -> bool:
        """Whether it is about this upload; `mime` may be empty when no rule asks for it.

        A rule that deletes does not match a type that is not known for sure, unless it names
        application/octet-stream, which means just that.
        """
        # Windows ignores dots and blanks at the end of a name, and so must we.
        filename = _folded(upload.filename).rstrip(". ")
        user = upload.user
        return all(
            (
                not self.name or _any(self.name, filename),
                not self.extension or self._has_extension(filename),
                not self.mime or self._is_of(mime, sure=sure),
                not self.user or any(_any(self.user, each) for each in (user.id, user.username, user.mail)),
                self.largerThan is None or upload.size > self.largerThan,
                self.smallerThan is None or upload.size < self.smallerThan,
            )
        )

    def _has_extension(self, filename: str) -> bool:
        """`.exe` is a program as well, and `a.tar.gz` ends with `gz` and with `tar.gz`."""
        if any(each and filename.endswith(f".{each}") for each in self.extension):
            return True
        return "" in self.extension and not PurePosixPath(filename).suffix

    def _is_of(self, mime: str, *, sure: bool) -> bool:
        if not sure and self.outcome is Outcome.DELETE:
            return mime == UNKNOWN and UNKNOWN in self.mime
        return _any(self.mime, mime)

    @property
    def text(self) -> str:
        """The rule in words, for people who wonder why."""
        conditions = self.model_dump(exclude={"outcome", "message"}, exclude_defaults=True)
        shown = (f"{k} {', '.join(v) if isinstance(v, tuple) else v}" for k, v in conditions.items())
        return self.message or f"a rule forbids {' and '.join(shown)}"


def _any(patterns: tuple[str, ...], value: str) -> bool:
    return any(fnmatchcase(_folded(value), _folded(pattern)) for pattern in patterns)


class Rules(BaseModel):
    """All rules, in order: the first that matches counts."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    rules: tuple[Rule, ...] = ()
    default: Final = Outcome.CONTINUE

    @property
    def need_content(self) -> bool:
        """Whether the bytes must be looked at."""
        return any(rule.mime for rule in self.rules)


def parse_rule(text: str) -> Rule:
    """A rule as on the command line: `delete extension=exe,bat larger-than=1M message='not here'`.

    Raises:
        RuleError: it is none.
    """
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise RuleError(f"{text!r}: {error}") from None
    if not words:
        raise RuleError("a rule is empty")
    values: dict[str, Any] = {"outcome": words[0]}
    for word in words[1:]:
        key, equals, value = word.partition("=")
        if not equals or not value:
            raise RuleError(f"{text!r}: {word!r} is not a condition such as extension=exe,bat")
        name = ALIASES.get(key, key)
        plain = name in {"message", "largerThan", "smallerThan"}
        values[name] = value if plain else [each for each in value.split(",") if each]
    return _checked(Rule, values, repr(text))


def read_rules(path: Path) -> Rules:
    """The rules in a YAML or JSON file.

    Raises:
        RuleError: it cannot be read, or something in it is wrong.
    """
    try:
        content = yaml.safe_load(path.read_text())
    except OSError as error:
        raise RuleError(f"{path}: {error.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise RuleError(f"{path}: is neither YAML nor JSON: {error}") from None
    if not isinstance(content, dict):
        raise RuleError(f"{path}: needs a list `rules`, and perhaps a `default`")
    return _checked(Rules, content, str(path))


def _checked(model: type[T], values: dict[str, Any], where: str) -> T:
    try:
        return model(**values)
    except ValidationError as error:
        lines = []
        for problem in error.errors():
            place = "".join(f"[{each}]" if isinstance(each, int) else f".{each}" for each in problem["loc"])
            message = problem["msg"].removeprefix("Value error, ").removeprefix("Input ")
            lines.append(f"{where}: {place.lstrip('.')}: {message}" if place else f"{where}: {message}")
        raise RuleError("\n".join(lines)) from None
    except TypeError:
        raise RuleError(f"{where}: the names must be strings") from None
