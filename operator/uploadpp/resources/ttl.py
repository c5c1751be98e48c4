"""Deletes resources whose time to live has expired, slowly: nothing is less urgent."""

import asyncio
import logging
from collections.abc import Callable, Iterator

from uploadpp.core.model import Millis
from uploadpp.kube.errors import ApiError, ConflictError, RefusedError
from uploadpp.kube.store import stored
from uploadpp.pipeline.ports import Resources
from uploadpp.pipeline.tracked_upload import TrackedUpload
from uploadpp.pipeline.write_throttle import removals
from uploadpp.resources.ended import EndedUploads
from uploadpp.resources.event_handler import ResourceEventHandler
from uploadpp.resources.finished import FinishedUpload, FinishedUploads

log = logging.getLogger(__name__)

PERIOD_SECONDS = 1.0
MOST_AT_ONCE = 16
FAILURES_IN_A_ROUND = 16
"""After this many refused removals, the others wait for the next round."""
LONGEST_PAUSE_MS = 600_000
QUIET_MS = 60_000
MARK_MS = 1_000
EASE = 50
"""One more concurrent removal for this many per second: sequential removals would be too slow."""


class TTLController:
    """Evicts uploads that have ended, and deletes their resources when their time to live has expired.

    An upload is kept until the stream has the acknowledgement of its last input: were it gone
    before, a replay would take its BytesReceived for a new one.
    """

    def __init__(
        self,
        finished: FinishedUploads,
        inputs: ResourceEventHandler,
        resources: Resources,
        ended: EndedUploads,
        clock: Callable[[], Millis],
        max_kept: int,
    ) -> None:
        self._finished = finished
        self._inputs = inputs
        self._resources = resources
        self._clock = clock
        self._max_kept = max_kept
        self._ended = ended
        self._failures = 0
        self._quiet_until = 0

    async def run(self) -> None:
        """Remove what is due, until cancelled."""
        loop = asyncio.get_running_loop()
        next_at = loop.time()
        while True:
            next_at = max(next_at + PERIOD_SECONDS, loop.time())
            await asyncio.sleep(next_at - loop.time())
            for tracked in list(self._ended):
                try:
                    if self._is_dealt_with(tracked):
                        self._ended.remove(tracked)
                except Exception as error:
                    self._ended.remove(tracked)
                    log.exception(
                        "cannot evict a finished upload; it stays in memory",
                        extra={"upload": tracked.upload.id},
                    )
                    self._inputs.failed(tracked.name, tracked.stored.uid if tracked.stored else "", error)
            overdue = self._finished.overdue(self._clock(), max(self._max_kept - len(self._ended), 0))
            most = removals(overdue, self._ended.rate(PERIOD_SECONDS))
            due = self._finished.due(most)
            left, self._failures = iter(enumerate(due)), 0
            width = min(1 + most // EASE, MOST_AT_ONCE)
            await asyncio.gather(*(self._remove_all(left, next_at, most) for _ in range(width)))

    def _is_dealt_with(self, tracked: TrackedUpload) -> bool:
        """Evict an upload that has ended; False when it is too early for that."""
        if tracked.gone or not tracked.upload.stage.ended:
            return True
        return not self._inputs.is_awaited(tracked) and self._finished.evict(tracked)

    async def _remove_all(self, left: Iterator[tuple[int, FinishedUpload]], begun: float, most: int) -> None:
        """Remove what is left of a round, evenly over its time."""
        loop = asyncio.get_running_loop()
        for number, each in left:
            await asyncio.sleep(max(begun + number * PERIOD_SECONDS / most - loop.time(), 0))
            if self._failures < FAILURES_IN_A_ROUND:
                try:
                    await self._remove(each)
                except Exception:
                    log.exception(
                        "cannot delete a resource; continuing with the others", extra={"resource": each.name}
                    )
            else:
                self._finished.later(each)

    async def _remove(self, evicted: FinishedUpload) -> None:
        uid = evicted.stored.uid
        if self._inputs.is_needed(evicted.upload_id):  # without this one, the other would begin
            evicted.not_before = Millis(self._clock() + MARK_MS)
            self._finished.later(evicted)
            return
        try:
            try:
                await self._resources.delete(evicted.name, uid, evicted.stored.version)
            except ConflictError as error:
                # Edited meanwhile: it may be wanted again.
                current = await self._resources.get(evicted.name)
                if current is not None and stored(current).version == evicted.stored.version:
                    raise RefusedError(str(error)) from error  # it only looks like a conflict
                if current is not None:
                    self._inputs.seen(current)
                self._finished.later(evicted)
                return
        except ApiError as error:
            self._refused(evicted, error)
        except Exception as error:  # noqa: BLE001 -- logged in `failed`
            self._inputs.failed(evicted.name, uid, error)
            evicted.not_before = Millis(self._clock() + LONGEST_PAUSE_MS)
            self._finished.later(evicted)
        else:
            self._inputs.gone(evicted.name, uid)

    def _refused(self, evicted: FinishedUpload, error: ApiError) -> None:
        """Retry with growing pauses: whatever forbids the removal may do so for long."""
        self._failures += 1
        evicted.refusals += 1
        pause = min(1000 * 2 ** min(evicted.refusals, 20), LONGEST_PAUSE_MS)
        evicted.not_before = Millis(self._clock() + pause)
        self._finished.later(evicted)
        now = self._clock()
        level = logging.WARNING if now >= self._quiet_until else logging.DEBUG
        if level == logging.WARNING:
            self._quiet_until = now + QUIET_MS
        log.log(level, "resource not deleted, retrying: %s", error, extra={"resource": evicted.name})
