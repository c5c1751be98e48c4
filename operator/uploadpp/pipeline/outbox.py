"""The outbox: keeps commands during a replay, then publishes them, and recognizes them in the log.

A replay decides anew what was decided before. Only at its end is it known which commands the stream has
already, so until then none is published (invariant 2.3; docs/replay.md has an example).

A command is in one of three places:

    put ──► kept ──► sent ──► in the stream        `kept` only while a log is replayed
             │        │
             │        └─► refused: larger than the stream takes; its upload is forgotten
             └─► met in the log, or said by another service: it never goes out

Its id is computed from what it is about, so what is put a second time takes the place of the first. A command
that was sent is known to be in the stream by the acknowledgement or because it is met in the log, whichever
comes first. `on_published` is called once for both.

Invariant: each command counts in `unpublished` of its upload from `put` until it is in the stream, is
refused, or does not go out.
"""

import logging
from collections.abc import Callable
from functools import partial

from uploadpp.core.commands import Kind
from uploadpp.core.model import Millis
from uploadpp.pipeline.acks import PendingMessage
from uploadpp.pipeline.ports import Bus
from uploadpp.pipeline.replay_buffer import PendingCommand, add_pending, send_all
from uploadpp.pipeline.sent import SentEvents
from uploadpp.pipeline.tracked_upload import TrackedUpload
from uploadpp.telemetry.metrics import Metrics
from uploadpp.wire.marks import Marks
from uploadpp.wire.stream_message import StreamMessage

log = logging.getLogger(__name__)

FORGED = "forged JetStream acknowledgement: it names sequence %d, but the event has sequence %d"


class Outbox:
    """The commands of one shard on their way to the stream."""

    def __init__(
        self,
        bus: Bus,
        metrics: Metrics,
        on_published: Callable[[PendingCommand, int], None],
        on_refused: Callable[[TrackedUpload | None, PendingMessage | None, str], None],
        on_misplaced: Callable[[TrackedUpload, int, int], None],
    ) -> None:
        """Of each command that goes out, one of the first two is called.

        `on_misplaced` is called when an acknowledgement has named another position than the log shows.
        """
        self._bus = bus
        self._metrics = metrics
        self._on_published = on_published
        self._on_refused = on_refused
        self._on_misplaced = on_misplaced
        self._sent = SentEvents()
        self._resumes: set[str] = set()
        """Resumes of a step that were sent and are not known to be stored; `_sent` holds all others."""
        self._pending: dict[str, PendingCommand] | None = {}

    @property
    def replaying(self) -> bool:
        """Whether commands are kept."""
        return self._pending is not None

    def put(self, command: PendingCommand) -> PendingMessage | None:
        """Publish a command, or keep it until the replay is over.

        Returns a message that need not wait any more, because the command takes the place of its own.
        """
        if self._pending is not None:
            return add_pending(self._pending, command)
        self._send(command)
        return None

    def _send(self, pending: PendingCommand) -> None:
        kind = pending.command.mark.kind
        self._metrics.published.labels(kind).inc()
        if kind is Kind.RESUME:  # that one is news to all
            self._resumes.add(pending.outgoing.event_id)
        elif pending.tracked is not None:
            self._sent.add(pending.outgoing, pending.tracked)
        self._bus.publish(
            pending.outgoing,
            partial(self._stored, pending),
            partial(self._never_stored, pending),
        )

    def _stored(self, pending: PendingCommand, sequence: int) -> None:
        self._resumes.discard(pending.outgoing.event_id)
        self._sent.acked(pending.outgoing.event_id, sequence)
        self._on_published(pending, sequence)

    def _never_stored(self, pending: PendingCommand, why: str) -> None:
        self._sent.refused(pending.outgoing.event_id)
        self._on_refused(pending.tracked, pending.message, why)

    def under_way(self) -> set[str]:
        """The ids of the uploads, also forgotten ones, about which the stream may still get an event."""
        return self._sent.under_way()

    def recognize(self, raw: StreamMessage) -> TrackedUpload | None:
        """The upload of a message that this owner has sent; None when it is not one of these."""
        tracked = self._sent.take(raw)
        if tracked is not None:
            said = self._sent.acked_at(raw.message_id)
            self._bus.confirm(raw.message_id, raw.sequence)
            if said is not None and said != raw.sequence:
                log.warning(FORGED, said, raw.sequence)
                self._on_misplaced(tracked, said, raw.sequence)
        return tracked

    def meet(self, event_id: str, sequence: int) -> PendingCommand | None:
        """One of our events is in the log: it need not go out, or not again.

        Returns what is kept for it. Without that, the event was sent, and is confirmed.
        """
        pending = self.withdraw(event_id)
        if pending is None:
            self._bus.confirm(event_id, sequence)
        return pending

    def meet_resume(self, event_id: str, sequence: int) -> PendingCommand | None:
        """The same of a resume of all uploads in a step. Its id is not signed: it stands for no other."""
        kept = (self._pending or {}).get(event_id)
        is_one = kept.command.mark.kind is Kind.RESUME if kept is not None else event_id in self._resumes
        return self.meet(event_id, sequence) if is_one else None

    def withdraw(self, event_id: str) -> PendingCommand | None:
        """A command that need not go out any more, if it is still kept."""
        return self._pending.pop(event_id, None) if self._pending is not None else None

    def keep(self) -> None:
        """From here on commands are kept, as during a replay."""
        self._pending = {}

    def open(
        self,
        now: Millis,
        marks: Marks,
        failed: Callable[[TrackedUpload | None, Exception, PendingMessage | None], None],
    ) -> dict[str, int]:
        """The log is read to its end: publish what it does not show as published.

        `failed` is called when our own code fails on a command. Returns how many were kept, and
        how many are published.
        """
        pending, self._pending = self._pending or {}, None
        sent = send_all(pending.values(), now, marks, self._send, failed)
        return {"held": len(pending), "sent": sent}
