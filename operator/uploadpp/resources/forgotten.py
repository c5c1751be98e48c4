"""Resources that we are done with: what a watch or a listing still says of them is late."""

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
        """Believe no word of this resource any more."""
        self._uids[uid] = None
        if len(self._uids) > REMEMBERED:
            self._uids.popitem(last=False)

    def done_with(self, tracked: TrackedUpload) -> None:
        """Believe no word of the resource of an upload any more."""
        if tracked.stored is not None:
            self.remember(tracked.stored.uid)

    def restore(self, uid: str) -> None:
        """A resource that was said to be gone is there."""
        self._uids.pop(uid, None)
