"""Makes text from outside safe for a terminal, a log, an Event, a label or a status.

`clean` is the one function that makes such text harmless to look at; `redact` takes URLs and
tokens out of it. Both cut the text before they look at it, and no pattern here can go back over
what it has read: their time is bounded, whatever the text is. Standard library only, and no
import of ours: the operator, steps and `kubectl pp` share this file.
"""

import re
from collections.abc import Callable
from functools import lru_cache
from unicodedata import category

ELLIPSIS = "…"
MAX_LINE = 1024
"""Characters of a text that is shown, unless the caller says otherwise."""
MAX_READ = 4096
"""Characters of a text that `redact` looks at; nothing of what is behind them is shown."""
MAX_MARKS = 4
"""Marks on one letter, as Vietnamese, Hebrew and Thai need them; more would paint over other lines."""

_SHORT = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}
# Letters, symbols and marks by their category, but drawn as nothing: the fillers of Hangul, the blank of
# Braille, the joiner of graphemes, vowels of Khmer, and what selects a variant of the character before it.
_INVISIBLE = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]"
)
_EMOJI_VARIANT = "\ufe0f"
_WORD = re.compile(r"\S++")
_TOKEN = re.compile(r"eyJ[\w-]{8,}+(?:\.[\w-]*+)*+")
_SCHEME_END = re.compile(r"://|:\\/\\/|%3a%2f%2f", re.IGNORECASE)
"""How the beginning of a URL ends: in plain text, in JSON with escaped slashes, and inside another URL."""
_SECRET_NAME = re.compile(
    r"passw(?:or)?d|passphrase|pwd|secret|token|credential|authorization|cookie"
    r"|(?:access|account|api|auth|encryption|master|private|shared|signing)[_-]?key"
    r"|(?:(?<=[a-z0-9][_-])|[\"'])(?:pass|pw)(?![\w-])",
    re.IGNORECASE,
)
_NOTHING = re.compile(r"(?!)")
_QUOTE = re.compile(r"\\?([\"'])")
_ASSIGNED_NAME = re.compile(r"(?<![a-z0-9])(?:pass|pw|sig|signature)(?![\w-])", re.IGNORECASE)
"""Before a colon these mean something else: `pass: 3`, `signature: Eicar`."""
_NAME_AND_SIGN = re.compile(
    r"(?<![\w.-])([\w.-]+)(?:([\\\"']{0,3}\s{0,64}(?:[=:]{1,2}>?|%3[Dd])|>)\s{0,64}"
    r"(?i:(?:bearer|basic|token|digest|apikey|negotiate)\s{1,3})?"
    r"|(?<=\w)[\"']?,?\s{1,64})"
)
"""What stands before a value: a name with its sign, or only a blank, as behind a flag."""
_VALUE = re.compile(
    r"\\\"[^\"]*\"?"
    r"|\w{0,16}\(?(?:\"(?:[^\"\\]|\\.)*\"?|'(?:[^'\\]|\\.)*'?)\)?"
    r"|[,;]{0,8}[^\s\"',;]+(?:[,;]+[^\s\"',;]+)*",
    re.DOTALL,
)
_QUOTED_OR_LINE = re.compile(r"\\?\"[^\"\r\n]*\"?|'[^'\r\n]*'?|[^\r\n]+")
"""The value of a header, which may be several words."""
_BEARER = re.compile(r"\b(bearer|basic)\s{1,3}(?=[^\s\"']*[0-9=_])[^\s\"']{6,}", re.IGNORECASE)
_LOGIN = re.compile(
    r"((?<![\w-])(?:-[uU]|--(?:proxy-)?user)[\"']?,?[\s=]{1,8}[\"']?(?!\d{1,10}:\d{1,10}\b)[^\s:\"',]{1,64}:)"
    r"[^\s\"']+"
)
"""As programs like curl take one; two numbers are a user and a group."""
_ADDRESS_LOGIN = re.compile(r"(?<![\w.%+~:@/-])[\w.%+~-]{1,64}:[^\s/\"']{1,256}@(?!sha[0-9]{1,3}:)(?=[\w\[])")
"""Before the host of an address without a scheme, as a proxy may have one. Images have a digest there."""
_SEED = re.compile(r"\bS[ACNOUX][A-Z2-7]{40,}")
"""The seed of a key of NATS."""
REMOVED = "<removed>"
"""What stands in the place of a secret."""
_SHOWN, _MARK, _HIDDEN = range(3)


def clean(text: str, limit: int = MAX_LINE) -> str:
    r"""The text on one line, with whatever could control a terminal or hide from the eye escaped.

    `\x1b`, `\n`, `\u202e` show a character that was there: controls, marks of direction, separators
    of lines, invisible and unassigned characters, halves of pairs, and marks beyond what a letter
    has. Clean text comes back as it is, so cleaning twice does no harm.

    Args:
        text: Anything.
        limit: Most characters of the result; a longer text ends in an ellipsis.
    """
    if len(text) <= limit and text.isascii() and text.isprintable():
        return text
    found = _escaped(text[: limit + 1])
    return found if len(found) <= limit else found[: limit - 1] + ELLIPSIS


def clean_lines(text: str, lines: int = 200, each: Callable[[str], str] = clean) -> str:
    """Text of several lines, such as a traceback, each of them clean; the middle of very many is left out."""
    found = text.split("\n")
    if len(found) > lines:
        half = lines // 2
        left_out = f"{ELLIPSIS} {len(found) - 2 * half} lines left out"
        found = [*found[:half], left_out, *found[-half:]]
    return "\n".join(map(each, found))


def redact(text: str, limit: int = MAX_LINE) -> str:
    """The text, clean, with `<url>` for each word that holds a URL and for each token.

    Download URLs are bearer credentials, and errors of HTTP clients quote them. Programs quote their
    variables, flags and headers: the value behind a name such as `password` is `<removed>`, and so is the
    seed of a key of NATS.
    """
    seen = without_assigned(_without(text, _hide_url, "<url>", MAX_READ), _SECRET_NAME, _ASSIGNED_NAME)
    seen = _LOGIN.sub(rf"\1{REMOVED}", _BEARER.sub(rf"\1 {REMOVED}", seen))
    seen = _ADDRESS_LOGIN.sub(f"{REMOVED}@", seen)
    return clean(_SEED.sub(REMOVED, seen), limit)


def without_assigned(text: str, secret: re.Pattern[str], assigned: re.Pattern[str] = _NOTHING) -> str:
    """The text without the values of names in which `secret` is found.

    `assigned` is found in names that count behind `=` and as flags only. A quoted name is looked at with the
    quotation mark before it.

    `name=value`, `name: value`, `"name": "value"`, `<name>value` and `--name value`; the scheme of a header
    stays. What is found in a file `secrets.zip` stays as well: `secrets.zip: Eicar`.
    """
    if not secret.search(text) and not assigned.search(text):
        return text
    done, at = [], 0
    for found in _NAME_AND_SIGN.finditer(text):
        name, sign = found[1], found[2] or ""
        if found.start() < at or not (sign or name.startswith("-")):
            continue
        if sign == ":":
            name = "" if text[found.start() - 1 : found.start()] == "/" else name.rpartition(".")[2]
        quote = _QUOTE.match(sign)
        if not secret.search(f"{quote[1]}{name}" if quote else name) and (
            quote or sign.strip() == ":" or not assigned.search(name)
        ):
            continue
        rest = _QUOTED_OR_LINE if name.lower().endswith(("authorization", "cookie")) else _VALUE
        value = rest.match(text, found.end())
        if value is not None and (sign or not value[0].startswith("--")):
            done += [text[at : found.end()], REMOVED]
            at = value.end()
    return "".join([*done, text[at:]])


def hide_credentials(text: str, read: int = MAX_READ) -> str:
    """The beginning of the text without tokens and without the credentials of addresses; not clean yet."""
    return _ADDRESS_LOGIN.sub("<credentials>@", _without(text, _hide_login, "<token>", read))


def _without(text: str, hide: Callable[[re.Match[str]], str], token: str, read: int) -> str:
    seen = text[:read]
    if "eyJ" in seen:
        seen = _TOKEN.sub(token, seen)
    if _SCHEME_END.search(seen):
        seen = _WORD.sub(hide, seen)
    return seen if len(text) <= read else _before_the_cut(seen) + ELLIPSIS


def _hide_url(word: re.Match[str]) -> str:
    return "<url>" if _SCHEME_END.search(word[0]) else word[0]


def _hide_login(word: re.Match[str]) -> str:
    """A password may hold any character, so all is hidden from the first `://` to the last `@`."""
    scheme = _SCHEME_END.search(word[0])
    end = word[0].rfind("@")
    if scheme is None or end < scheme.end():
        return word[0]
    return f"{word[0][: scheme.end()]}<credentials>{word[0][end:]}"


def _before_the_cut(seen: str) -> str:
    """Without the beginning of a secret that would only be known by its end, which is behind the cut."""
    if not seen or seen[-1].isspace():
        return seen
    word = seen.rsplit(maxsplit=1)[-1]
    scheme = _SCHEME_END.search(word)
    token, login = word.find("eyJ"), word.find(":") + 1
    ends = [len(word), scheme.end() if scheme else len(word), token if token >= 0 else len(word)]
    if login and not scheme:
        ends.append(login)
    return seen[: len(seen) - len(word) + min(ends)]


def _escaped(text: str) -> str:
    found: list[str] = []
    marks = MAX_MARKS  # a mark at the beginning would change what stands before the text
    before = " "
    for char in text:
        kind = _kind(char)
        if kind == _SHOWN:
            marks = 0
            shown = True
        elif kind == _MARK and marks < MAX_MARKS:
            marks += 1
            shown = True
        else:
            marks = MAX_MARKS
            # The variant makes a symbol an emoji, as keyboards write it.
            shown = char == _EMOJI_VARIANT and category(before) == "So"
        found.append(char if shown else _escape(char))
        before = char
    return "".join(found)


@lru_cache(maxsize=4096)
def _kind(char: str) -> int:
    if _INVISIBLE.match(char):
        return _HIDDEN
    kind = category(char)
    if kind in {"Mn", "Me"}:
        return _MARK
    return _SHOWN if kind == "Zs" or char.isprintable() else _HIDDEN


def _escape(char: str) -> str:
    code = ord(char)
    if char in _SHORT:
        return _SHORT[char]
    if code < 0x100:  # noqa: PLR2004 -- two digits
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"  # noqa: PLR2004 -- four digits
