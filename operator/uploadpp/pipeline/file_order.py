"""Which of the uploads of one file is released first, in one shard (docs/adr/0052).

A line is the uploads of one file that are under way, in the order in which they were announced. Usually it is
one upload long, and then there is nothing to do. The position of an upload follows from its state, so nothing
has to survive a crash. An upload that has ended once is in no line, even if it is continued.
"""

from bisect import bisect_left
from collections.abc import Callable
from functools import lru_cache

import orjson

from uploadpp.core.evolve import evolve
from uploadpp.core.inputs import BytesReceived, Follows, Foremost
from uploadpp.core.model import FileInfo, FileOrder, Millis, Origin, Upload
from uploadpp.core.states import ENDED, IN_STEP, Stage
from uploadpp.pipeline.tracked_upload import TrackedUpload

File = tuple[str, str]
"""The ids of the space and of the file in it. The id of the storage is not in every announcement."""

Rank = tuple[Millis, int]
MAX_ID = 256
"""Characters of an id that a resource keeps."""
MOVABLE = IN_STEP | {Stage.PENDING}
"""Stages in which an upload can still be told whom it follows."""


class FileLines:
    """The lines of all files with uploads under way."""

    def __init__(self) -> None:
        self._lines: dict[File, list[TrackedUpload]] = {}
        self._file_of: dict[TrackedUpload, File] = {}
        self._expected: dict[str, TrackedUpload] = {}
        """Stand-ins for uploads whose announcement is read, and is applied only when they are at hand."""
        self._tell: Callable[[TrackedUpload, Follows | Foremost], None] | None = None
        self._settling = False
        self.doubtful: list[TrackedUpload] = []
        """Those whose place in their line may have changed since they were told of it."""

    def __len__(self) -> int:
        return len(self._file_of)

    def open(self, tell: Callable[[TrackedUpload, Follows | Foremost], None]) -> None:
        """Tell uploads from now on where they stand: the log is read, and what it shows counts first."""
        self._tell = tell
        stand_ins = set(self._expected.values())
        for tracked in [*self._file_of]:
            if tracked not in stand_ins and not _is_under_way(tracked.upload):
                self.left(tracked)
        self.doubtful = [
            tracked
            for tracked, file in self._file_of.items()
            if len(self._lines[file]) > 1 or tracked.upload.stage is Stage.AWAITING_TURN
        ]
        self.settle()

    def close(self) -> None:
        """Tell nothing any more."""
        self._tell = None

    def announced(self, event: BytesReceived, sequence: int, timestamp: Millis) -> BytesReceived:
        """The announcement of an upload that is not begun, with whom it follows, if anybody."""
        line = self._lines.get(_file(event.file, event.origin) or ("", ""))
        if line is None:
            return event
        index = bisect_left(line, (timestamp, sequence), key=_rank)
        return evolve(event, follows=Follows(line[index - 1].upload.id, sequence)) if index else event

    def expect(self, upload_id: str, event: BytesReceived, sequence: int, timestamp: Millis) -> None:
        """An upload is announced, and what is known of it has to be read first: later ones follow it."""
        if upload_id not in self._expected:
            order = FileOrder(arrival=sequence)
            upload = Upload(upload_id, timestamp, event.origin, event.file, order=order)
            self._expected[upload_id] = TrackedUpload("", upload)
            self._join(self._expected[upload_id])

    def arrived(self, upload_id: str) -> None:
        """The upload is at hand, or nothing comes of its announcement."""
        stand_in = self._expected.pop(upload_id, None)
        if stand_in is not None:
            self.left(stand_in)

    def add(self, tracked: TrackedUpload) -> None:
        """An upload has come into memory, or has begun.

        One that has not begun is in no line: it may be announced later in the log than those that have, or
        not at all. One that was cancelled before it began is in a line: the storage is still to answer.

        While the log is read, one that is held, or that failed to be released, is in its line as well: the
        log may show later that it has begun, or that its retries were renewed.
        """
        upload = tracked.upload
        may_go_on = self._tell is None and upload.stage in {Stage.HELD, Stage.UPLOAD_FAILED}
        if (_is_under_way(upload) or may_go_on) and not upload.order.left:
            self._join(tracked)

    def _join(self, tracked: TrackedUpload) -> None:
        upload = tracked.upload
        file = _file(upload.file, upload.origin)
        if file is None or tracked in self._file_of:
            return
        self._file_of[tracked] = file
        line = self._lines.get(file)
        if line is None:
            self._lines[file] = [tracked]
            return
        index = bisect_left(line, _rank(tracked), key=_rank)
        line.insert(index, tracked)
        self.doubtful += line[index : index + 2]

    def moved(self, tracked: TrackedUpload, before: Upload | None) -> None:
        """Look where an upload stands now."""
        if before is not None and not before.run:
            self.add(tracked)
        stage = tracked.upload.stage
        has_ended = stage in ENDED and (self._tell is not None or stage is not Stage.UPLOAD_FAILED)
        if has_ended or tracked.upload.order.left:
            self.left(tracked)
        if stage is Stage.AWAITING_TURN:
            self.doubtful.append(tracked)

    def left(self, tracked: TrackedUpload) -> None:
        """An upload has ended, or is forgotten: no other one waits for it any more."""
        file = self._file_of.pop(tracked, None)
        if file is None:
            return
        line = self._lines[file]
        index = _index(line, tracked)
        del line[index]
        if not line:
            del self._lines[file]
        else:
            self.doubtful += line[index : index + 1]

    def waits_behind(self, tracked: TrackedUpload) -> TrackedUpload | None:
        """The upload right before one that waits, if that waits as well: it is not what takes too long."""
        if tracked.upload.stage is not Stage.AWAITING_TURN or tracked not in self._file_of:
            return None
        line = self._lines[self._file_of[tracked]]
        index = _index(line, tracked)
        earlier = line[index - 1] if index else None
        waits = earlier is not None and earlier.upload.stage is Stage.AWAITING_TURN
        return earlier if waits else None

    def settle(self) -> None:
        """Tell those whose place has changed. What that changes is looked at as well, before it returns."""
        if self._settling or self._tell is None:
            return
        self._settling = True
        try:
            while self.doubtful and self._tell is not None:
                tracked = self.doubtful.pop()
                seen = self._place(tracked)
                if seen is not None:
                    self._tell(tracked, seen)
        finally:
            self._settling = False

    def _place(self, tracked: TrackedUpload) -> Follows | Foremost | None:
        """What an upload has to be told; None when it knows, or when it makes no difference."""
        upload = tracked.upload
        file = self._file_of.get(tracked)
        if tracked.gone or upload.stage not in MOVABLE or self._expected.get(upload.id) is tracked:
            return None
        line = self._lines[file] if file is not None else [tracked]
        index = _index(line, tracked)
        if index == 0:
            return Foremost() if upload.stage is Stage.AWAITING_TURN else None
        earlier = line[index - 1].upload.id
        return Follows(earlier) if earlier != upload.order.after else None


def _is_under_way(upload: Upload) -> bool:
    """Whether others wait for its end."""
    return bool(upload.run or upload.stage is Stage.AWAITING_READY) and upload.stage not in ENDED


def _rank(tracked: TrackedUpload) -> Rank:
    """When it was announced. The position tells moments apart that are the same; a first one needs none."""
    upload = tracked.upload
    return upload.received_at, upload.order.arrival


def _index(line: list[TrackedUpload], tracked: TrackedUpload) -> int:
    index = bisect_left(line, _rank(tracked), key=_rank)
    return index if index < len(line) and line[index] is tracked else line.index(tracked)


def _file(file: FileInfo, origin: Origin) -> File | None:
    """The file of an upload; None if it is not known.

    A resource may show less than was announced, and a webhook may have altered what it shows.
    """
    announced = _announced(origin.resource_id)
    if announced is not None:
        return announced
    return (file.space_id[:MAX_ID], file.opaque_id[:MAX_ID]) if file.opaque_id and file.space_id else None


@lru_cache(maxsize=1)  # the file of an announcement is asked for before and after its upload is made
def _announced(resource_id: str) -> File | None:
    try:
        ids = orjson.loads(resource_id) or {}
        space, opaque = ids.get("space_id", ""), ids.get("opaque_id", "")
    except (ValueError, AttributeError):
        return None
    if isinstance(space, str) and isinstance(opaque, str) and opaque:
        return space[:MAX_ID], opaque[:MAX_ID]
    return None
