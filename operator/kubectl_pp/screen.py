"""The terminal: what it can show, and the few words of escape sequences we use."""

from __future__ import annotations

import os
import re
import sys
from typing import TextIO
from unicodedata import category, east_asian_width

from kubectl_pp.older import StrEnum
from uploadpp.core.text import clean

WRAPPED_WIDTH = 100
MAX_SHOWN = 8192
"""Maximum length of text from outside; log lines may be this long."""
MIN_WIDTH = 40


class Color(StrEnum):
    """Colours by meaning; the values are SGR codes."""

    GOOD = "32"
    BUSY = "36"
    WAITING = "33"
    BAD = "31"
    FAINT = "2"
    TITLE = "1"


class Icon(StrEnum):
    """One character of state; the value is the plain form."""

    DONE = "+"
    RUNNING = "*"
    WAITING = "o"
    RETRYING = "~"
    HELD = "!"
    FAILED = "x"
    SKIPPED = "-"


_PRETTY = {
    Icon.DONE: "✔",
    Icon.RUNNING: "●",
    Icon.WAITING: "○",
    Icon.RETRYING: "↻",
    Icon.HELD: "⏸",
    Icon.FAILED: "✖",
    Icon.SKIPPED: "·",
}
_OURS = re.compile(r"(\n|\x1b\[(?:0|1|2|3[1236])m)")
"""What `paint` writes, and the ends of lines."""
_EMOJI_VARIANT = "\ufe0f"
_PLAIN = str.maketrans({"…": "~", "“": '"', "”": '"'})


class Screen:
    """Standard output and what it understands."""

    def __init__(self, color: str = "auto", *, ascii_only: bool = False) -> None:
        self.out: TextIO = sys.stdout
        self.tty = self.out.isatty()
        self.steerable = self.tty and os.environ.get("TERM", "") not in {"", "dumb"}
        """Whether it moves its cursor where it is told to; what is drawn in place needs that."""
        self.color = color == "always" or (
            color == "auto" and self.steerable and not os.environ.get("NO_COLOR")
        )
        self.utf8 = not ascii_only and _locale_is_utf8()
        self.out.reconfigure(encoding="utf-8" if self.utf8 else None, errors="replace")  # type: ignore[union-attr]

    @property
    def width(self) -> int | None:
        """Columns of the terminal; None when lines may be as long as they are."""
        columns = os.environ.get("COLUMNS", "")
        if columns.isdecimal() and int(columns):
            return max(int(columns), MIN_WIDTH)
        if not self.tty:
            return None
        try:
            return max(os.get_terminal_size(self.out.fileno()).columns, MIN_WIDTH)
        except OSError:
            return None

    @property
    def height(self) -> int:
        """Lines of the terminal."""
        lines = os.environ.get("LINES", "")
        if lines.isdecimal() and int(lines):
            return int(lines)
        try:
            return os.get_terminal_size(self.out.fileno()).lines
        except OSError:
            return 24

    def paint(self, text: str, color: Color | None) -> str:
        """The text in a colour, where colours are wanted."""
        return f"\x1b[{color}m{text}\x1b[0m" if self.color and color and text else text

    def icon(self, icon: Icon) -> str:
        """The icon, or its plain form if the terminal lacks it."""
        return _PRETTY[icon] if self.utf8 else icon.value

    def fit(self, text: str) -> str:
        """Our own typography, or its plain form if the terminal lacks it."""
        return text if self.utf8 else text.translate(_PLAIN)

    def line(self, text: str = "") -> None:
        """Print one line."""
        self.out.write(self.fit(safe(text)) + "\n")

    def lines(self, texts: list[str]) -> None:
        """Print some lines."""
        self.out.write("".join(self.fit(safe(text)) + "\n" for text in texts))

    def note(self, text: str) -> None:
        """Print something that is not a result."""
        self.out.flush()
        sys.stderr.write(self.fit(safe(text)) + "\n")
        sys.stderr.flush()


def _locale_is_utf8() -> bool:
    """From the environment, because Python itself takes UTF-8 where nothing is set."""
    value = next((v for n in ("LC_ALL", "LC_CTYPE", "LANG") if (v := os.environ.get(n))), "")
    return "utf8" in value.lower().replace("-", "")


def harmless(text: str) -> str:
    """The text of others on one line, as the operator's logs show it: a file name may hold anything."""
    return clean(text, MAX_SHOWN)


def safe(text: str) -> str:
    """Lines with our own colours; whatever else could steer a terminal is shown instead.

    Texts of others are cleaned where they are read (`harmless`). This is for those that were forgotten.
    """
    if text.isascii() and text.isprintable():
        return text
    parts = _OURS.split(text)
    # A line of ours may be long: what is in it was cut before.
    return "".join(part if index % 2 else clean(part, len(text)) for index, part in enumerate(parts))


def columns_of(text: str) -> int:
    """The columns of a terminal that a text takes: Chinese and emoji take two, marks on letters none."""
    return len(text) if text.isascii() else sum(map(_columns, text))


def _columns(char: str) -> int:
    if category(char) in {"Mn", "Me"}:
        return char == _EMOJI_VARIANT  # it makes the symbol before it as wide as an emoji
    return 2 if east_asian_width(char) in {"W", "F"} else 1


def clip(text: str, width: int) -> str:
    """At most `width` columns; the cut is shown."""
    if columns_of(text) <= width:
        return text
    return _beginning(text, width - 1) + "…"


def _beginning(text: str, width: int) -> str:
    """As many characters as `width` columns hold."""
    taken = 0
    for at, char in enumerate(text):
        taken += _columns(char)
        if taken > width:
            return text[:at]
    return text


def crop(line: str, width: int) -> str:
    """A line in our own colours, of at most `width` columns; the cut is shown."""
    if len(line) <= width and line.isascii():
        return line
    parts = _OURS.split(line)
    left = width - sum(map(columns_of, parts[::2]))
    if left >= 0:
        return line
    left = width - 1
    found: list[str] = []
    for index, part in enumerate(parts):
        if index % 2:
            found.append(part)
        elif left >= 0:
            shown = _beginning(part, left)
            left = left - columns_of(shown) if shown == part else -1
            found.append(shown if shown == part else f"{shown}…")
    return "".join(found)


def wrap(text: str, width: int | None, indent: str = "") -> list[str]:
    """Lines of at most `width` columns; one line where there is no limit."""
    if width is None:
        return [indent + text]
    room, lines = max(width - len(indent), 20), [""]
    for word in text.split(" "):
        if lines[-1] and columns_of(lines[-1]) + 1 + columns_of(word) > room:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}" if lines[-1] else word
    return [indent + line for line in lines]
