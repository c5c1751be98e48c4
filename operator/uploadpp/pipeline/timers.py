"""One heap for all timers: a task per upload would cost a thousand times more."""

import asyncio
import heapq
import logging
from collections.abc import Callable

from uploadpp.core.model import Millis
from uploadpp.pipeline.tracked_upload import TrackedUpload

log = logging.getLogger(__name__)

LONGEST_SLEEP_SECONDS = 5.0
"""If the clock is set, a timer is at most this late."""

SPARE = 1024
"""How many entries the heap may have beyond twice the number of timers, and how often that is checked."""


class Timers:
    """Calls back for every upload whose time has come."""

    def __init__(self, clock: Callable[[], Millis]) -> None:
        self._clock = clock
        self._heap: list[tuple[Millis, int, TrackedUpload]] = []
        self._due: dict[TrackedUpload, Millis] = {}
        self._count = 0
        self._wake = asyncio.Event()

    def __len__(self) -> int:
        return len(self._due)

    @property
    def held(self) -> int:
        """How many entries are in memory, including outdated ones."""
        return len(self._heap)

    def set(self, tracked: TrackedUpload, at: Millis | None) -> None:
        """Wake an upload at a time, in place of any timer that it has; None cancels."""
        if at is None:
            self._due.pop(tracked, None)
            return
        if self._due.get(tracked) == at:
            return
        self._due[tracked] = at
        self._count += 1
        heapq.heappush(self._heap, (at, self._count, tracked))
        if self._heap[0][2] is tracked:
            self._wake.set()
        if not self._count % SPARE and len(self._heap) > 2 * len(self._due) + SPARE:
            self._compact()

    def _compact(self) -> None:
        """Drop what was replaced or cancelled: it would keep uploads in memory until its time comes."""
        self._heap = [each for each in self._heap if self._due.get(each[2]) == each[0]]
        heapq.heapify(self._heap)

    def next_due(self) -> Millis | None:
        """When the next upload is due."""
        while self._heap and self._due.get(self._heap[0][2]) != self._heap[0][0]:
            heapq.heappop(self._heap)  # replaced or cancelled since
        return self._heap[0][0] if self._heap else None

    def pop_due(self) -> list[TrackedUpload]:
        """Remove and return the uploads whose time has come."""
        due: list[TrackedUpload] = []
        now = self._clock()
        while (at := self.next_due()) is not None and at <= now:
            tracked = heapq.heappop(self._heap)[2]
            self._due.pop(tracked, None)
            due.append(tracked)
        return due

    def fire(self, act: Callable[[TrackedUpload], None]) -> None:
        """Call `act` for the uploads that are due now."""
        for tracked in self.pop_due():
            try:
                act(tracked)
            except Exception:
                log.exception("timer failed; other uploads continue", extra={"upload": tracked.upload.id})

    async def run(self, act: Callable[[TrackedUpload], None]) -> None:
        """Call `act` for uploads as they become due, until cancelled."""
        while True:
            self.fire(act)
            at = self.next_due()
            sleep = LONGEST_SLEEP_SECONDS if at is None else (at - self._clock()) / 1000
            self._wake.clear()
            try:
                async with asyncio.timeout(min(max(sleep, 0.001), LONGEST_SLEEP_SECONDS)):
                    await self._wake.wait()
            except TimeoutError:
                pass
