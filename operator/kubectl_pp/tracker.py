"""Follows some uploads until each is where it should be."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

from kubectl_pp.context import Context
from kubectl_pp.reflector import Change, Kind, Reflector
from kubectl_pp.upload import Upload, collection

Key = tuple[str, str]


class Tracker:
    """The latest known state of some uploads. What is deleted keeps its last one."""

    def __init__(self, context: Context, uploads: Iterable[Upload], version: str = "") -> None:
        self.uploads: dict[Key, Upload] = {upload.key: upload for upload in uploads}
        self.gone: set[Key] = set()
        self._context = context
        namespaces = {namespace for namespace, _ in self.uploads}
        place = namespaces.pop() if len(namespaces) == 1 else None
        names = {name for _, name in self.uploads}
        params = {"fieldSelector": f"metadata.name={names.pop()}"} if len(names) == 1 else {}
        self._feed = Reflector(context.client, collection(place), params, version)
        self._told = False
        self._begun = bool(version)

    def follow(
        self,
        done: Callable[[Upload], bool],
        *,
        deadline: float | None = None,
        idle: float | None = None,
        on_change: Callable[[Upload], None] | None = None,
        on_progress: Callable[[int], None] | None = None,
    ) -> set[Key]:
        """Wait until all are done, gone, or the time is over; returns those that are not done.

        `deadline` is a moment of `time.monotonic`; `idle` is how long no upload may change, once the
        first listing is there; `on_progress` is told how many are done.
        """
        pending = {key for key, upload in self.uploads.items() if key not in self.gone and not done(upload)}
        progress = time.monotonic()
        while pending:
            quiet = progress + idle if idle and self._begun else None
            limits = [limit for limit in (deadline, quiet) if limit is not None]
            left = min(limits) - time.monotonic() if limits else None
            change = self._feed.get(left) if left is None or left > 0 else None
            if change is None:
                break
            before, moved = len(pending), self._apply(change)
            self._begun = self._begun or bool(moved) or change.kind is Kind.LOST
            progress = time.monotonic() if moved else progress
            for upload in moved:
                if on_change is not None:
                    on_change(upload)
                if upload.key in self.gone or done(upload):
                    pending.discard(upload.key)
            if len(pending) < before and on_progress is not None:
                on_progress(len(self.uploads) - len(pending))
        return pending

    def _apply(self, change: Change) -> list[Upload]:
        if change.kind is Kind.LOST:
            if not self._told:
                self._context.screen.note(f"connection lost, retrying: {change.error}")
            self._told = True
            return []
        self._told = False
        moved = [upload for upload in change.uploads if upload.key in self.uploads]
        for upload in moved:
            self.uploads[upload.key] = upload
        if change.kind is Kind.DELETED:
            self.gone |= {upload.key for upload in moved}
        if change.kind is Kind.SNAPSHOT:
            lost = set(self.uploads) - {upload.key for upload in moved} - self.gone
            self.gone |= lost
            moved += [self.uploads[key] for key in lost]
        return moved
