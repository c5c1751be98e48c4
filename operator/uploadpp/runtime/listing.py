"""Listing resources: all of them before the log is replayed, and again whenever a watch begins anew.

Kopf tells what happens to resources from a moment on; what is older, and what it has missed, is found
here. Of its own listing it gets nothing (`runtime.opening`).
"""

import asyncio
import contextlib
import logging

from uploadpp.kube.errors import ApiError
from uploadpp.runtime.archive import Archive
from uploadpp.runtime.coordinator import Coordinator
from uploadpp.runtime.ports import Resources, Watching
from uploadpp.runtime.resources import ResourceInputs

log = logging.getLogger(__name__)

AGAIN_SECONDS = 5.0


class Listing:
    """The resources of one shard, read page by page."""

    def __init__(
        self,
        coordinator: Coordinator,
        archive: Archive,
        inputs: ResourceInputs,
        resources: Resources,
        selector: str,
    ) -> None:
        self._coordinator = coordinator
        self._archive = archive
        self._inputs = inputs
        self._resources = resources
        self._selector = selector

    async def first(self) -> None:
        """Take the checkpoint into memory.

        Raises:
            ApiError: it cannot be read.
        """
        async for resource in self._resources.list_all(self._selector):
            self._inputs.listed(resource)

    async def run(self, watch: Watching, every_seconds: float) -> None:
        """Find what the watch has not told: all before it began, and what it has missed. Until cancelled."""
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(watch.opened.wait(), every_seconds)
            watch.opened.clear()
            try:
                await self._sweep()
            except ApiError as error:
                log.warning("resources not listed, trying again: %s", error)
                await asyncio.sleep(AGAIN_SECONDS)
                watch.opened.set()

    async def _sweep(self) -> None:
        # Only what has a resource by now: one that is made meanwhile need not be in the list.
        entries = self._coordinator.entries
        before = [(e.name, e.stored.uid) for e in entries if e.stored is not None] + self._archive.uids
        listed: set[str] = set()
        async for resource in self._resources.list_all(self._selector):
            listed.add(resource["metadata"]["uid"])
            self._inputs.seen(resource)
        for name, uid in before:
            if uid not in listed:
                self._inputs.gone(name, uid)
