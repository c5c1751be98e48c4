"""Asks the API server for resources that the watch has not shown, because the log tells of their uploads.

Somebody may have made the resource of an upload that nobody has announced, or put it back from a backup. What
the log says of that upload before the watch shows the resource counts for it, so the messages must not be
acknowledged as those of an upload that does not exist. Nor may those of an upload that has ended while the
API server refuses its resource: one that somebody has made would begin it again after a restart.

All uploads in doubt share one request. It is for resources without a status: one with a status was listed
when the ownership began, or the operator has written it. So the answer is nearly always empty.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Protocol

from uploadpp.core.model import Millis
from uploadpp.core.naming import resource_name
from uploadpp.kube.errors import ApiError, RefusedError
from uploadpp.kube.store import is_terminating
from uploadpp.pipeline.ports import Json, Resources
from uploadpp.pipeline.unknown_uploads import UnknownUploads
from uploadpp.pipeline.write_queue import WriteQueue
from uploadpp.resources.finished import id_in

log = logging.getLogger(__name__)

LOOK_SECONDS = 2.0
"""The least time between two requests."""
AGAIN_SECONDS = 5.0
WITHOUT_STATUS = "status.completionTime=,status.currentStep="
"""An upload that has ended is in no step either, but has a completion time."""


class Shown(Protocol):
    """Takes a resource as the watch would show it (`resources.event_handler.ResourceEventHandler`)."""

    def seen(self, resource: Json) -> None:
        """The resource as it is now."""

    def is_needed(self, upload_id: str) -> bool:
        """Whether a resource of an upload that does not count is still to be marked as such."""


class UnseenResources:
    """Those of one shard."""

    def __init__(
        self,
        unknown: UnknownUploads,
        queue: WriteQueue,
        handler: Shown,
        resources: Resources,
        selector: str,
        clock: Callable[[], Millis],
    ) -> None:
        self._unknown = unknown
        self._queue = queue
        self._handler = handler
        self._resources = resources
        self._selector = selector
        self._clock = clock
        self._told = ""
        """The last error that was logged, so that one that lasts is logged once. Empty after an answer."""

    async def run(self) -> None:
        """Ask about uploads in doubt; the messages of those without a resource may go. Until cancelled."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            due = self._unknown.due(self._clock())
            refused = self._queue.in_doubt()
            unknown = {fact.upload_id for fact in due if not fact.known}
            try:
                found = await self._ask(unknown | {tracked.upload.id for tracked, _ in refused})
            except ApiError as error:
                self._tell(str(error))
                await asyncio.sleep(AGAIN_SECONDS)
            else:
                self._told = ""
                self._unknown.settle(due)
                for tracked, refusal in refused:
                    if tracked.upload.id not in found:  # else the next attempt goes on with what is there
                        self._queue.absent(tracked, refusal)

    def _tell(self, error: str) -> None:
        if error != self._told:
            log.warning("cannot tell whether unknown uploads have resources, retrying: %s", error)
        self._told = error

    async def _ask(self, upload_ids: set[str]) -> set[str]:
        """Show what is there of these uploads; returns those of which something is there that counts."""
        if not upload_ids:
            return set()
        present: list[Json] = []
        try:
            async for resource in self._resources.list_all(self._selector, WITHOUT_STATUS):
                if id_in(resource) in upload_ids:
                    self._handler.seen(resource)
                    present.append(resource)
        except RefusedError as error:
            log.debug("asking for each unknown upload, because the CRD has no field selectors: %s", error)
            for upload_id in sorted(upload_ids):
                found = await self._resources.get(resource_name(upload_id))
                if found is not None and id_in(found) == upload_id:
                    self._handler.seen(found)
                    present.append(found)
        return {id_in(each) for each in present if self._counts(each)}

    def _counts(self, resource: Json) -> bool:
        """Whether an upload would begin by it after a restart. Of another name, it has just been judged."""
        if is_terminating(resource):
            return False
        upload_id = id_in(resource)
        has_its_name: bool = resource["metadata"]["name"] == resource_name(upload_id)
        return has_its_name or self._handler.is_needed(upload_id)
