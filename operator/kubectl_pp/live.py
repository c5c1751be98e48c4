"""A screen that is redrawn in place, at a limited rate, and only where it changed."""

from __future__ import annotations

import os
import sys
import time

from kubectl_pp.screen import WRAPPED_WIDTH, Screen, crop, safe

FRAMES_PER_SECOND = 8
_ENTER, _LEAVE = "\x1b[?1049h\x1b[?25l", "\x1b[?25h\x1b[?1049l"
_BEGIN, _END = "\x1b[?2026h", "\x1b[?2026l"
_CLEAR_LINE, _CLEAR_BELOW = "\x1b[K", "\x1b[J"


class Live:
    """The alternate screen; the last frame stays behind on the normal one."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen
        self._drawn: list[str] = []
        self._size: tuple[int | None, int] = (None, 0)
        self._at = 0.0

    def __enter__(self) -> Live:  # noqa: PYI034 -- typing.Self came with 3.11
        self._write(_ENTER)
        return self

    def __exit__(self, *_: object) -> None:
        self._write(_LEAVE)
        self._screen.lines(self._drawn)
        self._screen.out.flush()

    @property
    def wait(self) -> float:
        """Seconds until the next frame may be drawn."""
        return max(self._at + 1 / FRAMES_PER_SECOND - time.monotonic(), 0.0)

    def draw(self, lines: list[str]) -> None:
        """Show a frame; lines that are the same as before are not sent again."""
        size = (self._screen.width, self._screen.height)
        old = self._drawn if size == self._size else []
        shown = lines[: max(size[1] - 1, 1)]
        parts = [_BEGIN]
        for y, line in enumerate(shown):
            if y >= len(old) or old[y] != line:
                # A line that is too long would continue on the next one, which may not be drawn again.
                shown_part = self._screen.fit(crop(safe(line), size[0] or WRAPPED_WIDTH))
                parts.append(f"\x1b[{y + 1};1H{shown_part}{_CLEAR_LINE}")
        if len(shown) < len(old) or not old:
            parts.append(f"\x1b[{len(shown) + 1};1H{_CLEAR_BELOW}")
        # First: a person who presses Ctrl-C while it is written has seen it, and finds it on the screen.
        self._drawn, self._size, self._at = shown, size, time.monotonic()
        if len(parts) > 1:
            self._write("".join([*parts, _END]))

    def _write(self, text: str) -> None:
        self._screen.out.flush()
        sys.stdout.flush()
        data = text.encode(sys.stdout.encoding or "utf-8", "replace")
        while data:
            data = data[os.write(self._screen.out.fileno(), data) :]
