"""The table of uploads in memory: they come, are written, end, are evicted or forgotten here."""

from collections.abc import Iterable
from typing import Protocol

from uploadpp.core.rules.timers import wake_at
from uploadpp.pipeline.admission import StepAdmission
from uploadpp.pipeline.shared import Shared
from uploadpp.pipeline.text_budget import BUDGET, TextBudget
from uploadpp.pipeline.tracked_upload import Entry


class Lifecycle(Protocol):
    """What has to be done at the turning points of an upload (`resources.lifecycle.Followers`)."""

    def on_storable(self, entry: Entry) -> None:
        """Its present state may be written."""

    def on_ended(self, entry: Entry) -> None:
        """It has ended, and its end is stored."""

    def on_forgotten(self, entry: Entry) -> None:
        """It has left memory for good."""

    def on_overruled(self, entry: Entry) -> None:
        """The storage has announced an upload that only a person's resource had told of; it was forgotten."""


class Uploads:
    """The uploads of one shard, found by their id and by the name of their resource.

    An upload is in the table from `add` until `evict` or `forget`. An upload that is evicted has ended, its
    resource says so in full, and `resources.finished` knows it from then on. Nothing is done any more for an
    upload that is forgotten: `gone` is set, its messages need not wait, and its slot is given to another.
    """

    def __init__(self, shared: Shared, admission: StepAdmission | None, lifecycle: Lifecycle) -> None:
        """`admission` is None where no step has a limit."""
        self._config = shared.config
        self._acks = shared.acks
        self._timers = shared.timers
        self._metrics = shared.metrics
        self._admission = admission
        self._lifecycle = lifecycle
        self._by_id: dict[str, Entry] = {}
        self._by_name: dict[str, Entry] = {}
        self.text_budget = TextBudget(BUDGET // shared.shard.count)

    def __len__(self) -> int:
        return len(self._by_id)

    @property
    def entries(self) -> Iterable[Entry]:
        """All uploads in memory."""
        return self._by_id.values()

    def entry_of(self, name: str) -> Entry | None:
        """The upload behind a resource."""
        return self._by_name.get(name)

    def upload_entry(self, upload_id: str) -> Entry | None:
        """The upload with an id."""
        return self._by_id.get(upload_id)

    def add(self, entry: Entry) -> None:
        """Take an upload into memory."""
        self._by_id[entry.upload.id] = self._by_name[entry.name] = entry
        self.text_budget.note(entry)
        self._metrics.moved(None, entry.upload)
        if self._admission is not None:
            self._admission.moved(entry)

    def rename(self, entry: Entry, name: str) -> None:
        """A webhook has given the resource of an upload another name than we asked for."""
        if self._by_name.get(entry.name) is entry:
            del self._by_name[entry.name]
        entry.name = name
        self._by_name[name] = entry

    def evict(self, entry: Entry) -> None:
        """An upload that is over leaves memory."""
        self._timers.set(entry, None)
        self._remove(entry)

    def forget(self, entry: Entry) -> None:
        """The resource is gone: later results are ignored, nothing waits for it."""
        entry.gone = True
        self._timers.set(entry, None)
        self._remove(entry)
        self._lifecycle.on_forgotten(entry)
        self.let_go(entry)
        if self._admission is not None:
            self._admission.left(entry)
            self._admission.grant()

    def _remove(self, entry: Entry) -> None:
        if self._by_id.get(entry.upload.id) is entry:
            del self._by_id[entry.upload.id]
        if self._by_name.get(entry.name) is entry:
            del self._by_name[entry.name]
        self.text_budget.forget(entry)
        self._metrics.moved(entry.upload, None)

    def schedule(self, entry: Entry) -> None:
        """Wake an upload when its next timer is due."""
        self._timers.set(entry, wake_at(entry.upload, self._config))

    def record(self, entry: Entry) -> None:
        """Have an upload written, if its present state may be."""
        if entry.storable:
            self._lifecycle.on_storable(entry)

    def go_on(self, entry: Entry) -> None:
        """Set the timer of an upload that has rested, and have it written."""
        self.schedule(entry)
        self.record(entry)

    def saved(self, entry: Entry, version: int) -> None:
        """Etcd has this version now."""
        entry.saved = max(entry.saved, version)
        self.note_end(entry)
        self.let_go(entry)

    def note_end(self, entry: Entry) -> None:
        """Say that an upload has ended, once that is stored."""
        if entry.upload.stage.ended and not entry.dirty:
            self._lifecycle.on_ended(entry)

    def let_go(self, entry: Entry) -> None:
        """Messages that need not wait for a record any more, because it is there or none is to come."""
        self._acks.release_all(entry.take_covered())
