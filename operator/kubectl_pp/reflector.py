"""Lists, then watches, for as long as the consumer wants: over time-outs, expiry and broken lines."""

from __future__ import annotations

import queue
import threading
import time
from typing import NamedTuple

from kubectl_pp.client import Client
from kubectl_pp.errors import ExpiredError, PluginError, UnavailableError
from kubectl_pp.older import StrEnum
from kubectl_pp.upload import Upload

PAUSE_SECONDS = 1.0
WAITING_PAGES = 8
"""Changes that wait for a consumer of pages; the API server waits meanwhile."""


class Kind(StrEnum):
    """What a change is; ADDED, MODIFIED and DELETED are the API's words."""

    SNAPSHOT = "SNAPSHOT"
    LISTING = "LISTING"
    PAGE = "PAGE"
    ADDED = "ADDED"
    MODIFIED = "MODIFIED"
    DELETED = "DELETED"
    LOST = "LOST"


_PARTS = (Kind.LISTING, Kind.PAGE)


class Change(NamedTuple):
    """Something that happened to uploads. LOST carries the reason; a SNAPSHOT follows it."""

    kind: Kind
    uploads: tuple[Upload, ...]
    error: PluginError | None = None


class Reflector:
    """Changes of one collection.

    `version` leaves the list out and watches from there. `listed` are the parameters of the list where
    it shall have less than what is watched: what has ended does not move. With `paged` a list comes as it
    is read, for consumers that keep little of it: LISTING, which may come again, PAGE by PAGE, and a SNAPSHOT
    without uploads at the end.
    """

    def __init__(
        self,
        client: Client,
        path: str,
        params: dict[str, str],
        version: str = "",
        listed: dict[str, str] | None = None,
        *,
        paged: bool = False,
    ) -> None:
        self._client = client
        self._path = path
        self._params = params
        self._listed = params if listed is None else listed
        self._version = version
        self._paged = paged
        # A Queue is made of locks in Python, which an interrupt may hit while they are released.
        self._queue: queue.SimpleQueue[Change] = queue.SimpleQueue()
        self._room = threading.Semaphore(WAITING_PAGES) if paged else None
        self._first = True
        self._stopped = False
        self.heard = 0.0
        """When the API server last sent anything, including bookmarks."""
        threading.Thread(target=self._run, daemon=True).start()

    def get(self, timeout: float | None) -> Change | None:
        """The next change; None when the time is over first.

        Raises:
            PluginError: the first list failed.
        """
        try:
            change = self._queue.get(timeout=None if timeout is None else min(timeout, threading.TIMEOUT_MAX))
        except queue.Empty:
            return None
        if self._room is not None:
            self._room.release()
        if change.kind is Kind.LOST and self._first and change.error is not None:
            raise change.error
        self._first = self._first and change.kind in _PARTS
        return change

    def stop(self) -> None:
        """Stop after the current request; nobody listens any more."""
        self._stopped = True

    def _run(self) -> None:
        while not self._stopped:
            try:
                if not self._version:
                    self._list()
                if not self._stopped:
                    self._watch()
            except ExpiredError:
                self._version = ""
            except PluginError as error:
                self._version = ""
                self._give(Change(Kind.LOST, (), error))
                time.sleep(PAUSE_SECONDS)
            except Exception as error:  # noqa: BLE001 -- the consumer must hear of it
                self._version = ""
                self._give(Change(Kind.LOST, (), UnavailableError(f"{type(error).__name__}: {error}")))
                time.sleep(PAUSE_SECONDS)

    def _list(self) -> None:
        def attempt() -> tuple[list[Upload], str]:
            found: list[Upload] = []
            version = ""
            if self._paged:
                self._give(Change(Kind.LISTING, ()))
            for page in self._client.pages(self._path, self._listed):
                if self._stopped:
                    break
                uploads = [Upload(item) for item in page.get("items", [])]
                if self._paged:
                    self._give(Change(Kind.PAGE, tuple(uploads)))
                else:
                    found += uploads
                version = version or page["metadata"]["resourceVersion"]
            return found, version

        found, self._version = self._client.retried(attempt)
        self.heard = time.time()
        self._give(Change(Kind.SNAPSHOT, tuple(found)))

    def _watch(self) -> None:
        for event in self._client.watch(self._path, {**self._params, "resourceVersion": self._version}):
            resource = event["object"]
            self._version = resource["metadata"]["resourceVersion"]
            self.heard = time.time()
            if self._stopped:
                return
            if event["type"] in (Kind.ADDED, Kind.MODIFIED, Kind.DELETED):
                self._give(Change(Kind(event["type"]), (Upload(resource),)))

    def _give(self, change: Change) -> None:
        """Wait for room, but not for a consumer that has stopped."""
        while not self._stopped:
            if self._room is None or self._room.acquire(timeout=PAUSE_SECONDS):
                self._queue.put(change)
                return
