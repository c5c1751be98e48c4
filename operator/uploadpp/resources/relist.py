"""Listing resources: before the log is replayed, and again whenever a watch begins anew.

If many finished ones are kept, those are read after the start. Until then the operator asks for each upload
that it does not know (docs/adr/0014).

Kopf tells what happens to resources from a moment on; what is older, and what it has missed, is found
here. Of its own listing it gets nothing (`resources.watch.kopf_session`).
"""

import asyncio
import contextlib
import logging

from uploadpp.core.naming import resource_name
from uploadpp.core.sharding import BUCKET_LABEL
from uploadpp.kube.errors import ApiError, RefusedError
from uploadpp.kube.store import is_terminating, stored, version_of
from uploadpp.pipeline.ports import Json, Resources, Watching
from uploadpp.pipeline.uploads import Uploads
from uploadpp.pipeline.write_guard import WriteGuard
from uploadpp.resources.event_handler import ResourceEventHandler
from uploadpp.resources.finished import FinishedUploads, id_in

log = logging.getLogger(__name__)

AGAIN_SECONDS = 5.0

SOON_READ = 500
"""Up to this many resources, plus one per message to replay, listing is faster than single requests."""

NEEDED = (
    ("", "status.completionTime="),
    ("", "status.completionTime!=,status.currentStep=finished"),  # not released: for a Resume of that step
    ("", "status.completionTime!=,spec.restart.token!="),  # perhaps edited since
    (f"!{BUCKET_LABEL}", "status.completionTime!="),  # made by hand: its name need not be that of its upload
)
"""Selectors of labels and fields for all that is not over, and all that a replay might not find by name."""


class Lister:
    """The resources of one shard, read page by page."""

    def __init__(
        self,
        uploads: Uploads,
        finished: FinishedUploads,
        inputs: ResourceEventHandler,
        resources: Resources,
        guard: WriteGuard,
        selector: str,
    ) -> None:
        self._uploads = uploads
        self._finished = finished
        self._inputs = inputs
        self._resources = resources
        self._guard = guard
        self._selector = selector
        self._are_deleted: bool | None = None
        """Whether resources that are being deleted count as deleted; None before the first of them."""

    async def initial_list(self, soon_read: int) -> None:
        """Take into memory what a replay needs: all resources if that many are soon read.

        Raises:
            ApiError: they cannot be read.
        """
        if await self._resources.count() > soon_read:
            try:
                await self._needed()
            except RefusedError as error:
                log.warning("listing all resources, because the CRD is older than this operator: %s", error)
            else:
                self._finished.expect_more()
                return
        async for resource in self._resources.list_all(self._selector):
            await self._listed(resource)

    async def _listed(self, resource: Json) -> None:
        """Take a resource into memory, unless it was deleted and is only held by somebody's finalizer."""
        if is_terminating(resource):
            if self._are_deleted is None:
                self._are_deleted = await self._inputs.is_deletion()
            if self._are_deleted:
                log.info(
                    "resource ignored: it is being deleted", extra={"resource": resource["metadata"]["name"]}
                )
                return
        self._inputs.listed(resource)

    async def _needed(self) -> None:
        taken: set[str] = set()
        owners: set[str] = set()
        for labels, fields in NEEDED:
            selector = ",".join(filter(None, (self._selector, labels)))
            async for resource in self._resources.list_all(selector, fields):
                uid = resource["metadata"]["uid"]
                if uid not in taken:
                    taken.add(uid)
                    await self._listed(resource)
                    if resource["metadata"]["name"] != (owner := resource_name(id_in(resource))):
                        owners.add(owner)
        for owner in owners:  # if it is over, it was not listed, and the other one would begin
            found = await self._resources.get(owner)
            if found is not None and found["metadata"]["uid"] not in taken:
                await self._listed(found)

    async def run(self, watch: Watching, every_seconds: float) -> None:
        """Find what the watch has not told: all before it began, and what it has missed. Until cancelled."""
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(every_seconds):  # `wait_for` would at times swallow a cancellation
                    await watch.opened.wait()
            watch.opened.clear()
            try:
                await self._relist(watch)
            except ApiError as error:
                log.warning("cannot list resources, retrying: %s", error)
                await asyncio.sleep(AGAIN_SECONDS)
                watch.opened.set()

    async def _relist(self, watch: Watching) -> None:
        # Where etcd was put back from an older copy, what is not in it has not been deleted by anybody.
        await self._guard.confirm_ownership()
        # Only what has a resource by now: one that is made meanwhile need not be in the list.
        known = self._uploads.in_memory
        before = [(e.name, e.stored) for e in known if e.stored is not None] + self._finished.stored
        versions = {each.uid: each for _, each in before}
        listed: set[str] = set()
        newest = max(map(version_of, versions.values()), default=0)
        async for resource in self._resources.list_all(self._selector, newest=newest):
            uid = resource["metadata"]["uid"]
            listed.add(uid)
            self._guard.check_not_older(versions.get(uid), stored(resource))
            self._inputs.seen(resource)
        with_kind = watch.take_kind_was_missing()
        for name, each in before:
            if each.uid not in listed:
                self._inputs.gone(name, each.uid, with_kind=with_kind)
        self._finished.complete()
