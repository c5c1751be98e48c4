"""Routes messages of the log: finds their uploads, defers them if necessary, and handles broken ones.

Every message is added to the window before anything else, and released at the end, whatever happened in
between: it is acknowledged once nothing waits for it any more (`pipeline.acks`).
"""

import contextlib
import logging
from collections.abc import Collection, Iterable
from typing import Protocol

from uploadpp.core.inputs import Published, Resume
from uploadpp.core.model import Millis
from uploadpp.core.rules import control
from uploadpp.core.states import Ignored
from uploadpp.pipeline.acks import PendingMessage
from uploadpp.pipeline.admission import StepAdmission
from uploadpp.pipeline.applier import Applier
from uploadpp.pipeline.deferred import Deferral, DeferredMessage
from uploadpp.pipeline.shared import Shared
from uploadpp.pipeline.uploads import Uploads
from uploadpp.wire.decode import Event, decode
from uploadpp.wire.envelope import BadMessageError
from uploadpp.wire.stream_message import StreamMessage

log = logging.getLogger(__name__)


class Evicted(Protocol):
    """The uploads that are not in memory any more (`resources.finished.FinishedUploads`)."""

    def at(self, step: str, among: Collection[str] | None = None) -> list[str]:
        """The ids of those that are still at a step; only of ids in `among`, unless that is None."""


class Router:
    """Hands each message of the log to the applier, once for each upload that it is about."""

    def __init__(
        self,
        shared: Shared,
        uploads: Uploads,
        admission: StepAdmission | None,
        applier: Applier,
        deferral: Deferral,
        evicted: Evicted,
    ) -> None:
        """`admission` is None where no step has a queue."""
        self._shard = shared.shard
        self._acks = shared.acks
        self._metrics = shared.metrics
        self._faults = shared.faults
        self._uploads = uploads
        self._admission = admission
        self._applier = applier
        self._deferral = deferral
        self._evicted = evicted

    def on_message(self, raw: StreamMessage) -> None:
        """A message of the log."""
        message = self._acks.add(raw.sequence, raw.delivered)
        event: Event | None = None
        applier = self._applier
        try:
            if not applier.recognize(raw, message):
                event = decode(raw.data, raw.sequence, raw.timestamp, applier.marks, self._shard.filter)
                if event is not None:
                    self._on_event(event, raw.sequence, raw.timestamp, message)
        except BadMessageError as error:
            self._faults.bad_message(raw.sequence, error)
        except Exception as error:  # noqa: BLE001 -- no message may ever stop the log (invariant 2.7)
            tracked = self._uploads.by_id(event.upload_id) if event is not None else None
            self._faults.unexpected(raw.sequence, error, event.upload_id if event else "", tracked)
        self._acks.release(message)

    def _on_event(self, event: Event, sequence: int, timestamp: Millis, message: PendingMessage) -> None:
        self._metrics.events.labels(type(event.input).__name__).inc()
        if event.upload_id:
            owned = self._shard.owns(event.upload_id)
            if owned and not self._deferral.defer(event, sequence, timestamp, message):
                self._arrived(event, sequence, timestamp, message)
            return
        assert isinstance(event.input, Resume)  # noqa: S101 -- the only event without an upload
        self._applier.meet(event.event_id, event.input, sequence, timestamp)
        resumes = self._applier.step_resumes
        since = resumes.changed_since(event.input, timestamp)
        ids = self._resumed_by(event.input, since)
        if since is not None and not ids:
            self._metrics.ignored.labels(Ignored.DUPLICATE).inc()
        with self._admission.together() if self._admission is not None else contextlib.nullcontext():
            for upload_id in ids:
                with self._faults.isolated(self._uploads.by_id(upload_id)):
                    one = event._replace(upload_id=upload_id)
                    if not self._deferral.defer(one, sequence, timestamp, message):
                        self._applier.apply(upload_id, event.input, sequence, timestamp, message)
        resumes.looked(event.input, timestamp)

    def _resumed_by(self, event: Resume, since: list[str] | None) -> list[str]:
        """The uploads that a resume of all at a step is about: of those in `since`, unless that is None."""
        by_id = self._uploads.by_id
        known = self._uploads.in_memory if since is None else filter(None, map(by_id, since))
        ids: list[str] = []
        for tracked in known:
            try:  # as `isolated`, at a tenth of its price: there are thousands
                ids += [tracked.upload.id] if control.concerns(tracked.upload, event) else []
            except Exception as error:  # noqa: BLE001 -- logged there
                self._faults.report(tracked, error)
        if token := event.token:  # first the one that asked: its status is the answer for all
            ids.sort(key=lambda i: self._observed_token(i) != token)
        return ids + self._evicted.at(event.step, since)

    def _observed_token(self, upload_id: str) -> str:
        tracked = self._uploads.by_id(upload_id)
        return tracked.upload.observed_token if tracked is not None else ""

    def hand_back(self, upload_id: str, messages: Iterable[DeferredMessage], *, late: bool = False) -> None:
        """Apply the messages that were deferred for an upload.

        With `late` they belong to a replay that is over: what is decided now may be in the log already.
        """
        with self._applier.late(upload_id) if late else contextlib.nullcontext():
            for each in messages:
                self._on_deferred(each)

    def _on_deferred(self, deferred: DeferredMessage) -> None:
        event, sequence, _, message = deferred
        try:
            self._arrived(*deferred)
        except Exception as error:  # noqa: BLE001 -- as in `on_message`
            tracked = self._uploads.by_id(event.upload_id)
            self._faults.unexpected(sequence, error, event.upload_id, tracked)
        self._acks.release(message)

    def _arrived(self, event: Event, sequence: int, timestamp: Millis, message: PendingMessage) -> None:
        if isinstance(event.input, Published):  # only now: what it answers to may have been deferred as well
            self._applier.meet(event.event_id, event.input, sequence, timestamp)
        self._applier.apply(event.upload_id, event.input, sequence, timestamp, message)
