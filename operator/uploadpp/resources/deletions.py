"""Resources that no longer exist: deleted by a person, or removed with the CRD or namespace (docs/adr/0034).

A person who deletes a resource wants its upload forgotten. When the CRD or the namespace is removed, every
resource goes with it, and nobody has decided anything about the uploads. So before an upload that is
not over is forgotten, the API server is asked whether it would take such a resource at all. It answers no
while the CRD or the namespace is being removed, and after that. Until it has answered, messages of the
upload wait here; whatever the answer is, they are then applied to what the upload is.

A resource that was deleted, and is held by somebody's finalizer, counts as one that no longer exists.
"""

import asyncio
import contextlib
import logging
from dataclasses import dataclass

from uploadpp.core.evolve import evolve
from uploadpp.core.model import Millis
from uploadpp.core.naming import resource_name
from uploadpp.kube.errors import ApiError, OlderStoreError
from uploadpp.kube.store import is_terminating, stored, version_of
from uploadpp.pipeline.acks import PendingMessage
from uploadpp.pipeline.deferred import Deferral, DeferredMessage, DeferredMessages
from uploadpp.pipeline.faults import Faults
from uploadpp.pipeline.ports import Resources
from uploadpp.pipeline.router import Router
from uploadpp.pipeline.tracked_upload import TrackedUpload
from uploadpp.pipeline.uploads import Uploads
from uploadpp.resources.bucket_labels import BucketLabels
from uploadpp.resources.forgotten import ForgottenResources
from uploadpp.wire.decode import Event

log = logging.getLogger(__name__)

PAUSE_SECONDS = 0.05
SECOND_LOOK_SECONDS = 1.0
"""With several API servers, one may learn later than the others that a CRD is being removed."""
AFTERWARDS_SECONDS = 5.0
"""A deletion reported this soon after the CRD was missing came with it. The CRD may be back already."""
UNDECIDED_SECONDS = 10.0
"""If the reason stays unknown for this long, the upload continues: a forgotten one cannot be recovered."""


@dataclass(slots=True, eq=False)
class _Doubt:
    """An upload whose resource is not there any more."""

    tracked: TrackedUpload
    since: float


class Vanished:
    """The uploads of one shard whose resources are not there any more, until it is clear why."""

    def __init__(
        self,
        uploads: Uploads,
        faults: Faults,
        finished: Deferral,
        forgotten: ForgottenResources,
        labels: BucketLabels,
        resources: Resources,
    ) -> None:
        self._uploads = uploads
        self._faults = faults
        self._finished = finished
        self._forgotten = forgotten
        self._labels = labels
        self._resources = resources
        self._doubts: dict[str, _Doubt] = {}
        self._missing_until = 0.0
        self._deferred = DeferredMessages()
        self._wake = asyncio.Event()

    def __len__(self) -> int:
        return len(self._doubts)

    def defer(self, event: Event, sequence: int, timestamp: Millis, message: PendingMessage) -> bool:
        """Keep a message until the fate of its upload is clear; others may be about finished uploads."""
        if event.upload_id not in self._doubts:
            return self._finished.defer(event, sequence, timestamp, message)
        self._deferred.keep(DeferredMessage(event, sequence, timestamp, message))
        return True

    def doubt(self, tracked: TrackedUpload, *, with_kind: bool = False) -> None:
        """A resource no longer exists; `with_kind` says that the CRD was missing too."""
        if tracked.gone or tracked.upload.id in self._doubts:
            return
        if tracked.upload.stage.ended and not tracked.dirty:
            self._forget(tracked)
            return
        now = asyncio.get_running_loop().time()
        if with_kind or now < self._missing_until:
            self._keep(tracked)
        else:
            self._doubts[tracked.upload.id] = _Doubt(tracked, now)
            tracked.unpublished += 1  # no timer, and no write, until it is clear
            self._wake.set()

    async def run(self, router: Router) -> None:
        """Find out why resources are gone, until cancelled; `router` gets their messages back."""
        loop = asyncio.get_running_loop()
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(SECOND_LOOK_SECONDS if self._doubts else None):
                    await self._wake.wait()
            self._wake.clear()
            asked, began = list(self._doubts.values()), loop.time()
            newest = max((version_of(d.tracked.stored) for d in asked if d.tracked.stored), default=0)
            taken = await self._are_taken() if asked else None
            if taken is False:
                self._missing_until = loop.time() + AFTERWARDS_SECONDS
                asked = list(self._doubts.values())
            for doubt in asked:
                age = began - doubt.since
                if taken is False or (taken is None and age >= UNDECIDED_SECONDS):
                    self._decide(doubt, router, keep=True)
                elif taken and age >= SECOND_LOOK_SECONDS:
                    await self._look_again(doubt, router, newest)
            await asyncio.sleep(PAUSE_SECONDS)

    async def _look_again(self, doubt: _Doubt, router: Router, newest: int) -> None:
        """Forget an upload whose resource is gone. A fault of ours on one keeps nobody from the others.

        Raises:
            OlderStoreError: nobody has deleted it: etcd was put back to before version `newest`.
        """
        try:
            if not await self._is_there(doubt, router, newest):
                self._decide(doubt, router, keep=False)
        except OlderStoreError:
            raise
        except Exception as error:  # noqa: BLE001 -- logged in `Faults.report`
            self._faults.report(doubt.tracked, error)
            if self._doubts.get(doubt.tracked.upload.id) is doubt:
                self._decide(doubt, router, keep=True)

    async def _is_there(self, doubt: _Doubt, router: Router, newest: int) -> bool:
        """Whether it is not gone at all: of what has another label now the watch says that it is deleted."""
        tracked = doubt.tracked
        try:
            # A list, because it tells the version of the store also when the resource is not in it.
            listing = self._resources.list_all(fields=f"metadata.name={tracked.name}", newest=newest)
            found = next(iter([each async for each in listing]), None)
        except ApiError as error:
            log.debug("cannot tell whether a resource was deleted: %s", error)
            return True  # it is asked for again
        if found is None or tracked.gone or tracked.stored is None or stored(found).uid != tracked.stored.uid:
            return False
        if is_terminating(found):
            return False
        tracked.stored = stored(found)
        self._forgotten.restore(tracked.stored.uid)
        self._labels.check(found, tracked.upload.id)
        self._decide(doubt, router, keep=None)
        return True

    async def is_decided(self) -> bool:
        """Whether somebody has deleted just the resources that are gone, as far as the API server says.

        False also if it does not say.
        """
        if not await self._are_taken():
            return False
        await asyncio.sleep(SECOND_LOOK_SECONDS)
        return bool(await self._are_taken())

    async def _are_taken(self) -> bool | None:
        """Whether the API server accepts such resources; None if that is unknown."""
        try:
            return await self._resources.takes_new()
        except ApiError as error:
            log.debug("cannot tell whether the CRD exists: %s", error)
            return None

    def _decide(self, doubt: _Doubt, router: Router, *, keep: bool | None) -> None:
        """Decide about an upload: record it again, forget it, or, with None, change nothing."""
        tracked = doubt.tracked
        del self._doubts[tracked.upload.id]
        with self._faults.isolated(tracked):
            if not tracked.gone:
                tracked.unpublished -= 1
                if keep is None:
                    self._uploads.go_on(tracked)
                else:
                    (self._keep if keep else self._forget)(tracked)
        router.hand_back(tracked.upload.id, self._deferred.take(tracked.upload.id))

    def _forget(self, tracked: TrackedUpload) -> None:
        log.info(
            "resource deleted; the operator stops tracking the upload", extra={"upload": tracked.upload.id}
        )
        self._uploads.forget(tracked)

    def _keep(self, tracked: TrackedUpload) -> None:
        """Go on with an upload from memory, and record it as if it had never been."""
        log.warning(
            "the resource was deleted with its CRD or namespace; the upload continues and will be recorded "
            "again",
            extra={"upload": tracked.upload.id},
        )
        upload = tracked.upload
        tracked.stored = tracked.sealed = None
        tracked.version += 1
        # The generations of a new resource begin anew.
        control = evolve(upload.control, generation=1)
        tracked.upload = evolve(upload, control=control, observed_generation=1)
        self._uploads.rename(tracked, resource_name(upload.id))
        self._uploads.go_on(tracked)
