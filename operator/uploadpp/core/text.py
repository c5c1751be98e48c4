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

    Download URLs are bearer credentials, and errors of HTTP clients quote them.
    """
    return clean(_without(text, _hide_url, "<url>", MAX_READ), limit)


def hide_credentials(text: str, read: int = MAX_READ) -> str:
    """The beginning of the text without tokens and without the credentials of addresses; not clean yet."""
    return _without(text, _hide_login, "<token>", read)


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
    token = word.find("eyJ")
    ends = [len(word), scheme.end() if scheme else len(word), token if token >= 0 else len(word)]
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
