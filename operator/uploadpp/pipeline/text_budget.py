"""The long texts that came with the uploads in memory, and a bound on how many characters they take.

Nothing else of a message stays in memory. A message of NATS may have a megabyte, and a thousand uploads
with so much in them would exceed the memory of the Pod, and of the next one as well: all uploads would
stop. So each long text is counted, once however many uploads share it, as they share a user with many
groups. When the budget is used up, an announcement that brings much more is passed over; ordinary ones go on.
"""

from collections import Counter

from uploadpp.core.model import Origin
from uploadpp.pipeline.tracked_upload import TrackedUpload

COUNTED = 1024
"""Characters. Shorter texts are not counted: their number is bounded by that of the uploads."""
LARGE = 8192
"""Characters that an announcement may bring when the budget is used up."""
BUDGET = 64 * 1024 * 1024


class TextBudget:
    """Long texts that came with the uploads of one shard."""

    def __init__(self, budget: int = BUDGET) -> None:
        self._budget = budget
        self._texts: Counter[str] = Counter()
        self._of: dict[TrackedUpload, tuple[str, ...]] = {}
        self._looked_at: tuple[Origin | None, tuple[str, ...]] = None, ()
        self.held = 0
        """Characters that long texts take."""

    def refuses(self, origin: Origin) -> str:
        """Why an announcement cannot be kept in memory; empty if it can."""
        if not (texts := self._long(origin)):
            return ""
        more = sum(len(text) for text in texts if text not in self._texts)
        if more <= LARGE or self.held + more <= self._budget:
            return ""
        return (
            f"its users, names and URL have {more} characters, and those of other uploads take "
            f"{self.held} of {self._budget} already"
        )

    def note(self, tracked: TrackedUpload) -> None:
        """An upload is in memory, or what came with it has changed."""
        texts = self._long(tracked.upload.origin)
        known = self._of.get(tracked, ())
        if texts == known:
            return
        for text in texts:
            self._texts[text] += 1
            self.held += len(text) if self._texts[text] == 1 else 0
        self._drop(known)
        if texts:
            self._of[tracked] = texts
        else:
            self._of.pop(tracked, None)

    def forget(self, tracked: TrackedUpload) -> None:
        """An upload leaves memory."""
        self._drop(self._of.pop(tracked, ()))

    def _drop(self, texts: tuple[str, ...]) -> None:
        for text in texts:
            self._texts[text] -= 1
            if not self._texts[text]:
                del self._texts[text]
                self.held -= len(text)

    def _long(self, origin: Origin) -> tuple[str, ...]:
        known, texts = self._looked_at  # an announcement is weighed and noted
        if origin is not known:
            texts = tuple([each for each in origin if each.__class__ is str and len(each) > COUNTED])
            self._looked_at = origin, texts
        return texts
