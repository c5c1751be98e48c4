"""Asks the storage about uploads that it seems to have lost (docs/adr/0033).

The storage drops an upload without a word when its file, folder or space is removed, and then answers
nothing that we publish. Its download URL says so: 404 or 410. One such answer proves little, because a
proxy may say it while the storage restarts: only several, with time in between, end an upload. Every
other answer, and none at all, proves nothing.
"""

import asyncio
import heapq
import json
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import NamedTuple

from uploadpp.core.inputs import Absent, Input
from uploadpp.core.model import Millis, Origin
from uploadpp.core.rules.absence import is_doubtful
from uploadpp.core.states import Stage
from uploadpp.pipeline.ports import Ask
from uploadpp.pipeline.shared import Shared
from uploadpp.pipeline.tracked_upload import TrackedUpload
from uploadpp.pipeline.uploads import Uploads

Apply = Callable[[TrackedUpload, Input], None]
ABSENT = {HTTPStatus.NOT_FOUND, HTTPStatus.GONE}
ENOUGH = 3
"""This many answers in a row that the upload is absent are believed."""
AT_ONCE = 4
"""Maximum number of concurrent requests."""
LONGEST_PAUSE_SECONDS = 600.0


class Questions(NamedTuple):
    """How the storage is asked."""

    ask: Ask | None
    """None when it is not asked."""
    every_seconds: float
    """The time between two questions about an upload."""


@dataclass(slots=True, eq=False)
class _Doubt:
    """An upload that is asked about, and what was answered so far."""

    tracked: TrackedUpload
    origin: Origin
    run: int
    pause_seconds: float
    absences: int = 0

    @property
    def stands(self) -> bool:
        """Whether there still is a reason to ask."""
        upload = self.tracked.upload
        if self.tracked.gone or upload.run != self.run or upload.origin.url != self.origin.url:
            return False
        tried_again = self.absences > 0 and upload.stage in {Stage.RUNNING, Stage.BACKING_OFF}
        return tried_again or is_doubtful(upload)


class LostUploads:
    """The uploads of one shard that the storage may have lost."""

    def __init__(
        self,
        shared: Shared,
        questions: Questions,
        has_read: Callable[[Millis], bool],
    ) -> None:
        """`has_read` says whether everything that the log has stored until a time is known."""
        self._metrics = shared.metrics
        self._clock = shared.clock
        self._faults = shared.faults
        self._ask, self._interval = questions
        self._has_read = has_read
        self._open: dict[TrackedUpload, _Doubt] = {}
        self._heap: list[tuple[float, int, _Doubt]] = []
        self._count = 0
        self._wake = asyncio.Event()

    def __len__(self) -> int:
        return len(self._open)

    def look(self, tracked: TrackedUpload) -> None:
        """Ask about an upload from now on, if it looks as if the storage had lost it."""
        upload = tracked.upload
        if self._ask is None or not is_doubtful(upload) or not upload.origin.has_url:
            return
        known = self._open.get(tracked)
        if known is not None and known.stands:
            return
        doubt = _Doubt(tracked, upload.origin, upload.run, self._interval)
        self._open[tracked] = doubt
        self._plan(doubt, 0)

    async def run(self, uploads: Uploads, apply: Apply) -> None:
        """Ask, until cancelled; `apply` is told of the answers that count."""
        for tracked in uploads.in_memory:
            with self._faults.isolated(tracked):
                self.look(tracked)
        await asyncio.gather(*(self._work(self._ask, apply) for _ in range(AT_ONCE)))

    async def _work(self, ask: Ask | None, apply: Apply) -> None:
        while True:
            doubt = await self._next()
            if self._open.get(doubt.tracked) is not doubt:
                continue
            try:
                if not await self._asked(doubt, ask, apply):
                    self._drop(doubt)
            except Exception as error:  # noqa: BLE001 -- logged in `Faults.report`
                self._faults.report(doubt.tracked, error)
                self._plan(doubt, LONGEST_PAUSE_SECONDS)

    async def _asked(self, doubt: _Doubt, ask: Ask | None, apply: Apply) -> bool:
        """Ask about an upload; False if there is no longer a reason to."""
        if ask is None or not doubt.stands or self._has_expired(doubt.origin):
            return False
        asked_at = self._clock()
        status = await ask(json.loads(doubt.origin.url))
        self._metrics.storage_checks.labels(_result(status)).inc()
        self._answered(doubt, status, asked_at, apply)
        return True

    def _answered(self, doubt: _Doubt, status: int | None, asked_at: Millis, apply: Apply) -> None:
        if not doubt.stands:
            self._drop(doubt)
        elif status is None or status not in ABSENT:
            doubt.absences = 0
            self._plan(doubt, doubt.pause_seconds)
            doubt.pause_seconds = min(doubt.pause_seconds * 2, LONGEST_PAUSE_SECONDS)
        elif not self._has_read(asked_at) or doubt.tracked.unpublished:  # what the log says comes first
            self._plan(doubt, self._interval)
        else:
            doubt.absences += 1
            lasting = doubt.absences >= ENOUGH
            apply(doubt.tracked, Absent(status, lasting=lasting))
            self._plan(doubt, self._interval)

    def _has_expired(self, origin: Origin) -> bool:
        return origin.url_expires_at is not None and origin.url_expires_at <= self._clock()

    def _drop(self, doubt: _Doubt) -> None:
        if self._open.get(doubt.tracked) is doubt:
            del self._open[doubt.tracked]

    def _plan(self, doubt: _Doubt, seconds: float) -> None:
        self._count += 1
        at = asyncio.get_running_loop().time() + seconds
        heapq.heappush(self._heap, (at, self._count, doubt))
        self._wake.set()

    async def _next(self) -> _Doubt:
        loop = asyncio.get_running_loop()
        while True:
            wait = self._heap[0][0] - loop.time() if self._heap else None
            if wait is not None and wait <= 0:
                return heapq.heappop(self._heap)[2]
            self._wake.clear()
            try:
                async with asyncio.timeout(wait):
                    await self._wake.wait()
            except TimeoutError:
                pass


def _result(status: int | None) -> str:
    if status is None:
        return "unreachable"
    if status in ABSENT:
        return "absent"
    return "present" if status in {HTTPStatus.OK, HTTPStatus.PARTIAL_CONTENT} else "unclear"
