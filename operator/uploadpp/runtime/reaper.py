"""Removing resources whose time to live is over, gently: it is the least urgent thing we do."""

import asyncio
import heapq
import logging
from collections.abc import Callable

from uploadpp.core.model import Millis
from uploadpp.kube.errors import ApiError, ConflictError
from uploadpp.kube.store import stored
from uploadpp.runtime.coordinator import Coordinator
from uploadpp.runtime.entry import Entry
from uploadpp.runtime.ledger import Ledger
from uploadpp.runtime.ports import Resources

log = logging.getLogger(__name__)

PERIOD_SECONDS = 1.0
AT_ONCE = 4


class Reaper:
    """Removes ended uploads from the API server and from memory.

    An upload is kept until the log up to its last input is acknowledged: were it gone
    before, a replay would take its BytesReceived for a new one.
    """

    def __init__(
        self,
        coordinator: Coordinator,
        resources: Resources,
        ledger: Ledger,
        clock: Callable[[], Millis],
        max_kept: int,
    ) -> None:
        self._coordinator = coordinator
        self._resources = resources
        self._ledger = ledger
        self._clock = clock
        self._max_kept = max_kept
        self._heap: list[tuple[Millis, int, Entry]] = []
        self._count = 0

    def watch(self, entry: Entry) -> None:
        """An upload has ended and that is stored: remove it when it is time."""
        if entry.upload.expires_at is not None:
            self._count += 1
            heapq.heappush(self._heap, (entry.upload.expires_at, self._count, entry))

    async def run(self) -> None:
        """Remove what is due, until cancelled."""
        while True:
            await asyncio.sleep(PERIOD_SECONDS)
            due = self._pop_due()
            for start in range(0, len(due), AT_ONCE):
                await asyncio.gather(*(self._remove(entry) for entry in due[start : start + AT_ONCE]))

    def _pop_due(self) -> list[Entry]:
        """What has expired, and what expires next as far as there are more than may be kept."""
        due, now = [], self._clock()
        while self._heap and (self._heap[0][0] <= now or len(self._heap) > self._max_kept):
            at, _, entry = heapq.heappop(self._heap)
            if not entry.gone and entry.upload.expires_at == at:
                due.append(entry)
        return due

    async def _remove(self, entry: Entry) -> None:
        if entry.gone or not entry.upload.stage.ended:
            return
        if entry.dirty or entry.stored is None or self._ledger.acknowledged < entry.upload.log.sequence:
            self._later(entry)
            return
        try:
            await self._resources.delete(entry.name, entry.stored.uid, entry.stored.version)
        except ConflictError:
            # Edited meanwhile; if that was a restart, the upload will have moved on by the next look.
            current = await self._resources.get(entry.name)
            if current is not None and stored(current).uid == entry.stored.uid:
                entry.stored = stored(current)
            self._later(entry)
        except ApiError as error:
            log.warning("resource not removed yet: %s", error)
            self._later(entry)
        else:
            self._coordinator.forget(entry)

    def _later(self, entry: Entry) -> None:
        self._count += 1
        heapq.heappush(self._heap, (entry.upload.expires_at or Millis(0), self._count, entry))
