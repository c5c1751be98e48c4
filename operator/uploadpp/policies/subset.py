"""The part of CEL that a rule may use, checked before the library compiles anything.

It lists what is allowed, so a function or macro that a new version of the library brings is refused. Types
and syntax are left to the library. The check takes one pass over a short text.
"""

import re
from typing import NamedTuple

from uploadpp.core.composition import composed

MAX_EXPRESSION = 1024
"""Characters of an expression."""
MAX_PATTERN = 128
"""Characters of a regular expression: it is compiled at each evaluation."""
MAX_DEPTH = 16
"""Parentheses within parentheses."""

VARIABLES = {
    "file.name": "name",
    "file.extension": "extension",
    "file.size": "size",
    "file.mimeType": "mime_type",
    "user.id": "user_id",
    "space.id": "space_id",
    "storage.id": "storage_id",
    "initiator.id": "initiator_id",
}
"""The name of each variable, and its field in `Facts`."""
METHODS = ("startsWith", "endsWith", "contains", "matches", "size")
_OBJECTS = frozenset(name.partition(".")[0] for name in VARIABLES)
_LITERALS = frozenset({"true", "false"})
_KNOWN = f"{', '.join(VARIABLES)}, true, false, in and size()"

_TOKEN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*+|[0-9]++|&&|\|\||[=!<>]=|[!<>()\[\],.]")
_BLANK = re.compile(r"[ \t\r\n]*+")
_QUOTES = ("'", '"')
_ESCAPE = re.compile(
    r"\\(?:[xX]([0-9A-Fa-f]{2})|u([0-9A-Fa-f]{4})|U([0-9A-Fa-f]{8})|([0-3][0-7]{2})|([^xXuU0-7]))"
)
_MEANT = dict(zip("abfnrtv\\?\"'`", "\a\b\f\n\r\t\v\\?\"'`", strict=True))


class ExpressionError(ValueError):
    """An expression cannot be used, or has no answer for an upload; the text says why."""


class Checked(NamedTuple):
    """What an expression is made of."""

    variables: tuple[str, ...]
    patterns: tuple[tuple[str, int], ...]
    """Its regular expressions, as they are written, and where."""


class _Token(NamedTuple):
    kind: str
    """`word`, `number`, `text`, `end`, or the operator itself."""
    text: str
    at: int


def place(text: str, at: int) -> str:
    """A position for people, who count from one."""
    line = text.count("\n", 0, at)
    character = at - (text.rfind("\n", 0, at) if line else -1)
    return f"line {line + 1}, character {character}" if "\n" in text.strip() else f"character {character}"


def check(text: str) -> Checked:
    """What the expression uses.

    Raises:
        ExpressionError: it is not of the part of CEL that a rule may use.
    """
    if len(text) > MAX_EXPRESSION:
        raise ExpressionError(
            f"it has {len(text)} characters, and {MAX_EXPRESSION} are allowed; write several rules"
        )
    if not text.strip():
        raise ExpressionError("it is empty; leave `match` out if the rule is for every upload")
    return _Check(text).run()


class _Check:
    """One pass over the tokens of an expression."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = _tokens(text)
        self._next = 0
        self._variables: dict[str, None] = {}
        self._patterns: list[tuple[str, int]] = []

    def run(self) -> Checked:
        depth = 0
        before = ""
        while (token := self._take()).kind != "end":
            match token.kind:
                case "word":
                    self._word(token)
                case ".":
                    self._method()
                case "[":
                    if before != "in":
                        raise self._error(token, "a list may only stand behind `in`")
                    self._list()
                case "(":
                    depth += 1
                    if depth > MAX_DEPTH:
                        raise self._error(
                            token, f"more than {MAX_DEPTH} parentheses are open; write several rules"
                        )
                case ")":
                    depth -= 1
                case ",":
                    raise self._error(token, "a comma may only stand between the elements of a list")
            before = token.text
        return Checked(tuple(self._variables), tuple(self._patterns))

    def _take(self) -> _Token:
        token = self._tokens[self._next]
        self._next = min(self._next + 1, len(self._tokens) - 1)
        return token

    def _word(self, token: _Token) -> None:
        if token.text in _OBJECTS:
            dot, field = self._take(), self._take()
            name = f"{token.text}.{field.text}"
            if dot.kind != "." or name not in VARIABLES:
                shown = name if dot.kind == "." and field.kind == "word" else token.text
                raise self._error(token, f"{shown} is not known; use {_KNOWN}")
            self._variables[name] = None
        elif token.text == "size":
            if self._tokens[self._next].kind != "(":
                raise self._error(token, "size needs a text in parentheses, as in size(file.name)")
        elif token.text not in _LITERALS and token.text != "in":
            raise self._error(token, f"{token.text} is not known; use {_KNOWN}")

    def _method(self) -> None:
        name = self._take()
        if name.text not in METHODS:
            raise self._error(name, f"a dot must be followed by one of {', '.join(METHODS)}")
        if self._tokens[self._next].kind != "(":
            raise self._error(name, f"{name.text} must be followed by parentheses")
        if name.text == "matches":
            self._take()
            pattern, end = self._take(), self._take()
            if pattern.kind != "text" or end.kind != ")":
                raise self._error(pattern, "matches takes one regular expression in quotes")
            self._check_pattern(pattern)
            self._patterns.append((pattern.text, pattern.at))

    def _list(self) -> None:
        kinds = set()
        while True:
            token = self._take()
            kind = "bool" if token.text in _LITERALS else token.kind
            if kind not in {"bool", "number", "text"}:
                raise self._error(token, "a list takes texts in quotes or numbers, and at least one of them")
            kinds.add(kind)
            if len(kinds) > 1:
                raise self._error(token, "all elements of a list must be of one type")
            after = self._take()
            if after.kind == "]":
                return
            if after.kind != ",":
                raise self._error(after, "the elements of a list are separated by commas and end with ]")

    def _check_pattern(self, token: _Token) -> None:
        """RE2 is linear in the name, but a counted repetition or a class of Unicode compiles slowly."""
        pattern = _value(token.text)
        if pattern is None:
            raise self._error(token, r"of escapes, a regular expression takes \\ and quotes; or write r'…'")
        if len(pattern) > MAX_PATTERN:
            raise self._error(
                token, f"the regular expression has {len(pattern)} characters, and {MAX_PATTERN} are allowed"
            )
        at = 0
        while at < len(pattern):
            pair = pattern[at : at + 2]
            if pair in {r"\p", r"\P"}:
                raise self._error(
                    token, rf"the regular expression uses {pair}, which is not allowed; use a class"
                )
            if pair[0] == "{":
                raise self._error(
                    token, r"a repetition with {…} is not allowed; repeat the text, or write \{"
                )
            at += 2 if pair[0] == "\\" else 1

    def _error(self, token: _Token, problem: str) -> ExpressionError:
        return ExpressionError(f"{place(self._text, token.at)}: {problem}")


def _tokens(text: str) -> list[_Token]:
    found = []
    at = _skip(text, 0)
    while at < len(text):
        if text[at] in _QUOTES:
            end = _end_of_text(text, at, raw=False)
        elif text[at] in "rR" and text[at + 1 : at + 2] in _QUOTES:
            end = _end_of_text(text, at + 1, raw=True)
        else:
            token = _TOKEN.match(text, at)
            if token is None:
                raise ExpressionError(
                    f"{place(text, at)}: {text[at]!a} is not allowed; use && || ! == != < <= > >= in ( )"
                )
            end = token.end()
        found.append(_Token(_kind(text[at:end]), text[at:end], at))
        at = _skip(text, end)
    return [*found, _Token("end", "", len(text))]


def _kind(token: str) -> str:
    if token[-1] in _QUOTES:
        return "text"
    if token[0].isdigit():
        return "number"
    return "word" if token[0].isalpha() or token[0] == "_" else token


def _skip(text: str, at: int) -> int:
    blank = _BLANK.match(text, at)
    return blank.end() if blank else at


def _end_of_text(text: str, start: int, *, raw: bool) -> int:
    """The position behind a text in quotes. It must end where the library takes it to end."""
    quote = text[start]
    if text.startswith(quote * 3, start):
        raise ExpressionError(f"{place(text, start)}: a text has one quote at each end, not three")
    at = start + 1
    while at < len(text):
        char = text[at]
        if char == quote:
            return at + 1
        if not char.isprintable():
            raise ExpressionError(
                rf"{place(text, at)}: {char!a} may not stand in a text; write it as an escape"
            )
        at += 2 if char == "\\" and not raw else 1
    raise ExpressionError(f"{place(text, start)}: the text that begins here has no closing {quote}")


def with_composed_texts(text: str) -> str:
    """An expression that `check` has passed, with the texts in it as names are: a mark may be an escape."""
    done, at = [], 0
    for token in _tokens(text):
        if token.kind == "text" and "\\" in token.text and token.text[0] in _QUOTES:
            done += [text[at : token.at], _composed_literal(token.text)]
            at = token.at + len(token.text)
    return "".join([*done, text[at:]])


def _composed_literal(literal: str) -> str:
    try:
        meant = _ESCAPE.sub(_meant, literal[1:-1])
    except ValueError:  # the library says what is wrong with it
        return literal
    if (same := composed(meant)) == meant:
        return literal
    written = (each if each.isprintable() and each not in "\\\"'" else f"\\U{ord(each):08x}" for each in same)
    return f"{literal[0]}{''.join(written)}{literal[0]}"


def _meant(escape: re.Match[str]) -> str:
    """What an escape stands for.

    Raises:
        ValueError: nothing.
    """
    if escape[5]:
        if escape[5] not in _MEANT:
            raise ValueError(escape[5])
        return _MEANT[escape[5]]
    return chr(int(escape[4], 8) if escape[4] else int(escape[1] or escape[2] or escape[3], 16))


def _value(literal: str) -> str | None:
    """What a text in quotes means; None if it has an escape other than of a backslash or a quote."""
    if literal[0] in "rR":
        return literal[2:-1]
    found = []
    chars = iter(literal[1:-1])
    for char in chars:
        meant = next(chars, "") if char == "\\" else char
        if char == "\\" and meant not in {"\\", '"', "'"}:
            return None
        found.append(meant)
    return "".join(found)
