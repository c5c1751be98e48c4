"""Marks resources that are not those of their uploads, so that they stay void when the other ones are gone.

Which of two resources is that of an upload is decided by comparing them. Once the one that counts is removed,
nothing would tell that the upload is over: the other one would begin, and a second abort destroys the bytes.
So the other one gets an annotation, and before that the one that counts is not removed. A person may remove
it, and a list or watch may show the other one as it was before the mark: what was decided counts then.
"""

import asyncio
import contextlib
import logging
from collections import OrderedDict

from uploadpp.core.naming import VOID_ANNOTATION
from uploadpp.kube.errors import ApiError, NotFoundError, Refusal, RefusedError
from uploadpp.kube.store import Stored, stored, version_of
from uploadpp.pipeline.faults import Faults
from uploadpp.pipeline.ports import Resources

log = logging.getLogger(__name__)

FIRST_PAUSE_SECONDS = 0.1
LONGEST_PAUSE_SECONDS = 30.0
REMEMBERED = 10_000
DROPPED = (
    "{}: the API server has not stored {} as it was written: a webhook removes or changes it; exempt this "
    "kind of resource from the webhook; until then no resource of upload {} is removed"
)


class VoidMarks:
    """The marks of one shard: those that are not written yet, and the last that are."""

    def __init__(self, faults: Faults, resources: Resources) -> None:
        self._faults = faults
        self._resources = resources
        self._waiting: dict[str, dict[str, tuple[str, str]]] = {}
        self._said: dict[str, str] = {}
        """Why those that wait could not be marked, as it was logged, by their uids."""
        self._marked: OrderedDict[str, int] = OrderedDict()
        """The versions of marked resources, by their uids."""
        self._wake = asyncio.Event()

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, name: str, uid: str, upload_id: str, why: str) -> None:
        """Mark a resource."""
        self._waiting.setdefault(upload_id, {})[uid] = name, why
        self._wake.set()

    def is_awaited(self, upload_id: str) -> bool:
        """Whether another resource of an upload is not marked yet."""
        return upload_id in self._waiting

    def covers(self, known: Stored, upload_id: str) -> bool:
        """Whether this is a resource without its mark only because it is shown as it was before."""
        return known.uid in self._waiting.get(upload_id, ()) or version_of(known) < self._marked.get(
            known.uid, 0
        )

    async def run(self) -> None:
        """Write marks, until cancelled."""
        pause = FIRST_PAUSE_SECONDS
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause if self._waiting else None):
                    await self._wake.wait()
            self._wake.clear()
            for upload_id in list(self._waiting):
                await self._mark_all(upload_id)
            pause = min(pause * 2, LONGEST_PAUSE_SECONDS) if self._waiting else FIRST_PAUSE_SECONDS

    async def _mark_all(self, upload_id: str) -> None:
        others = self._waiting[upload_id]
        for uid, (name, why) in list(others.items()):
            try:
                await self._mark(name, uid, upload_id, why)
            except ApiError as error:
                level = logging.WARNING if self._said.get(uid) != str(error) else logging.DEBUG
                self._said[uid] = str(error)
                log.log(level, "cannot mark a resource that is left alone, retrying: %s", error)
                continue
            except Exception as error:  # noqa: BLE001 -- logged there
                self._faults.resource_fault(name, uid, error, upload_id)
            del others[uid]
            self._said.pop(uid, None)
        if not others:
            del self._waiting[upload_id]

    async def _mark(self, name: str, uid: str, upload_id: str, why: str) -> None:
        found = await self._resources.get(name)
        if found is None or (known := stored(found)).uid != uid:
            return
        annotations = found["metadata"].get("annotations") or {}
        if not annotations.get(VOID_ANNOTATION):
            try:
                marked = {**annotations, VOID_ANNOTATION: why}
                known = await self._resources.write_annotations(name, known.version, marked)
            except NotFoundError:
                return
            if known.altered:
                raise RefusedError(DROPPED.format(name, known.altered, upload_id), Refusal.CHANGED)
        self._marked[uid] = version_of(known)
        if len(self._marked) > REMEMBERED:
            self._marked.popitem(last=False)
