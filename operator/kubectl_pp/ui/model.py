"""All uploads as rows, and whether what is known of them is current. Written by one thread, read by many."""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from collections.abc import Iterable
from heapq import nsmallest
from typing import NamedTuple

from kubectl_pp.sanitize import Json
from kubectl_pp.ui.filters import PAGE, Filter
from kubectl_pp.ui.rows import Row
from kubectl_pp.upload import Stage, Upload

Key = tuple[str, str]

ANSWERS = 5000
"""Answers of a step that are kept to say how long it takes."""
SILENT_SECONDS = 150.0
"""A watch that brings nothing for so long is dead: the API server sends a bookmark each minute."""


class Found(NamedTuple):
    """The rows of one page, how many there are in all, and how many of these are stalled or held."""

    rows: list[Row]
    total: int
    stuck: int


class Model:
    """What the page shows. `changed` is notified when any of it is new."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.version = 0
        self.rows: dict[Key, Row] = {}
        self.flying: dict[Key, Row] = {}
        """Those that have not ended, or wait for a person: what changes, and what people look at."""
        self.ended: Counter[tuple[str, bool]] = Counter()
        """Of the others how many there are, by state and by whether they failed."""
        self.steps: dict[str, int] = {}
        """Steps in the order of the plans, with their maxInFlight where a plan names it."""
        self.answers: dict[str, deque[tuple[float, float]]] = {}
        """Of each step: when it has answered, and after how many seconds."""
        self.unwell: frozenset[str] = frozenset()
        """Steps that do not answer."""
        self.operator: Json = {}
        self.readers = 0
        """Pages that are open; what costs requests is asked for them only."""
        self.heard = 0.0
        self.lost = ""
        self.loaded = False
        self._numbers = 0
        self._listed: list[Row] = []

    def begin(self) -> None:
        """A list begins, maybe anew. What is here stays until all of it has come."""
        self._listed = []

    def add(self, uploads: Iterable[Upload]) -> None:
        """A part of the list. Of each upload only its row is kept: it is a tenth of the size."""
        for upload in uploads:
            with self.changed:
                self._learn(upload)
            self._listed.append(Row(upload, 0))

    def load(self, uploads: Iterable[Upload] = ()) -> None:
        """The list is complete with these. Rows keep their numbers."""
        self.add(uploads)
        with self.changed:
            before, self.rows = self.rows, {}
            self.flying, self.ended, self.answers = {}, Counter(), {}
            for row in self._listed:
                old = before.get(row.key)
                row.number = old.number if old is not None else self._next_number()
                self._put(row, None)
            self._listed = []
            self._news()

    def put(self, upload: Upload) -> None:
        """An upload as it is now."""
        with self.changed:
            old = self.rows.get(upload.key)
            self._learn(upload)
            self._put(Row(upload, old.number if old is not None else self._next_number()), old)
            self._news()

    def drop(self, key: Key) -> None:
        """An upload that is gone."""
        with self.changed:
            self._forget(self.rows.pop(key, None))
            self._news()

    def hear(self) -> None:
        """The API server answers, and nothing is new."""
        with self.changed:
            self.heard = time.time()

    def lose(self, why: str) -> None:
        """What is here is not current any more."""
        with self.changed:
            self.lost = why
            self.version += 1
            self.changed.notify_all()

    def set_operator(self, operator: Json, unwell: Iterable[str]) -> None:
        """What is known of the operator, and the steps that it says nobody listens for."""
        with self.changed:
            self.operator = operator
            self.unwell = frozenset(unwell)
            self.version += 1
            self.changed.notify_all()

    def read_by(self, more: int) -> None:
        """A page was opened or closed."""
        with self.changed:
            self.readers += more

    def wait(self, version: int, seconds: float) -> None:
        """Until something is newer than that version, or the time is over."""
        with self.changed:
            if self.version == version:
                self.changed.wait(seconds)

    def stale(self, now: float) -> str:
        """Why what is here may be old; empty when it is current."""
        if self.lost:
            return self.lost
        if self.heard and now - self.heard > SILENT_SECONDS:
            return "no response from the API server"
        return ""

    def silent_steps(self) -> frozenset[str]:
        """The steps that do not answer, according to the operator or to stalled uploads."""
        with self.changed:
            rows = self.flying.values()
            stalled = {row.step for row in rows if row.unwell or (row.stuck and row.stage == Stage.RUNNING)}
            return self.unwell | stalled

    def find(self, wanted: Filter, now: float) -> Found:
        """The rows of a page in order."""
        unwell = self.silent_steps()
        with self.changed:
            rows = list((self.rows if wanted.reads_ended else self.flying).values())
        found = [row for row in rows if wanted.matches(row, now, unwell)]
        first = nsmallest(wanted.start + PAGE, found, key=lambda row: row.order(now, unwell))
        return Found(first[wanted.start :], len(found), sum(row.stuck for row in found))

    def snapshot(self, *, ended: bool = False) -> list[Row]:
        """The rows that are in flight, or all of them."""
        with self.changed:
            return list((self.rows if ended else self.flying).values())

    def stamp(self, key: Key) -> str:
        """What is another one after each change of an upload; empty when it is gone."""
        with self.changed:
            row = self.rows.get(key)
            return row.stamp or "0" if row is not None else ""

    def _next_number(self) -> int:
        self._numbers += 1
        return self._numbers

    def _learn(self, upload: Upload) -> None:
        for step in upload.steps:
            most = step.plan.get("maxInFlight")
            self.steps[step.name] = most if isinstance(most, int) else self.steps.get(step.name, 0)

    def _put(self, row: Row, old: Row | None) -> None:
        self._forget(old)
        self.rows[row.key] = row
        if row.ended:
            self.ended[row.status, row.failed] += 1
        else:
            self.flying[row.key] = row
        known = old.answers if old is not None else ()
        for answer in row.answers:
            if answer not in known:
                name, at, seconds = answer
                self.answers.setdefault(name, deque(maxlen=ANSWERS)).append((at, seconds))

    def _forget(self, row: Row | None) -> None:
        if row is not None and row.ended:
            self.ended[row.status, row.failed] -= 1
        elif row is not None:
            self.flying.pop(row.key, None)

    def _news(self) -> None:
        self.lost = ""
        self.loaded = True
        self.heard = time.time()
        self.version += 1
        self.changed.notify_all()
