"""What the audience sees: a story line, and under it the output of kubectl as it changes."""

import sys
import textwrap
import time
from typing import TextIO

WIDTH = 80


class Screen:
    """Redraws the table in a terminal; elsewhere it adds only the lines that changed."""

    def __init__(self, out: TextIO = sys.stdout, *, live: bool | None = None) -> None:
        self._out = out
        self._live = out.isatty() if live is None else live
        self._started = time.monotonic()
        self._drawn: list[str] = []
        self._seen: dict[str, list[str]] = {}
        self._header = ""
        self.widest = 0
        """The longest line of kubectl's so far."""

    def say(self, text: str) -> None:
        """Tell something, with the seconds since the start, above the table."""
        lead = f"{time.monotonic() - self._started:5.1f}s  "
        wrapped = textwrap.wrap(text.strip(), WIDTH, initial_indent=lead, subsequent_indent=" " * len(lead))
        self.write("\n".join(wrapped))

    def write(self, text: str) -> None:
        """Print as it is, above the table."""
        drawn = self._drawn
        self._erase()
        self._print(text)
        self._draw(drawn)

    def table(self, text: str) -> None:
        """Show what `kubectl get` has just printed."""
        lines = [line.rstrip() for line in text.splitlines()]
        self.widest = max(self.widest, *map(len, lines), 0)
        if self._live:
            self._erase()
            self._draw(lines)
        elif lines:
            self._append(lines[0], lines[1:])

    def settle(self) -> None:
        """Leave the table as it stands and go on below it."""
        self._drawn = []

    def _append(self, header: str, rows: list[str]) -> None:
        changed = []
        for row in rows:
            words = row.split()
            name, facts = words[0], words[1:-1]  # the last one is the age
            if self._seen.get(name) != facts:
                self._seen[name] = facts
                changed.append(row)
        if changed and header != self._header:
            self._header = header
            self._print(header)
        for row in changed:
            self._print(row)

    def _draw(self, lines: list[str]) -> None:
        self._drawn = lines
        for line in lines:
            self._print(line)

    def _erase(self) -> None:
        if self._drawn:
            self._out.write(f"\x1b[{len(self._drawn)}F\x1b[J")
            self._drawn = []

    def _print(self, text: str) -> None:
        print(text, file=self._out, flush=True)
