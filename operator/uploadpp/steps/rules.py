"""Rules about uploads: read from the command line or from a file, and matched."""

import shlex
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, TypeVar

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

from uploadpp.core.composition import composed
from uploadpp.core.states import Outcome
from uploadpp.http.files import read_regular
from uploadpp.process.setting_types import lower
from uploadpp.steps.mime import UNKNOWN
from uploadpp.steps.sizes import parse_size
from uploadpp.steps.upload import Upload

PIPE_SECONDS = 10.0
"""How long `--rules-file <(command)` may take."""
ALIASES = {"larger-than": "largerThan", "smaller-than": "smallerThan"}
OTHER_NAMES = {
    "application/java-archive": ("application/x-java-archive",),
    "application/gzip": ("application/x-gzip",),
    "application/rtf": ("text/rtf",),
    "application/vnd.ms-cab-compressed": ("application/x-cab",),
    "application/x-7z-compressed": ("application/x-7zip",),
    "application/x-bzip2": ("application/bzip2", "application/x-bzip"),
    "application/x-deb": ("application/vnd.debian.binary-package",),
    "application/x-executable": (
        "application/x-elf",
        "application/x-pie-executable",
        "application/x-sharedlib",
    ),
    "application/x-msdownload": (
        "application/exe",
        "application/vnd.microsoft.portable-executable",
        "application/x-dosexec",
        "application/x-exe",
    ),
    "application/x-rar-compressed": ("application/vnd.rar", "application/x-rar"),
    "application/x-sqlite3": ("application/vnd.sqlite3",),
    "application/zip": ("application/x-zip", "application/x-zip-compressed"),
    "audio/midi": ("audio/x-midi",),
    "audio/mp4": ("audio/m4a", "audio/x-m4a"),
    "audio/mpeg": ("audio/mp3", "audio/x-mpeg"),
    "audio/x-aiff": ("audio/aiff",),
    "audio/x-flac": ("audio/flac",),
    "audio/x-wav": ("audio/vnd.wave", "audio/wav", "audio/wave"),
    "image/bmp": ("image/x-bmp", "image/x-ms-bmp"),
    "image/jpeg": ("image/jpg", "image/pjpeg"),
    "image/x-icon": ("image/vnd.microsoft.icon",),
    "text/xml": ("application/xml",),
    "video/x-msvideo": ("video/avi", "video/msvideo", "video/vnd.avi"),
}
"""What other programs call the types that the step tells apart. A rule may use either name."""
_OURS = {other: ours for ours, others in OTHER_NAMES.items() for other in others}


T = TypeVar("T", bound=BaseModel)


class RuleError(ValueError):
    """A rule cannot be used; the text says which and why."""


def _folded(text: str) -> str:
    """A text in which small and capital letters are alike, and both forms of an umlaut: macOS writes two."""
    return composed(text.casefold())


def _words(value: object) -> object:
    return [value] if isinstance(value, str) else value


def _extensions(value: tuple[str, ...]) -> tuple[str, ...]:
    """As names end: without a dot before it, and `*.exe` is meant as `exe`."""
    found = tuple(_folded(each).strip().removeprefix("*.").strip(". ") for each in value)
    for each in found:
        if any(sign in each for sign in "*?[,;/ "):
            raise ValueError(
                f"{each!r} is not one extension; list several one by one, and use name for patterns"
            )
    return found


def _types(value: tuple[str, ...]) -> tuple[str, ...]:
    """In the words of `guess`."""
    found = tuple(each.strip().casefold() for each in value)
    for each in found:
        if ";" in each or ("/" not in each and not any(sign in each for sign in "*?[")):
            raise ValueError(f"{each!r} is not a type such as image/png or image/*")
    return tuple(_OURS.get(each, each) for each in found)


def _size(value: object) -> object:
    if isinstance(value, bool):
        raise ValueError("is not a size such as 500, 25M, 100MB or 1GiB")  # noqa: TRY004 -- pydantic reports this one
    return parse_size(value) if isinstance(value, str) else value


Words = Annotated[tuple[str, ...], BeforeValidator(_words)]
Extensions = Annotated[Words, AfterValidator(_extensions)]
Types = Annotated[Words, AfterValidator(_types)]
Size = Annotated[int, BeforeValidator(_size), Field(ge=0)]


def _final(value: Outcome) -> Outcome:
    if value is Outcome.RETRY:
        raise ValueError("a rule cannot say retry: it would say the same again")
    return value


Final = Annotated[Outcome, BeforeValidator(lower), AfterValidator(_final)]


class Rule(BaseModel):
    """One rule: it matches when everything it names does, each with any of its values."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    outcome: Final
    message: str = ""
    name: Words = ()
    extension: Extensions = ()
    mime: Types = ()
    user: Words = ()
    largerThan: Size | None = None  # noqa: N815 -- as in the files of Kubernetes
    smallerThan: Size | None = None  # noqa: N815

    @model_validator(mode="after")
    def _check(self) -> "Rule":
        conditions = self.model_fields_set - {"outcome", "message"}
        if not conditions:
            raise ValueError(
                "a rule needs a condition: name, extension, mime, user, largerThan or smallerThan"
            )
        for name in sorted(conditions):
            if getattr(self, name) in {(), None}:  # it would match everything
                raise ValueError(f"{name} is empty; give it a value, or leave it out")
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

    @property
    def sizes(self) -> tuple[int, ...]:
        """All sizes with which files are compared."""
        found = [size for rule in self.rules for size in (rule.largerThan, rule.smallerThan)]
        return tuple(size for size in found if size is not None)


class _Texts(yaml.SafeLoader):
    """A word is the text that is written: in YAML `no` would be false, 001 the number 1, and 1:30 be 90."""

    yaml_implicit_resolvers = {  # noqa: RUF012 -- as in the library
        first: [each for each in resolvers if each[0].endswith((":null", ":merge"))]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:  # noqa: FBT001, FBT002 -- as in the library
        """A mapping in which no name stands twice: the first one would not count."""
        seen = set()
        for name in (each.value for each, _ in node.value if isinstance(each, yaml.ScalarNode)):
            if name in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"{name!r} stands there twice", node.start_mark
                )
            seen.add(name)
        return super().construct_mapping(node, deep)


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
        if name in values:
            raise RuleError(f"{text!r}: {key} is given twice; separate its values with commas")
        plain = name in {"message", "largerThan", "smallerThan"}
        values[name] = value if plain else [each for each in value.split(",") if each]
    return _checked(Rule, values, repr(text))


def read_rules(path: Path) -> Rules:
    """The rules in a YAML or JSON file.

    Raises:
        RuleError: it cannot be read, or something in it is wrong.
    """
    try:
        content = yaml.load(read_regular(path, pipe_seconds=PIPE_SECONDS).decode(), _Texts)  # noqa: S506 -- a safe one
    except OSError as error:
        raise RuleError(f"{path}: {error.strerror}") from None
    except RecursionError:
        raise RuleError(f"{path}: is nested too deeply") from None
    except (yaml.YAMLError, ValueError) as error:
        raise RuleError(f"{path}: is neither YAML nor JSON: {error}") from None
    if not isinstance(content, dict):
        raise RuleError(f"{path}: needs a list `rules`, and perhaps a `default`")
    return _checked(Rules, content, str(path))


_PROBLEMS = {
    "tuple_type": "must be a list, or a single text",
    "model_type": "must be a rule such as {outcome: delete, extension: [exe]}",
}


def _checked(model: type[T], values: dict[str, Any], where: str) -> T:
    try:
        return model(**values)
    except ValidationError as error:
        lines = []
        for problem in error.errors():
            place = "".join(f"[{each}]" if isinstance(each, int) else f".{each}" for each in problem["loc"])
            if problem["type"] == "extra_forbidden":
                known = (model if len(problem["loc"]) == 1 else Rule).model_fields
                lines.append(f"{where}: {place.lstrip('.')}: is not known; there are {', '.join(known)}")
                continue
            message = _PROBLEMS.get(problem["type"]) or problem["msg"].removeprefix(
                "Value error, "
            ).removeprefix("Input ")
            lines.append(f"{where}: {place.lstrip('.')}: {message}" if place else f"{where}: {message}")
        raise RuleError("\n".join(lines)) from None
    except TypeError:
        raise RuleError(f"{where}: the names must be strings") from None
