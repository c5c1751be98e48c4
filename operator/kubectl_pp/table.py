"""Tables laid out the way kubectl does (Go's tabwriter: three spaces, at least six columns)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from kubectl_pp.screen import Color, Screen, harmless

PADDING = 3
MIN_CELL = 6

Paint = dict[tuple[int, int], Color]
"""Colours of cells by row and column."""


def layout(
    rows: Sequence[Sequence[str]],
    screen: Screen | None = None,
    paint: Paint | None = None,
    padding: int = PADDING,
) -> list[str]:
    """The lines of a table; colours do not count as width, and the last column is not padded."""
    if not rows:
        return []
    count = max(len(row) for row in rows)
    widths = [
        max(max(len(row[i]) if i < len(row) else 0 for row in rows) + padding, MIN_CELL)
        for i in range(count - 1)
    ]
    lines = []
    for y, row in enumerate(rows):
        parts = []
        for x, cell in enumerate(row):
            color = paint.get((y, x)) if paint and screen else None
            shown = screen.paint(cell, color) if screen and color else cell
            parts.append(shown + " " * (widths[x] - len(cell)) if x < len(row) - 1 else shown)
        lines.append("".join(parts))
    return lines


def cell(value: object) -> str:
    """A value of a server-side table as kubectl prints it."""
    if value is None:
        return ""
    text = str(value).lower() if isinstance(value, bool) else str(value)
    cut = min((at for c in "\f\n\r" if (at := text.find(c)) >= 0), default=-1)
    if cut >= 0:
        text = text[:cut] + "..."
    return harmless(text)


def columns(cells: Iterable[Sequence[object]]) -> list[list[str]]:
    """Converts the cells of rows to text."""
    return [[cell(value) for value in row] for row in cells]
