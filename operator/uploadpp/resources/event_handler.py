"""Resources as inputs: the first list, what people create, edit and delete, and relists."""

import logging
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from time import monotonic

from uploadpp.api.codec import InvalidResourceError, control_of, from_resource, shown_unserved, to_status
from uploadpp.api.field_reader import FieldReader
from uploadpp.api.void import is_over, may_have_begun, rank
from uploadpp.core.evolve import evolve
from uploadpp.core.inputs import SpecChanged
from uploadpp.core.model import Origin
from uploadpp.core.naming import resource_name
from uploadpp.core.plan_text import read_sealed_plan
from uploadpp.core.states import Stage
from uploadpp.kube.sealing import ForeignSealError, Opened, SealError, UnknownKeyError, sealed_with
from uploadpp.kube.store import Stored, is_terminating, stored, version_of
from uploadpp.pipeline import fault_event_texts
from uploadpp.pipeline.applier import Applier
from uploadpp.pipeline.ports import Json, Notices, Seals
from uploadpp.pipeline.shared import Shared
from uploadpp.pipeline.tracked_upload import TrackedUpload
from uploadpp.pipeline.uploads import Uploads
from uploadpp.resources.beginnings import check_may_begin, is_under_way
from uploadpp.resources.bucket_labels import BucketLabels
from uploadpp.resources.deletions import Vanished
from uploadpp.resources.finished import FinishedUploads, id_in
from uploadpp.resources.forgotten import ForgottenResources
from uploadpp.resources.keys import KeyCheck
from uploadpp.resources.left_alone import LeftAlone
from uploadpp.resources.past_ends import PastEnds
from uploadpp.resources.sealed_parts import SealedParts
from uploadpp.resources.versions import VersionCheck
from uploadpp.wire.origin import origin_from_spec

log = logging.getLogger(__name__)

WRITTEN_BACK = 10_000
WRITE_BACK_SECONDS = 30.0
"""A status is restored at most this often if another client keeps changing it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Collaborators:
    """The parts of the pipeline that a resource may concern."""

    uploads: Uploads
    applier: Applier
    finished: FinishedUploads
    vanished: Vanished
    forgotten: ForgottenResources
    left_alone: LeftAlone
    labels: BucketLabels
    past_ends: PastEnds


class ResourceEventHandler:
    """Feeds the applier from the Kubernetes side."""

    def __init__(self, shared: Shared, seals: Seals, notices: Notices, others: Collaborators) -> None:
        self._config = shared.config
        self._shard = shared.shard
        self._faults = shared.faults
        self._seals = seals
        self._notices = notices
        self._uploads = others.uploads
        self._applier = others.applier
        self._finished = others.finished
        self._vanished = others.vanished
        self._forgotten = others.forgotten
        self._left_alone = others.left_alone
        self._labels = others.labels
        self._past_ends = others.past_ends
        self.keys, self.versions = KeyCheck(*getattr(seals, "fingerprints", ())), VersionCheck()
        self._sealed = SealedParts(others.uploads, seals, notices)
        self._ranks: dict[str, tuple[bool, bool, int]] = {}
        self._written_back: OrderedDict[str, float] = OrderedDict()

    def listed(self, resource: Json) -> None:
        """Take a resource into memory before the log is replayed."""
        with self._one(resource):
            if not self._finished.admits(resource):
                self._adopt(resource)

    def reconcile_all(self) -> None:
        """After replay: whatever spec or status says is due, for resources that no log started."""
        for tracked in list(self._uploads.in_memory):
            try:
                self._reconcile(tracked)
            except Exception as error:  # noqa: BLE001 -- logged in `LeftAlone.failed`
                self._left_alone.failed(tracked.name, tracked.stored.uid if tracked.stored else "", error)

    def _reconcile(self, tracked: TrackedUpload) -> None:
        upload = tracked.upload
        if self._past_ends.is_waiting(tracked):
            return
        edited = upload.control.generation > upload.observed_generation
        waits = upload.stage in {Stage.QUEUED, Stage.AWAITING_TURN}  # perhaps for nothing by the settings now
        if not upload.run or edited or waits:
            self._applier.on_input(tracked, SpecChanged(upload.control))

    @contextmanager
    def _one(self, resource: Json) -> Iterator[None]:
        """An error about one resource only ends the work on that resource (invariant 2.7)."""
        try:
            yield
        except Exception as error:  # noqa: BLE001 -- logged in `LeftAlone.failed`
            meta = resource.get("metadata") or {}
            self._left_alone.failed(str(meta.get("name", "")), str(meta.get("uid", "")), error)

    def failed(self, name: str, uid: str, error: Exception) -> None:
        """Our own code failed on a resource, somewhere else."""
        self._faults.resource_fault(name, uid, error)

    def is_own_write(self, resource: Json) -> bool:
        """Whether a resource, as the watch has it, says nothing new: it is as we left it, or older.

        Changes nothing, because the thread of the watch asks as well.
        """
        if is_terminating(resource):
            return False
        name, now = resource["metadata"]["name"], stored(resource)
        evicted = self._finished.get(name)
        if evicted is not None:
            return version_of(now) <= version_of(evicted.stored)
        tracked = self._uploads.by_name(name)
        if tracked is None:
            return False
        known = tracked.stored
        if known is None:  # being created by us, or by somebody before us: then we read it
            return now.generation <= 1
        if known.uid != now.uid or now.generation > tracked.upload.control.generation:
            return False
        return tracked.queued or version_of(now) <= version_of(known)  # queued: it is written over soon

    def seen(self, resource: Json) -> None:
        """A resource as it is now: added, edited, deleted with a finalizer, or our own write coming back."""
        with self._one(resource):
            self._sealed.look_again(resource["metadata"]["name"])
            if is_terminating(resource):
                self.absent(resource)
            elif not self.is_own_write(resource):
                self._seen(resource)

    def _seen(self, resource: Json) -> None:
        name, now = resource["metadata"]["name"], stored(resource)
        tracked, evicted = self._uploads.by_name(name), self._finished.get(name)
        if evicted is not None:
            if evicted.stored.uid == now.uid and now.generation == evicted.stored.generation:
                evicted.stored = now  # a label, or something else that does not concern us
                return
            self._finished.drop(evicted)
        if tracked is not None and tracked.stored is not None and tracked.stored.uid != now.uid:
            if version_of(now) < version_of(tracked.stored):
                return  # a late event about an earlier resource of that name
            self._uploads.forget(tracked)
            tracked = None
        if tracked is None:
            self._met(resource)
            return
        if tracked.stored is None:
            return  # it is being read
        if now.generation <= tracked.upload.control.generation:
            self._touched(tracked, now, resource)
            return
        self._sealed.check(tracked, resource)
        try:
            control = control_of(resource)
        except InvalidResourceError as error:
            self._left_alone.report(resource, error)
            return
        if not self._past_ends.postpones(tracked, control):
            self._applier.on_input(tracked, SpecChanged(control))

    def _touched(self, tracked: TrackedUpload, now: Stored, resource: Json) -> None:
        """Somebody else has written something that is not for us, or the status, which is ours.

        The version of that write is not taken over. Our next write then meets a conflict, and a conflict
        makes us confirm that we own the shard: the other writer may be our successor, after a pause of ours.
        """
        own = to_status(tracked.upload, now.uid, tracked.sealed_with, tracked.unserved)
        if resource.get("status") == own:
            return
        moment = monotonic()
        if moment < self._written_back.get(now.uid, 0.0) + WRITE_BACK_SECONDS:
            return  # not a fight: our next write, or the next listing, mends it
        self._written_back[now.uid] = moment
        if len(self._written_back) > WRITTEN_BACK:
            self._written_back.popitem(last=False)
        tracked.version += 1
        self._uploads.record(tracked)

    def _met(self, resource: Json) -> None:
        """A resource that is not known: somebody has made it, or it was not listed yet."""
        if resource["metadata"]["uid"] in self._forgotten or self._finished.admits(resource):
            return
        tracked = self._take(resource)
        if tracked is not None:
            self._uploads.note_end(tracked)

    def claimed(self, tracked: TrackedUpload, resource: Json) -> None:
        """Somebody else has made or changed the new resource of an upload: what it asks for counts."""
        listed = [step.get("name", "") for step in resource["spec"].get("steps") or ()]
        planned = [step.name for step in tracked.upload.plan]
        if "steps" in resource["spec"] and listed != planned:
            uid = resource["metadata"]["uid"]
            self._notices.post(tracked.name, uid, fault_event_texts.already_begun(planned))
        try:
            control = control_of(resource)
        except InvalidResourceError as error:
            self._left_alone.report(resource, error)
            return
        if control != tracked.upload.control:
            self._applier.on_input(tracked, SpecChanged(control))

    def is_awaited(self, tracked: TrackedUpload) -> bool:
        """Whether an upload must stay in memory: what people have asked for meanwhile is looked at later."""
        return self._past_ends.is_waiting(tracked)

    def is_needed(self, upload_id: str) -> bool:
        """Whether the resource of an upload must not be removed yet: another one would begin."""
        return self._left_alone.is_marking(upload_id)

    def on_reloaded(self, resource: Json) -> None:
        """An upload that was evicted, or might have been, is wanted again."""
        with self._one(resource):
            if is_terminating(resource):
                self.absent(resource)
            else:
                self._take(resource)

    def vanished(self, tracked: TrackedUpload) -> None:
        """A write has found that the resource of an upload no longer exists."""
        self._vanished.doubt(tracked)

    def deleted(self, resource: Json) -> None:
        """The watch reports that a resource was deleted."""
        with self._one(resource):
            name, uid = resource["metadata"]["name"], resource["metadata"]["uid"]
            self._left_alone.gone(uid)
            self._forgotten.drop(uid)
            self.gone(name, uid)
            self._forgotten.remember(uid)  # a listing that is under way may still have it

    def absent(self, resource: Json) -> None:
        """A resource was deleted, and a finalizer of somebody else holds it: for us it is not there."""
        self.gone(resource["metadata"]["name"], resource["metadata"]["uid"])

    async def is_deletion(self) -> bool:
        """Whether resources that are being deleted were so by people, and not with the CRD or namespace."""
        return await self._vanished.is_decided()

    def gone(self, name: str, uid: str, *, with_kind: bool = False) -> None:
        """A resource was deleted; `with_kind` says that the CRD was missing for a while."""
        try:
            self._gone(name, uid, with_kind=with_kind)
        except Exception as error:  # noqa: BLE001 -- logged in `failed`
            self.failed(name, uid, error)

    def _gone(self, name: str, uid: str, *, with_kind: bool) -> None:
        tracked, evicted = self._uploads.by_name(name), self._finished.get(name)
        if evicted is not None and evicted.stored.uid == uid:
            self._finished.drop(evicted)
            self._forgotten.remember(uid)
        if tracked is not None and tracked.stored is not None and tracked.stored.uid == uid:
            self._vanished.doubt(tracked, with_kind=with_kind)
            self._forgotten.remember(uid)

    def _take(self, resource: Json) -> TrackedUpload | None:
        """Take an upload into memory, and do what its resource asks for."""
        tracked = self._adopt(resource)
        if tracked is not None:
            self._recall(tracked)
        if tracked is not None and not self._applier.replaying and not self._past_ends.is_waiting(tracked):
            self._applier.on_input(tracked, SpecChanged(tracked.upload.control))
        return tracked

    def _recall(self, tracked: TrackedUpload) -> None:
        """Apply what the log has said of an upload before its resource was seen, as a replay would."""
        upload_id = tracked.upload.id
        for fact in self._applier.unknown.count_for(tracked.upload):
            if fact.message is not None:
                with self._faults.isolated(tracked):
                    self._applier.apply(upload_id, fact.event, fact.sequence, fact.at, fact.message)

    def _adopt(self, resource: Json) -> TrackedUpload | None:
        name = resource["metadata"]["name"]
        if self._is_done_with(resource):
            return None
        try:
            sealed = FieldReader(resource, "").child("spec").text("sealed")
            origin, plan = self._seals.open(sealed, id_in(resource)) if sealed else Opened(Origin())
            upload = from_resource(resource, self._config, origin, read_sealed_plan(plan))
            check_may_begin(resource)
        except (SealError, InvalidResourceError) as error:
            if isinstance(error, UnknownKeyError) and is_under_way(resource):
                uid, status = resource["metadata"]["uid"], resource["status"]
                self.keys.failed(uid, error, status.get("sealedWith"), of_another=status.get("uid") != uid)
            if is_under_way(resource):
                self.versions.failed(resource, error)
            if isinstance(error, ForeignSealError):
                self.keys.opened()
            self._left_alone.report(resource, error)
            return None
        if sealed:
            self.keys.opened()
        if upload.id and not self._shard.owns(upload.id):
            self._labels.check(resource, upload.id)
            return None
        if not upload.id:
            self._left_alone.report(resource, ValueError("spec.upload.id is empty"))
            return None
        if not self._prevails(resource, upload.id):
            return None
        if not sealed:
            origin = origin_from_spec(upload)
            upload = self._past_ends.before_asked(evolve(upload, origin=origin))
        tracked = TrackedUpload(
            name,
            upload,
            stored=stored(resource),
            sealed=origin,
            sealed_with=sealed_with(sealed),
            unserved=shown_unserved(resource),
        )
        self._applier.adopt(tracked)
        if not sealed:
            self._past_ends.want(tracked, resource)
        return tracked

    def _is_done_with(self, resource: Json) -> bool:
        ended = self._forgotten.has_ended(resource)
        if ended:
            self._left_alone.report(resource, ValueError(fault_event_texts.ENDED_BEFORE))
        return ended or resource["metadata"]["uid"] in self._forgotten

    def _prevails(self, resource: Json, upload_id: str) -> bool:
        """Whether an upload is driven by this resource, and not by another one that names it as well.

        `rank` decides, but never for one that has not begun against the one by which the upload has ended.
        The loser is left alone, whichever was seen first, and whatever becomes of the other.
        """
        if self._left_alone.is_void(stored(resource), upload_id):
            return False
        other, evicted = self._uploads.by_id(upload_id), self._finished.find(upload_id)
        meta = resource["metadata"]
        known = other.name if other is not None else evicted.name if evicted is not None else ""
        if not known:
            self._ranks[meta["uid"]] = rank(resource, upload_id)
            return True
        held = other.stored if other is not None else evicted.stored if evicted is not None else None
        if held is not None and held.uid == meta["uid"]:
            return False  # listed a second time
        uid = held.uid if held is not None else ""
        mine = rank(resource, upload_id)
        is_first = mine > self._ranks.get(uid, (known == resource_name(upload_id), True, 0))
        is_over_here = other is not None and is_over(resource) and _is_unbegun(other)
        has_ended = (other is None or other.upload.stage.ended) and not may_have_begun(resource)
        if not (is_first or is_over_here) or has_ended:  # where it has ended, a second abort would be sent
            why = f"upload {upload_id} {'has ended in' if is_first else 'already has'} the resource {known}"
            self._left_alone.void(resource, upload_id, why)
            return False
        if evicted is not None:
            self._finished.drop(evicted)
            self._forgotten.remember(evicted.stored.uid)
        if other is not None:
            self._uploads.forget(other)
        self._ranks[meta["uid"]] = mine
        loser = {"metadata": {"name": known, "uid": uid}}
        self._left_alone.void(loser, upload_id, f"upload {upload_id} is that of the resource {meta['name']}")
        return True


def _is_unbegun(tracked: TrackedUpload) -> bool:
    """Whether nothing was done for an upload that is only known from a person's resource."""
    upload = tracked.upload
    return upload.origin.by_hand and not (upload.run or upload.finishes)
