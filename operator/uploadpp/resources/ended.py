"""Uploads whose end is stored, on their way from the table in memory to the finished ones."""

from collections.abc import Iterator

from uploadpp.pipeline.tracked_upload import TrackedUpload
from uploadpp.pipeline.write_throttle import Endings


class EndedUploads:
    """Those of one shard. `resources.ttl` checks them once a second and evicts what can be evicted."""

    def __init__(self) -> None:
        self._waiting: dict[TrackedUpload, None] = {}
        self._endings = Endings()

    def __len__(self) -> int:
        return len(self._waiting)

    def __iter__(self) -> Iterator[TrackedUpload]:
        return iter(self._waiting)

    def add(self, tracked: TrackedUpload) -> None:
        """An upload has ended and that is stored."""
        self._waiting[tracked] = None
        self._endings.seen()

    def remove(self, tracked: TrackedUpload) -> None:
        """It is evicted, or goes on after all."""
        del self._waiting[tracked]

    def rate(self, seconds: float) -> float:
        """How many end per second; the argument is the time since the last call."""
        return self._endings.rate(seconds)
