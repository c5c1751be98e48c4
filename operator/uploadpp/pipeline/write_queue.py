"""Uploads that wait to be written, in the order in which they became storable (invariant 2.2).

An upload stands in here once, however often it changes: the writer takes its newest state. `queued` is set
from `put` until that state is written. An upload that could not be written is parked (`pipeline.refusals`)
and stays `queued`. It comes back by `again`, and what happens to it meanwhile goes into the same write.
"""

import asyncio
from collections import deque

from uploadpp.pipeline.acks import AckTracker
from uploadpp.pipeline.refusals import Refusals
from uploadpp.pipeline.tracked_upload import Refused, TrackedUpload


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
        if not tracked.upload.stage.ended:
            tracked.maybe_made = True  # whatever was looked for at an end before
            tracked.noted = False
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

    def in_doubt(self) -> list[tuple[TrackedUpload, Refused | None]]:
        """Uploads that have ended, and are refused, while a resource may be there; and the last refusal."""
        return [(tracked, tracked.refused) for tracked in self._refusals.in_doubt()]

    def unwritable(self) -> list[tuple[TrackedUpload, Refused]]:
        """Uploads that have ended, are refused alone, and have a resource that says otherwise or may."""
        return [(each, each.refused) for each in self._refusals.unwritable() if each.refused is not None]

    def noted(self, tracked: TrackedUpload, refused: Refused) -> bool:
        """Let the messages of an end go that was noted since that refusal; False if there was another."""
        if tracked.gone or not tracked.upload.stage.ended or tracked.refused is not refused:
            return False
        tracked.noted = True
        self.note_end(tracked)
        return True

    def absent(self, tracked: TrackedUpload, refused: Refused | None) -> None:
        """Since that refusal there was no resource of an upload that has ended.

        An attempt that has begun later may have made one, or it goes on: then there is another look.
        """
        if tracked.upload.stage.ended and not tracked.creating and tracked.refused is refused:
            tracked.maybe_made = False
            self.note_end(tracked)

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
