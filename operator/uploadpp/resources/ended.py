"""Uploads whose end is stored, on their way from the table in memory to the finished ones."""

from collections.abc import Iterator

from uploadpp.pipeline.tracked_upload import TrackedUpload
from uploadpp.pipeline.write_throttle import Endings


class EndedUploads:
    """Those of one shard. `resources.ttl` looks at them once a second, and has evicted those that can be."""

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
        """How many a second end; so long ago it was last asked for."""
        return self._endings.rate(seconds)
