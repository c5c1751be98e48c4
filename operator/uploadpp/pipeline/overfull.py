"""Makes room in the window if half of it waits for ends that cannot be recorded (docs/adr/0036).

The messages of an upload that has ended wait as long as its resource says that it is still under way: after
a restart that would be believed. While the API server refuses the status, and lets resources be
removed, removing it is the other way to make it say nothing wrong. An upload that is refused alone need not
wait for that: its end is noted in the Lease (`resources.noted_ends`), while there is room for such notes.
"""

import asyncio
import logging

from uploadpp.kube.errors import ApiError, Refusal, RefusedError
from uploadpp.kube.store import Stored, stored
from uploadpp.pipeline.acks import AckTracker
from uploadpp.pipeline.ports import Resources
from uploadpp.pipeline.tracked_upload import SEVERAL_ALONE, TrackedUpload
from uploadpp.pipeline.uploads import Uploads

log = logging.getLogger(__name__)

LOOK_SECONDS = 1.0
QUIET_SECONDS = 60.0


class Overfull:
    """Makes room in the window of one shard."""

    def __init__(self, uploads: Uploads, acks: AckTracker, resources: Resources) -> None:
        self._uploads = uploads
        self._acks = acks
        self._resources = resources
        self._quiet_until = 0.0

    def __len__(self) -> int:
        return len(self._acks)

    @property
    def is_half_full(self) -> bool:
        """Whether the window is half full."""
        return self._acks.is_half_full

    async def run(self) -> None:
        """Look once a second, until cancelled."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            if self.is_half_full:
                await self._make_room()

    async def _make_room(self) -> None:
        """Remove what says that uploads are under way that are over, in the order of the log.

        Nothing behind an upload that is not over could be acknowledged.
        """
        holding = [
            (tracked.first_deferred, tracked) for tracked in self._uploads.in_memory if tracked.first_deferred
        ]
        for _, tracked in sorted(holding, key=lambda each: each[0]):
            if tracked.noted:
                continue
            if not (self.is_half_full and _is_wrong(tracked)):
                return
            try:
                if not await self._remove(tracked):
                    return
            except ApiError as error:
                self._warn(error)
                return
            if not tracked.gone:
                log.warning(
                    "the upload has ended but that cannot be recorded; deleted its resource, which showed "
                    "an outdated state",
                    extra={"upload": tracked.upload.id, "stage": tracked.upload.stage},
                )
                self._uploads.forget(tracked)

    async def _remove(self, tracked: TrackedUpload) -> bool:
        """Remove the resource of an upload; False when it has none, which is soon found out elsewhere.

        Raises:
            ApiError: it is there as before, or that is not known.
        """
        known = tracked.stored or await self._find(tracked)
        if known is None:
            return False
        await self._resources.delete(tracked.name, known.uid)
        left = await self._resources.get(tracked.name)
        if left is not None and stored(left).uid == known.uid:
            raise RefusedError(f"{tracked.name} is being deleted, and a finalizer holds it")
        tracked.stored = known  # a late event about it is ignored
        return True

    async def _find(self, tracked: TrackedUpload) -> Stored | None:
        """The resource that somebody has made for an upload, and that could not be claimed."""
        found = await self._resources.get(tracked.name)
        if found is None:
            return None
        if found["spec"]["upload"]["id"] != tracked.upload.id:
            raise RefusedError(f"{tracked.name} belongs to another upload", Refusal.NAME)
        return stored(found)

    def _warn(self, error: ApiError) -> None:
        now = asyncio.get_running_loop().time()
        if now >= self._quiet_until:
            self._quiet_until = now + QUIET_SECONDS
            log.error(
                "half of the acknowledgement window is held by ended uploads that cannot be recorded: %s",
                error,
            )


def _is_wrong(tracked: TrackedUpload) -> bool:
    """Whether the resource of an ended upload says that it is in flight, and may say so for long."""
    refused = tracked.refused
    if refused is None or refused.reason is Refusal.UNREACHABLE or not tracked.upload.stage.ended:
        return False
    late = tracked.stored is None and refused.unanswered  # its creation may still arrive, after a removal
    just_noted = refused.is_alone and refused.alone == SEVERAL_ALONE  # then nothing needs to be removed
    return tracked.storable and not late and not just_noted
