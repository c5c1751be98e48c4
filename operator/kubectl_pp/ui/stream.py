"""What one open page is sent: parts of the model, each when it is another than before, and rows as deltas."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

from kubectl_pp.ui.commands import Commands
from kubectl_pp.ui.filters import Filter
from kubectl_pp.ui.model import Key, Model
from kubectl_pp.ui.numbers import counts, hour, steps

GAP_SECONDS = 0.5
"""Between two frames; an eye does not want more."""
TURN_SECONDS = 5.0
"""Rows come to wait long although nothing happens to them."""
PING_SECONDS = 15.0
LOOK_SECONDS = 0.5
"""How long a page may be closed before that is noticed."""
CHARTS_SECONDS = 10.0

Message = tuple[str, object]


class Stream:
    """One open page."""

    def __init__(self, model: Model, wanted: Filter, opened: Key | None, commands: Commands) -> None:
        self._model, self._wanted, self._opened = model, wanted, opened
        self._commands = commands
        self._sent: dict[str, str] = {}
        self._rows: dict[int, list[object]] = {}
        self._charted = 0.0

    def messages(self) -> Iterator[bytes]:
        """Server-sent events without end; a comment now and then shows that we are alive.

        Empty ones are for the caller to look whether the page is still open.
        """
        version, framed, spoke = -1, 0.0, time.monotonic()
        while True:
            now = time.monotonic()
            found: list[bytes] = []
            if self._model.version != version or now - framed > TURN_SECONDS:
                version, framed = self._model.version, now
                found = self.frame(time.time())
            if not found and now - spoke > PING_SECONDS:
                found = [b": alive\n\n"]
            spoke = now if found else spoke
            yield b"".join(found)
            time.sleep(GAP_SECONDS)
            self._model.wait(version, LOOK_SECONDS)

    def frame(self, now: float) -> list[bytes]:
        """What is new since the last one."""
        return [event(name, text) for name, text in self._parts(now) if self._is_new(name, text)]

    def _parts(self, now: float) -> Iterator[tuple[str, str]]:
        model = self._model
        why = model.stale(now)
        yield "state", _json({"lost": why, "asOf": round(model.heard) if why else 0, "loaded": model.loaded})
        rows, unwell = model.snapshot(), model.silent_steps()
        yield "counts", _json(counts(model, rows, now, unwell))
        yield "steps", _json(steps(model, rows, now, unwell))
        yield "operator", _json(model.operator.get("findings", []))
        if now - self._charted >= CHARTS_SECONDS or now < self._charted:
            self._charted = now
            yield "hour", _json(hour(model.snapshot(ended=True), now))
        yield from self._page(now)
        if self._opened is not None:
            yield "opened", _json(model.stamp(self._opened))

    def _page(self, now: float) -> Iterator[tuple[str, str]]:
        """Rows that are another than they were sent, then which of them the page shows in which order."""
        found = self._model.find(self._wanted, now)
        changed = [
            [row.number, *row.fields] for row in found.rows if self._rows.get(row.number) != row.fields
        ]
        self._rows = {row.number: row.fields for row in found.rows}
        if changed:
            self._sent.pop("rows", None)
            yield "rows", _json(changed)
        yield (
            "page",
            _json(
                {
                    "total": found.total,
                    "start": self._wanted.start,
                    "order": [row.number for row in found.rows],
                    "commands": self._commands.for_filter(self._wanted, found),
                }
            ),
        )

    def _is_new(self, name: str, text: str) -> bool:
        if self._sent.get(name) == text:
            return False
        self._sent[name] = text
        return True


def event(name: str, text: str) -> bytes:
    """One server-sent event; JSON is on one line."""
    return f"event: {name}\ndata: {text}\n\n".encode()


def _json(value: object) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
