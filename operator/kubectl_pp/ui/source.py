"""Where the page's uploads come from: the cluster, by the connection and the rights that the plugin has."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Protocol

from kubectl_pp import selection
from kubectl_pp.context import Context
from kubectl_pp.errors import PluginError
from kubectl_pp.reflector import Change, Kind, Reflector
from kubectl_pp.sanitize import Json
from kubectl_pp.screen import harmless
from kubectl_pp.ui import health
from kubectl_pp.ui.model import Model
from kubectl_pp.upload import Upload, collection

RECONNECT_SECONDS = 2.0
MOST_RECONNECT_SECONDS = 60.0
"""A connection that is broken for so long is made anew, ever more rarely: the proxy may be dead, the login
may be another."""
HEALTH_SECONDS = 15.0
_TICK_SECONDS = 1.0


class Source(Protocol):
    """What the server needs of a cluster, real or made up."""

    model: Model

    def start(self) -> None:
        """Begin to fill the model."""

    def close(self) -> None:
        """End what was started."""

    def upload(self, namespace: str, name: str) -> Upload:
        """One upload as it is now."""

    def events(self, upload: Upload) -> list[Json] | None:
        """Its Events; None where they may not be read."""


class Cluster:
    """One list and one watch, and for open pages what the operator reports."""

    def __init__(self, context: Context, again: Callable[[], Context]) -> None:
        self.model = Model()
        self._context, self._again = context, again
        self._feed: Reflector | None = None
        self._closed = threading.Event()

    def start(self) -> None:
        """Begin to fill the model.

        Raises:
            PluginError: the first list failed.
        """
        self._feed = _feed(self._context)
        while not self.model.loaded:
            self._apply(self._feed.get(None))
        threading.Thread(target=self._follow, daemon=True).start()
        threading.Thread(target=self._look, daemon=True).start()

    def close(self) -> None:
        """End kubectl."""
        self._closed.set()
        self._context.close()

    def upload(self, namespace: str, name: str) -> Upload:
        """One upload as it is now.

        Raises:
            PluginError: it is gone, or cannot be read.
        """
        return Upload(self._context.client.get(f"{collection(namespace)}/{name}"))

    def events(self, upload: Upload) -> list[Json] | None:
        """Its Events; None where they may not be read."""
        from kubectl_pp.verbs.status import readable_events  # noqa: PLC0415 -- for an open upload only

        return readable_events(self._context, upload)

    def _follow(self) -> None:
        broken_since: float | None = None
        patience = RECONNECT_SECONDS
        while not self._closed.is_set():
            assert self._feed is not None  # noqa: S101 -- `start` has made it
            try:
                self._apply(self._feed.get(_TICK_SECONDS))
            except PluginError as error:
                self.model.lose(_said(error))
            except Exception as error:  # noqa: BLE001 -- a page that stands still must say so
                self.model.lose(harmless(f"{type(error).__name__}: {error}"))
            if self._feed.heard > self.model.heard:
                self.model.hear()
            if not self.model.stale(time.time()):
                broken_since, patience = None, RECONNECT_SECONDS
                continue
            broken_since = broken_since or time.monotonic()
            if time.monotonic() - broken_since > patience:
                broken_since, patience = None, min(2 * patience, MOST_RECONNECT_SECONDS)
                try:
                    self._reconnect()
                except PluginError as error:
                    self.model.lose(_said(error))

    def _apply(self, change: Change | None) -> None:
        if change is None:
            return
        if change.kind is Kind.LOST:
            self.model.lose(_said(change.error) if change.error else "")
        elif change.kind is Kind.LISTING:
            self.model.begin()
        elif change.kind is Kind.PAGE:
            self.model.add(change.uploads)
        elif change.kind is Kind.SNAPSHOT:
            self.model.load(change.uploads)
        elif change.kind is Kind.DELETED:
            self.model.drop(change.uploads[0].key)
        else:
            self.model.put(change.uploads[0])

    def _reconnect(self) -> None:
        assert self._feed is not None  # noqa: S101 -- `start` has made it
        self._feed.stop()
        self._context.close()
        self._context = self._again()
        self._feed = _feed(self._context)

    def _look(self) -> None:
        """Ask the operator for its report, while a page is open."""
        while not self._closed.wait(_TICK_SECONDS):
            if not self.model.readers:
                continue
            try:
                found = health.look(self._context)
            except PluginError as error:
                found = health.unknown(error)
            except Exception as error:  # noqa: BLE001 -- uploads are shown all the same
                found = health.unknown(PluginError(f"{type(error).__name__}: {error}"))
            self.model.set_operator({"findings": found.findings, "slots": found.slots}, found.unwell)
            self._closed.wait(HEALTH_SECONDS)


def _said(error: PluginError) -> str:
    """An error on one line, with its remedy."""
    return harmless(f"{error} ({error.remedy})" if error.remedy else str(error))


def _feed(context: Context) -> Reflector:
    return Reflector(
        context.client, collection(context.namespace), selection.params(context.options), paged=True
    )
