"""The uploads in memory, found by their id and by the name of their resource."""

from collections.abc import Iterable

from uploadpp.pipeline.text_budget import TextBudget
from uploadpp.pipeline.tracked_upload import Entry


class Uploads:
    """Those of one shard."""

    def __init__(self) -> None:
        self._entries: dict[str, Entry] = {}
        self._names: dict[str, Entry] = {}
        self.text_budget = TextBudget()

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def entries(self) -> Iterable[Entry]:
        """All uploads in memory."""
        return self._entries.values()

    def entry_of(self, name: str) -> Entry | None:
        """The upload behind a resource."""
        return self._names.get(name)

    def upload_entry(self, upload_id: str) -> Entry | None:
        """The upload with an id."""
        return self._entries.get(upload_id)

    def _add(self, entry: Entry) -> None:
        self._entries[entry.upload.id] = self._names[entry.name] = entry
        self.text_budget.note(entry)

    def _remove(self, entry: Entry) -> None:
        if self._entries.get(entry.upload.id) is entry:
            del self._entries[entry.upload.id]
        if self._names.get(entry.name) is entry:
            del self._names[entry.name]
        self.text_budget.forget(entry)

    def rename(self, entry: Entry, name: str) -> None:
        """A webhook has given the resource of an upload another name than we asked for."""
        if self._names.get(entry.name) is entry:
            del self._names[entry.name]
        entry.name = name
        self._names[name] = entry
