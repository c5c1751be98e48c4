"""Resources that are done with: later events of a watch or entries of a list about them are ignored."""

from collections import OrderedDict
from collections.abc import Mapping
from hashlib import blake2b

import orjson

from uploadpp.pipeline.ports import Json
from uploadpp.pipeline.tracked_upload import TrackedUpload

REMEMBERED = 10_000
TOLD_BYTES = 6


def told_by(resource: Json) -> str:
    """A fingerprint of what the status of a resource says; empty when it says nothing."""
    status = resource.get("status")
    if not status:
        return ""
    return blake2b(orjson.dumps(status, option=orjson.OPT_SORT_KEYS), digest_size=TOLD_BYTES).hexdigest()


class ForgottenResources:
    """The last of them, by their uids, and those whose uploads have ended though they do not say so."""

    def __init__(self) -> None:
        self._uids: OrderedDict[str, None] = OrderedDict()
        self._noted: dict[str, str] = {}
        self._met: set[str] = set()

    def __contains__(self, uid: str) -> bool:
        return uid in self._uids

    def remember(self, uid: str) -> None:
        """Ignore this resource from now on."""
        self._uids[uid] = None
        if len(self._uids) > REMEMBERED:
            self._uids.popitem(last=False)

    def done_with(self, tracked: TrackedUpload) -> None:
        """Ignore the resource of an upload from now on."""
        if tracked.stored is not None:
            self.remember(tracked.stored.uid)

    def restore(self, uid: str) -> None:
        """A resource that was reported as deleted exists after all."""
        self._uids.pop(uid, None)

    # -- ends that their resources do not tell ----------------------------------------------------

    @property
    def noted(self) -> Mapping[str, str]:
        """What the resources of uploads that have ended said then, by their uids (docs/adr/0063)."""
        return self._noted

    def note(self, uid: str, told: str, *, met: bool = False) -> None:
        """The upload of a resource has ended; `told` is what it says, `met` that it is known to be there."""
        self._noted[uid] = told
        if met:
            self._met.add(uid)

    def drop(self, uid: str) -> None:
        """A resource says itself what its upload is, or is gone."""
        self._noted.pop(uid, None)
        self._met.discard(uid)

    def drop_unmet(self) -> None:
        """Those that nobody has asked about are gone."""
        for uid in set(self._noted) - self._met:
            self.drop(uid)

    def has_ended(self, resource: Json) -> bool:
        """Whether the upload of a resource has ended although the resource, as it is, does not say so."""
        uid = resource["metadata"]["uid"]
        if uid not in self._noted or self._noted[uid] != told_by(resource):
            return False
        self._met.add(uid)
        return True
