"""Restores `spec.sealed` of an upload under way after somebody else has written it.

The owner has in memory what it contained. The next one would find a damaged resource and leave it alone, and
its file would stay in processing. A client that writes it again and again is answered ever more rarely.
"""

import logging
from collections import OrderedDict
from time import monotonic

from uploadpp.api.field_reader import FieldReader, InvalidResourceError
from uploadpp.kube.sealing import SealError
from uploadpp.kube.store import stored, version_of
from uploadpp.pipeline import fault_event_texts
from uploadpp.pipeline.ports import Json, Notices, Seals
from uploadpp.pipeline.tracked_upload import TrackedUpload
from uploadpp.pipeline.uploads import Uploads

log = logging.getLogger(__name__)

FIRST_PAUSE_SECONDS = 30.0
LONGEST_PAUSE_SECONDS = 3600.0
REMEMBERED = 10_000


class SealedParts:
    """Those of the resources of one shard."""

    def __init__(self, uploads: Uploads, seals: Seals, notices: Notices) -> None:
        self._uploads = uploads
        self._seals = seals
        self._notices = notices
        self._next: OrderedDict[str, tuple[float, float]] = OrderedDict()
        """When each may be written again at the soonest, and the pause after that, by uid."""
        self._waiting: set[str] = set()
        """The uids of those that somebody has overwritten before that."""

    def check(self, tracked: TrackedUpload, resource: Json) -> None:
        """Have the sealed part of a resource written again, if it is not what the operator has written."""
        if tracked.stored is None or version_of(stored(resource)) < version_of(tracked.stored):
            return
        if not self._is_ours(tracked, resource):
            self._restore(tracked, tracked.stored.uid)

    def look_again(self, name: str) -> None:
        """A resource is seen: if it has waited long enough, it is written now."""
        tracked = self._uploads.by_name(name) if self._waiting else None
        if tracked is not None and tracked.stored is not None and tracked.stored.uid in self._waiting:
            self._restore(tracked, tracked.stored.uid)

    def _is_ours(self, tracked: TrackedUpload, resource: Json) -> bool:
        known = tracked.sealed
        if known is None:
            return True  # it is about to be written
        try:
            sealed = FieldReader(resource, "").child("spec").text("sealed")
            if not sealed:  # as a person has made it
                return known.by_hand and not (known.has_url or tracked.sealed_with)
            origin = self._seals.open(sealed, tracked.upload.id).origin
        except (SealError, InvalidResourceError):
            return False
        # Where another origin is about to be written, an earlier one of the upload may be there.
        return origin == known or known is not tracked.upload.origin

    def _restore(self, tracked: TrackedUpload, uid: str) -> None:
        now, (due, pause) = monotonic(), self._next.get(uid, (0.0, FIRST_PAUSE_SECONDS))
        if now < due:
            self._waiting.add(uid)
            return
        self._waiting.discard(uid)
        self._next[uid] = now + pause, min(2 * pause, LONGEST_PAUSE_SECONDS)
        if len(self._next) > REMEMBERED:
            self._waiting.discard(self._next.popitem(last=False)[0])
        log.warning("somebody has overwritten spec.sealed; it is restored", extra={"resource": tracked.name})
        self._notices.post(tracked.name, uid, fault_event_texts.sealed_overwritten())
        tracked.sealed = None
        tracked.version += 1
        self._uploads.record(tracked)
