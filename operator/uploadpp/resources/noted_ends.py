"""Notes in the Lease which uploads have ended although their resources do not tell it (docs/adr/0063).

A resource may be impossible to write: its own content breaks a rule of the CRD, a policy denies updates of
this one, or it is too large. Its upload is driven from memory. After its end the messages may be acknowledged
only if a restart does not begin it again by that resource. So the resource is noted with what its status
says: as long as it says that, it begins nothing. Once it says something else, we have written it after all.

The note is signed, because anybody who may write Leases could otherwise keep uploads from going on.
"""

import asyncio
import logging
from collections.abc import Mapping
from typing import Protocol

import orjson

from uploadpp.kube.errors import ApiError
from uploadpp.kube.leaseobject import MAX_ANNOTATION
from uploadpp.pipeline import fault_event_texts
from uploadpp.pipeline.ports import Json, Notices, Resources
from uploadpp.pipeline.tracked_upload import Refused, TrackedUpload
from uploadpp.pipeline.write_queue import WriteQueue
from uploadpp.resources.finished import id_in
from uploadpp.resources.forgotten import ForgottenResources, told_by
from uploadpp.wire.marks import Marks

log = logging.getLogger(__name__)

LOOK_SECONDS = 1.0
PURPOSE = "ends"
MOST = 48
"""Resources in the note. One takes about 60 bytes of an annotation of 4,096."""


class Text(Protocol):
    """The text that is kept in the Lease (`kube.leasenotes.EndsInLease`)."""

    kept: str
    """What the Lease holds; empty when it holds nothing."""

    def keep(self, text: str) -> None:
        """Write this with the next renewal."""


class Keeper(Protocol):
    """The Lease (`kube.lease.Lease`)."""

    @property
    def ends(self) -> Text:
        """What is kept there about ends."""

    async def renew(self) -> None:
        """Write it now, if the API server can be reached.

        Raises:
            LeaseLostError: the shard is not ours any more.
        """


class NotedEnds:
    """Those of one shard."""

    def __init__(
        self,
        queue: WriteQueue,
        resources: Resources,
        notices: Notices,
        forgotten: ForgottenResources,
        lease: Keeper,
        marks: Marks,
    ) -> None:
        self._queue = queue
        self._resources = resources
        self._notices = notices
        self._forgotten = forgotten
        self._lease = lease
        self._marks = marks
        self._ours: dict[str, TrackedUpload] = {}
        """Uploads of this ownership that are noted, by the uids of their resources."""

    def begin(self) -> None:
        """Take over what owners before us have noted, before resources are listed."""
        for uid, told in read(self._lease.ends.kept, self._marks).items():
            self._forgotten.note(uid, told)

    def listed(self) -> None:
        """All resources that are not over are listed: what was noted of others is not needed any more."""
        self._forgotten.drop_unmet()

    async def run(self) -> None:
        """Note ends, and let the messages of these uploads be acknowledged. Until cancelled."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            await self._look()

    async def _look(self) -> None:
        for uid, tracked in list(self._ours.items()):
            if tracked.gone:
                del self._ours[uid]  # it stays noted
            elif tracked.refused is None or not tracked.upload.stage.ended:
                del self._ours[uid]
                self._forgotten.drop(uid)
        found: list[tuple[TrackedUpload, Refused, Json]] = []
        for tracked, refused in self._queue.unwritable():
            if len(self._forgotten.noted) >= MOST and tracked not in self._ours.values():
                continue  # when half of the window waits, its resource is removed (`pipeline.overfull`)
            resource = await self._resource_of(tracked)
            if resource is not None:
                self._forgotten.note(resource["metadata"]["uid"], told_by(resource), met=True)
                found.append((tracked, refused, resource))
        found += await self._noted_before()
        self._ours |= {resource["metadata"]["uid"]: tracked for tracked, _, resource in found}
        text = written(self._forgotten.noted, self._marks)
        if len(text) > MAX_ANNOTATION:  # a uid of the API server is never so long
            return
        if text != self._lease.ends.kept:
            self._lease.ends.keep(text)
            await self._lease.renew()
        if text == self._lease.ends.kept:
            for tracked, refused, resource in found:
                self._let_go(tracked, refused, resource)

    async def _noted_before(self) -> list[tuple[TrackedUpload, Refused, Json]]:
        """Ends that an owner before us has noted, and of which we have read the last messages once more."""
        found: list[tuple[TrackedUpload, Refused, Json]] = []
        for tracked, refused in self._queue.in_doubt()[:MOST] if self._forgotten.noted else ():
            if refused is None or refused.is_alone:
                continue
            resource = await self._resource_of(tracked)
            if resource is not None and self._forgotten.has_ended(resource):
                found.append((tracked, refused, resource))
        return found

    def _let_go(self, tracked: TrackedUpload, refused: Refused, resource: Json) -> None:
        uid = resource["metadata"]["uid"]
        if not self._queue.noted(tracked, refused):
            return
        log.warning(
            "the upload has ended but its resource cannot be written; that is noted in the Lease: %s",
            refused.words,
            extra={"upload": tracked.upload.id, "stage": tracked.upload.stage, "reason": refused.reason},
        )
        self._notices.post(
            tracked.name, uid, fault_event_texts.end_not_recorded(tracked.upload.stage, refused.words)
        )

    async def _resource_of(self, tracked: TrackedUpload) -> Json | None:
        """The resource by which an upload would begin again or go on; None when that is not known."""
        try:
            found = await self._resources.get(tracked.name)
        except ApiError as error:
            log.debug("cannot tell what the resource of an ended upload says: %s", error)
            return None
        if found is None or id_in(found) != tracked.upload.id:
            return None  # whether there is one of another name is asked elsewhere (`resources.unseen`)
        known = tracked.stored
        return found if known is None or known.uid == found["metadata"]["uid"] else None


def written(noted: Mapping[str, str], marks: Marks) -> str:
    """How resources are noted: what each of them told, by their uids. Empty for none."""
    if not noted:
        return ""
    body = orjson.dumps(dict(noted), option=orjson.OPT_SORT_KEYS).decode()
    return orjson.dumps({"told": body, "signature": marks.sign(PURPOSE, body)}).decode()


def read(text: str, marks: Marks) -> dict[str, str]:
    """What a note says; empty where there is none, or none of ours."""
    if not text:
        return {}
    try:
        note = orjson.loads(text[: MAX_ANNOTATION + 1])
        body, signature = note["told"], note["signature"]
        if isinstance(body, str) and isinstance(signature, str) and marks.proves(signature, PURPOSE, body):
            return {str(uid): str(told) for uid, told in orjson.loads(body).items()}
    except (ValueError, TypeError, KeyError) as error:
        log.warning("ignoring the ends noted in the Lease: they cannot be read: %s", error)
        return {}
    log.warning("ignoring the ends noted in the Lease: they are not signed with one of our keys")
    return {}
