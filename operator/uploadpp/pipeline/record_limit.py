"""How many uploads may be recorded: a full etcd is read-only for the whole cluster."""

import asyncio
from collections.abc import Iterable, Sized
from typing import Protocol

from uploadpp.kube.errors import Refusal, RefusedError
from uploadpp.pipeline.text_budget import TextBudget
from uploadpp.pipeline.tracked_upload import TrackedUpload

RECOUNT_SECONDS = 1.0


class Uploads(Sized, Protocol):
    """The uploads in memory (`pipeline.uploads.Uploads`)."""

    text_budget: TextBudget

    @property
    def in_memory(self) -> Iterable[TrackedUpload]:
        """All of them."""


class RecordLimit:
    """Counts the resources of one shard, exactly only when there may be too many."""

    def __init__(self, most: int, uploads: Uploads, ended: Sized) -> None:
        self._most = max(most, 1)
        self._uploads = uploads
        self._ended = ended
        self._recorded = 0
        self._counted_at = float("-inf")

    @property
    def recorded(self) -> int:
        """How many resources there are now."""
        return sum(tracked.stored is not None for tracked in self._uploads.in_memory) + len(self._ended)

    @property
    def characters(self) -> int:
        """The memory of long texts that came with uploads."""
        return self._uploads.text_budget.held

    def check(self) -> None:
        """Ask before another resource is made.

        Raises:
            RefusedError: there are as many as may be.
        """
        if len(self._uploads) + len(self._ended) < self._most:
            return
        now = asyncio.get_running_loop().time()
        if now - self._counted_at >= RECOUNT_SECONDS:
            self._counted_at = now
            self._recorded = self.recorded
        if self._recorded >= self._most:
            allowed = f"UPLOADPP_MAX_RECORDED allows {self._most} in this shard"
            text = f"{self._recorded} uploads are recorded; {allowed}"
            raise RefusedError(text, Refusal.LIMIT)
        self._recorded += 1
