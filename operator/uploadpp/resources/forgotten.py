"""Resources that are done with: later events of a watch or entries of a list about them are ignored."""

from collections import OrderedDict

from uploadpp.pipeline.tracked_upload import TrackedUpload

REMEMBERED = 10_000


class ForgottenResources:
    """The last of them, by their uids."""

    def __init__(self) -> None:
        self._uids: OrderedDict[str, None] = OrderedDict()

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
