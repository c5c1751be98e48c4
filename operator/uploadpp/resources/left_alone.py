"""Resources that the operator cannot use: reported once for each, in the log and on the resource."""

import logging

from uploadpp.core.naming import resource_name
from uploadpp.kube.store import Stored
from uploadpp.pipeline import fault_event_texts
from uploadpp.pipeline.faults import Faults
from uploadpp.pipeline.ports import Json, Notices
from uploadpp.pipeline.tracked_upload import TrackedUpload
from uploadpp.resources.forgotten import ForgottenResources
from uploadpp.resources.void_marks import VoidMarks

log = logging.getLogger(__name__)


class LeftAlone:
    """Those of one shard."""

    def __init__(
        self, faults: Faults, notices: Notices, forgotten: ForgottenResources, marks: VoidMarks
    ) -> None:
        self._faults = faults
        self._notices = notices
        self._forgotten = forgotten
        self._marks = marks
        self._said: set[str] = set()

    def report(self, resource: Json, error: Exception) -> None:
        """Something is wrong with a resource."""
        name, uid = resource["metadata"]["name"], resource["metadata"]["uid"]
        if uid in self._said:
            return
        self._said.add(uid)
        log.error("resource ignored: %s", error, extra={"resource": name})
        self._notices.post(name, uid, fault_event_texts.left_alone(error))

    def void(self, resource: Json, upload_id: str, why: str) -> None:
        """A resource is not that of its upload, and never will be."""
        meta = resource["metadata"]
        self._marks.put(meta["name"], meta["uid"], upload_id, why)
        self.report(resource, ValueError(why))

    def is_marking(self, upload_id: str) -> bool:
        """Whether another resource of an upload would begin if that of the upload were gone."""
        return self._marks.is_awaited(upload_id)

    def is_void(self, known: Stored, upload_id: str) -> bool:
        """Whether a resource was left alone for good, although what is seen of it does not say so yet."""
        return self._marks.covers(known, upload_id)

    def failed(self, name: str, uid: str, error: Exception) -> None:
        """Our own code failed on a resource."""
        self._faults.count()
        if uid in self._said:
            return
        self._said.add(uid)
        log.error(
            "resource ignored: this is a bug, please report it", exc_info=error, extra={"resource": name}
        )
        self._notices.post(name, uid, fault_event_texts.cannot_be_handled(error))

    def overruled(self, tracked: TrackedUpload) -> None:
        """The storage announces an upload that was only known from a person's resource."""
        if tracked.stored is None:
            return
        own = resource_name(tracked.upload.id)
        if tracked.name == own:
            self._forgotten.restore(tracked.stored.uid)  # it will be that of the upload
            return
        loser = {"metadata": {"name": tracked.name, "uid": tracked.stored.uid}}
        self.void(loser, tracked.upload.id, fault_event_texts.overruled(tracked.upload.id, own))

    def gone(self, uid: str) -> None:
        """The resource was deleted: a new one of the same uid does not come, so nothing is remembered."""
        self._said.discard(uid)
