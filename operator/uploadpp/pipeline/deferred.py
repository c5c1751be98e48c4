"""Deferred messages: their upload is not in memory yet.

A finished upload has to be read back first (`resources.finished`). Of an upload whose resource is gone it has
to become clear whether it is forgotten (`resources.deletions`). Both keep its messages meanwhile, and hand
them back to the router, all at once and in order.
"""

from collections.abc import Iterator
from typing import NamedTuple, Protocol

from uploadpp.core.model import Millis
from uploadpp.pipeline.acks import PendingMessage
from uploadpp.wire.decode import Event


class DeferredMessage(NamedTuple):
    """An event of the log that is kept, and where it stands there."""

    event: Event
    sequence: int
    timestamp: Millis
    message: PendingMessage


class Deferral(Protocol):
    """Asked about every event of an upload before it is applied."""

    def defer(self, event: Event, sequence: int, timestamp: Millis, message: PendingMessage) -> bool:
        """Keep the event until its upload is at hand; False when it may be applied now."""


class DeferredMessages:
    """What is kept, by the id of the upload. Nothing of it is acknowledged until it is handed back."""

    def __init__(self) -> None:
        self._of: dict[str, list[DeferredMessage]] = {}

    def __contains__(self, upload_id: str) -> bool:
        return upload_id in self._of

    def __iter__(self) -> Iterator[str]:
        return iter(self._of)

    def keep(self, deferred: DeferredMessage) -> None:
        """Keep a message behind those of the same upload."""
        deferred.message.open += 1
        self._of.setdefault(deferred.event.upload_id, []).append(deferred)

    def take(self, upload_id: str) -> list[DeferredMessage]:
        """What was kept for an upload, to be handed back or released."""
        return self._of.pop(upload_id, [])
