"""Shows on uploads that no service listens for their step, long before they stall.

Which steps that are, `ownership.step_listeners` finds out. It is written into the status and is not part of
the state: no rule reads it, and after a restart it counts for nothing but what a resource shows already.

An upload that moves costs no write. One that waits is written once when it has waited for some time, and
once more when a service is there and has not answered it yet: the oldest first, a bounded number a second,
and only while hardly anything else waits to be written.
"""

import asyncio
from collections.abc import Callable

from uploadpp.core.conditions import Unserved, may_be_unserved
from uploadpp.pipeline.shared import Shared
from uploadpp.pipeline.tracked_upload import TrackedUpload
from uploadpp.pipeline.uploads import Uploads
from uploadpp.pipeline.write_queue import WriteQueue

LOOK_SECONDS = 2.0
GRACE_MS = 5_000
"""Time that an upload must have waited at its step before that is worth a write."""
WRITES = 50
"""Writes in one look, of all shards together. 10,000 uploads take less time than they need to stall."""
RARELY = 30
"""Every how many looks all uploads are checked, although nothing is known to be wrong."""

UnservedNames = Callable[[], frozenset[str] | None]
"""The steps that no service listens for; None while that is not known yet."""


class UnservedSteps:
    """The uploads of one shard that are at such a step."""

    def __init__(self, shared: Shared, uploads: Uploads, queue: WriteQueue, unserved: UnservedNames) -> None:
        self._faults = shared.faults
        self._clock = shared.clock
        self._writes = max(1, WRITES // shared.shard.count)
        self._uploads = uploads
        self._queue = queue
        self._unserved = unserved
        self._shown, self._rest = True, 0

    async def run(self) -> None:
        """Look again and again, until cancelled."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            self.look()

    def look(self) -> None:
        """Have uploads written that show something else than what is known."""
        unserved, room = self._unserved(), self._writes - len(self._queue)
        if unserved is None or room <= 0:
            return
        self._rest -= 1
        if not unserved and not self._shown and self._rest > 0:
            return
        self._shown, self._rest, now = False, RARELY, self._clock()
        for tracked in list(self._uploads.in_memory):
            if tracked.unserved is None and not unserved:
                continue
            self._shown = True
            step = tracked.upload.current_step
            shows = tracked.unserved is not None and tracked.unserved.step == step
            if shows is (step in unserved):
                if not shows:
                    tracked.unserved = None  # it was about an earlier step, and a status leaves that out
                continue
            with self._faults.isolated(tracked):
                room -= self._change(tracked, None if shows else Unserved(step, now))
            if room <= 0:
                return

    def _change(self, tracked: TrackedUpload, unserved: Unserved | None) -> int:
        """Have the resource of an upload show something else; returns how many writes that takes."""
        upload, rides_along = tracked.upload, tracked.queued
        if tracked.unpublished or tracked.gone or tracked.refused is not None:
            return 0  # it moves, or cannot be written
        if unserved is not None and unserved.since - upload.since < GRACE_MS:
            return 0
        tracked.unserved = unserved
        if not may_be_unserved(upload):
            return 0  # it is not shown at this stage
        tracked.version += 1
        self._uploads.record(tracked)
        return 0 if rides_along else 1
