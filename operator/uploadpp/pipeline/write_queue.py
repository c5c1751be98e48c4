"""Uploads that wait to be written, in the order in which they became storable (invariant 2.2).

An upload stands in here once, however often it changes: the writer takes its newest state. `queued` is set
from `put` until that state is written. An upload that could not be written is parked (`pipeline.refusals`)
and stays `queued`. It comes back by `again`, and what happens to it meanwhile goes into the same write.
"""

import asyncio
from collections import deque

from uploadpp.pipeline.acks import AckTracker
from uploadpp.pipeline.refusals import Refusals
from uploadpp.pipeline.tracked_upload import TrackedUpload


class WriteQueue:
    """Those of one shard, between the applier and the checkpoint."""

    def __init__(self, acks: AckTracker, refusals: Refusals) -> None:
        self._acks = acks
        self._refusals = refusals
        self._waiting: deque[tuple[float, TrackedUpload]] = deque()
        self._wake = asyncio.Event()

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def oldest_seconds(self) -> float:
        """How long the first has waited."""
        return asyncio.get_running_loop().time() - self._waiting[0][0]

    def put(self, tracked: TrackedUpload) -> None:
        """Have an upload written soon."""
        if not tracked.queued:
            tracked.queued = True
            self.again(tracked)
        elif tracked.refused is not None:
            self.note_end(tracked)

    def again(self, tracked: TrackedUpload) -> None:
        """Have an upload written that was parked."""
        self._waiting.append((asyncio.get_running_loop().time(), tracked))
        self._wake.set()

    def note_end(self, tracked: TrackedUpload) -> None:
        """An upload cannot be recorded: if it has ended, nothing waits for that any more."""
        if tracked.is_unrecorded_end:
            self._acks.release_all(tracked.take_covered())
            self._refusals.ended(tracked)

    def pop(self) -> TrackedUpload:
        """Take the first."""
        return self._waiting.popleft()[1]

    def begin_round(self) -> None:
        """Uploads that come from now on end the next `wait`."""
        self._wake.clear()

    def wake(self) -> None:
        """End the `wait`: a writer is free."""
        self._wake.set()

    async def wait(self, seconds: float | None) -> None:
        """Wait until something comes, but no longer than that."""
        try:
            async with asyncio.timeout(seconds):
                await self._wake.wait()
        except TimeoutError:
            pass
