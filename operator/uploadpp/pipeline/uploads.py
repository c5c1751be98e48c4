"""The table of uploads in memory: uploads are added, written, ended, evicted and forgotten here."""

from collections.abc import Iterable
from typing import Protocol

from uploadpp.core.inputs import BytesReceived
from uploadpp.core.model import Millis
from uploadpp.core.policy import counted
from uploadpp.core.rules.timers import wake_at
from uploadpp.pipeline.admission import StepAdmission
from uploadpp.pipeline.file_order import FileLines
from uploadpp.pipeline.shared import Shared
from uploadpp.pipeline.text_budget import BUDGET, TextBudget
from uploadpp.pipeline.tracked_upload import TrackedUpload


class Lifecycle(Protocol):
    """What has to be done at the turning points of an upload (`resources.lifecycle.LifecycleHandlers`)."""

    def on_storable(self, tracked: TrackedUpload) -> None:
        """Its present state may be written."""

    def on_ended(self, tracked: TrackedUpload) -> None:
        """It has ended, and its end is stored."""

    def on_forgotten(self, tracked: TrackedUpload) -> None:
        """It has left memory and is not reloaded."""

    def on_overruled(self, tracked: TrackedUpload) -> None:
        """The storage has announced an upload that only a person's resource had told of; it was forgotten."""


class Uploads:
    """The uploads of one shard, found by their id and by the name of their resource.

    An upload is in the table from `add` until `evict` or `forget`. An upload that is evicted has ended, its
    resource says so in full, and `resources.finished` knows it from then on. Nothing is done any more for an
    upload that is forgotten: `gone` is set, its messages need not wait, and its slot is given to another.
    """

    def __init__(
        self,
        shared: Shared,
        admission: StepAdmission | None,
        lines: FileLines | None,
        lifecycle: Lifecycle,
    ) -> None:
        """`admission` is None where no step has a queue, `lines` where releases happen in any order."""
        self._config = shared.config
        self._acks = shared.acks
        self._timers = shared.timers
        self._metrics = shared.metrics
        self._count_matches = shared.count_matches
        self._admission = admission
        self._breakers = admission.breakers if admission is not None else None
        self._lines = lines
        self._lifecycle = lifecycle
        self._by_id: dict[str, TrackedUpload] = {}
        self._by_name: dict[str, TrackedUpload] = {}
        self.text_budget = TextBudget(BUDGET // shared.shard.count)

    def __len__(self) -> int:
        return len(self._by_id)

    @property
    def in_memory(self) -> Iterable[TrackedUpload]:
        """All uploads in memory."""
        return self._by_id.values()

    def by_name(self, name: str) -> TrackedUpload | None:
        """The upload behind a resource."""
        return self._by_name.get(name)

    def by_id(self, upload_id: str) -> TrackedUpload | None:
        """The upload with an id."""
        return self._by_id.get(upload_id)

    def add(self, tracked: TrackedUpload) -> None:
        """Take an upload into memory."""
        self._by_id[tracked.upload.id] = self._by_name[tracked.name] = tracked
        self.text_budget.note(tracked)
        self._metrics.moved(None, tracked.upload)
        if self._lines is not None:
            self._lines.add(tracked)
        if self._breakers is not None:
            self._breakers.moved(tracked)
        if self._admission is not None:
            self._admission.moved(tracked)

    def expect(self, upload_id: str, event: BytesReceived, sequence: int, timestamp: Millis) -> None:
        """An upload is announced that is not at hand until `arrived`: later ones of its file follow it."""
        if self._lines is not None:
            self._lines.expect(upload_id, event, sequence, timestamp)

    def arrived(self, upload_id: str) -> None:
        """What was announced of an upload that was not at hand is applied, or passed over."""
        if self._lines is not None:
            self._lines.arrived(upload_id)
            self._lines.settle()

    def rename(self, tracked: TrackedUpload, name: str) -> None:
        """A webhook has given the resource of an upload another name than we asked for."""
        if self._by_name.get(tracked.name) is tracked:
            del self._by_name[tracked.name]
        tracked.name = name
        self._by_name[name] = tracked

    def evict(self, tracked: TrackedUpload) -> None:
        """A finished upload leaves memory. It may come back as another one, which its resource tells."""
        tracked.gone = True  # whoever still waits to tell this one something is too late
        self._timers.set(tracked, None)
        self._remove(tracked)

    def forget(self, tracked: TrackedUpload) -> None:
        """The resource is gone: later results are ignored, nothing waits for it."""
        tracked.gone = True
        self._timers.set(tracked, None)
        self._remove(tracked)
        self._lifecycle.on_forgotten(tracked)
        self.let_go(tracked)
        if self._breakers is not None:
            self._breakers.left(tracked)
        if self._admission is not None:
            self._admission.left(tracked)
            self._admission.grant()
        if self._lines is not None:
            self._lines.left(tracked)
            self._lines.settle()

    def _remove(self, tracked: TrackedUpload) -> None:
        if self._by_id.get(tracked.upload.id) is tracked:
            del self._by_id[tracked.upload.id]
        if self._by_name.get(tracked.name) is tracked:
            del self._by_name[tracked.name]
        self.text_budget.forget(tracked)
        self._metrics.moved(tracked.upload, None)

    def schedule(self, tracked: TrackedUpload) -> None:
        """Wake an upload when its next timer is due."""
        self._timers.set(tracked, wake_at(tracked.upload, self._config))

    def record(self, tracked: TrackedUpload) -> None:
        """Have an upload written, if its present state may be."""
        if tracked.storable:
            self._lifecycle.on_storable(tracked)

    def go_on(self, tracked: TrackedUpload) -> None:
        """Set the timer of an upload that has rested, and have it written."""
        self.schedule(tracked)
        self.record(tracked)

    def saved(self, tracked: TrackedUpload, version: int) -> None:
        """Etcd has this version now."""
        tracked.saved = max(tracked.saved, version)
        if tracked.judged is not None and self._count_matches is not None:
            # Not sooner: until its announcement is acknowledged, each new owner asks the policies anew.
            self._count_matches(counted(tracked.judged, tracked.upload.policy))
        tracked.judged = None
        self.note_end(tracked)
        self.let_go(tracked)

    def note_end(self, tracked: TrackedUpload) -> None:
        """Say that an upload has ended, once that is stored."""
        if tracked.upload.stage.ended and not tracked.dirty:
            self._lifecycle.on_ended(tracked)

    def let_go(self, tracked: TrackedUpload) -> None:
        """Release messages that need not wait for a record any more: it exists, or there will be none."""
        self._acks.release_all(tracked.take_covered())
