"""What came with the uploads in memory, in bytes: the one thing that others choose and that is kept.

Nothing else of a message stays. A message of NATS may have a megabyte, and a thousand uploads with so much
in them would exceed the memory of the Pod, of the next one as well, and so stop all uploads. So long texts
are counted, each once, however many uploads share it: the user with many groups. When they exceed the
budget, announcements that bring much more are passed over; ordinary ones go on.
"""

from collections import Counter

from uploadpp.core.model import Origin
from uploadpp.runtime.entry import Entry

COUNTED = 1024
"""Characters. Shorter texts are not counted: their number is bounded by that of the uploads."""
LARGE = 8192
"""Characters that an announcement may bring when the budget is used up."""
BUDGET = 64 * 1024 * 1024


class Weights:
    """Long texts that came with the uploads of one shard."""

    def __init__(self, budget: int = BUDGET) -> None:
        self._budget = budget
        self._texts: Counter[str] = Counter()
        self._of: dict[Entry, tuple[str, ...]] = {}
        self.held = 0
        """Characters that long texts take."""

    def refuses(self, origin: Origin, shards: int = 1) -> str:
        """Why an announcement cannot be taken into memory; empty when it can. All shards share the budget."""
        budget = self._budget // shards
        more = sum(len(text) for text in _long(origin) if text not in self._texts)
        if more <= LARGE or self.held + more <= budget:
            return ""
        return (
            f"it came with {more} characters of users, names and URL, and what came with other uploads takes "
            f"{self.held} of {budget} already"
        )

    def note(self, entry: Entry) -> None:
        """An upload is in memory, or what came with it has changed."""
        texts = _long(entry.upload.origin)
        known = self._of.get(entry, ())
        if texts == known:
            return
        for text in texts:
            self._texts[text] += 1
            self.held += len(text) if self._texts[text] == 1 else 0
        self._drop(known)
        if texts:
            self._of[entry] = texts
        else:
            self._of.pop(entry, None)

    def forget(self, entry: Entry) -> None:
        """An upload leaves memory."""
        self._drop(self._of.pop(entry, ()))

    def _drop(self, texts: tuple[str, ...]) -> None:
        for text in texts:
            self._texts[text] -= 1
            if not self._texts[text]:
                del self._texts[text]
                self.held -= len(text)


def _long(origin: Origin) -> tuple[str, ...]:
    if (  # as nearly always
        len(origin.url) <= COUNTED
        and len(origin.executing_user) <= COUNTED
        and len(origin.filename) <= COUNTED
        and len(origin.resource_id) <= COUNTED
        and len(origin.impersonating_user) <= COUNTED
        and len(origin.space_owner) <= COUNTED
        and len(origin.initiator_id) <= COUNTED
        and len(origin.traceparent) <= COUNTED
        and len(origin.extra_info or "") <= COUNTED
    ):
        return ()
    return tuple(each for each in origin if isinstance(each, str) and len(each) > COUNTED)
