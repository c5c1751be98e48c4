"""One input of one upload: decide, take the new state over, and send what was decided (law 2).

    reader → router → applier → outbox → stream,  and  applier → write queue → checkpoint → acknowledgement

All methods are synchronous: what one does cannot be torn by another. During a replay the outbox keeps
the commands; what the log shows to be published already is dropped (law 2.3, docs/replay.md).
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from secrets import token_bytes

from uploadpp.core.commands import Command, Mark
from uploadpp.core.decision import Decision
from uploadpp.core.inputs import BytesReceived, Granted, Input, Published, Tick
from uploadpp.core.machine import decide
from uploadpp.core.model import Millis
from uploadpp.core.naming import resource_name
from uploadpp.core.plan_text import Planned
from uploadpp.core.replay import Position, apply
from uploadpp.core.rules import arrival
from uploadpp.pipeline.acks import PendingMessage
from uploadpp.pipeline.admission import StepAdmission
from uploadpp.pipeline.faults import AFTER_FAULT_MS
from uploadpp.pipeline.outbox import Outbox
from uploadpp.pipeline.ports import Bus
from uploadpp.pipeline.replay_buffer import PendingCommand
from uploadpp.pipeline.shared import Shared
from uploadpp.pipeline.tracked_upload import Entry
from uploadpp.pipeline.unknown_uploads import UnknownUploads
from uploadpp.pipeline.uploads import Lifecycle, Uploads
from uploadpp.telemetry.upload_log import log_transition
from uploadpp.wire.encode import encode
from uploadpp.wire.marks import Marks
from uploadpp.wire.reader import Raw

log = logging.getLogger(__name__)


class Applier:
    """Applies inputs to the uploads of one shard."""

    def __init__(
        self,
        shared: Shared,
        uploads: Uploads,
        admission: StepAdmission | None,
        lifecycle: Lifecycle,
        bus: Bus,
    ) -> None:
        self._config = shared.config
        self._acks = shared.acks
        self._timers = shared.timers
        self._metrics = shared.metrics
        self._faults = shared.faults
        self._clock = shared.clock
        self._tracing = shared.tracing
        self._uploads = uploads
        self._admission = admission
        self._lifecycle = lifecycle
        self._outbox = Outbox(bus, shared.metrics, self.published, self._refused)
        self.unknown = UnknownUploads(shared.acks)
        self.marks = Marks([token_bytes()])
        """The keys that events are signed with, and known by."""

    def begin(self, marks: Marks) -> None:
        """Sign with these keys from now on."""
        self.marks = marks

    @property
    def replaying(self) -> bool:
        """Whether commands are kept until the log is read to its end."""
        return self._outbox.replaying

    # -- the log --------------------------------------------------------------------------

    def recognize(self, raw: Raw, message: PendingMessage) -> bool:
        """Whether this is an event that this very owner has sent: then only its position is news."""
        if (entry := self._outbox.recognize(raw)) is None:
            return False
        self._metrics.events.labels("Published").inc()
        entry.defer_ack(message)
        return True

    def meet(self, event_id: str, event: Input, sequence: int, timestamp: Millis) -> None:
        """One of our events is in the log: it need not go out, or not again."""
        pending = self._outbox.meet(event_id, sequence)
        if pending is not None:
            planned = event.planned if isinstance(event, Published) else None
            self.published(pending, sequence, timestamp, planned)

    def apply(
        self, upload_id: str, event: Input, sequence: int, timestamp: Millis, message: PendingMessage
    ) -> None:
        """A message of the log about an upload; `timestamp` is when the stream took it."""
        uploads = self._uploads
        if isinstance(event, BytesReceived) and (why := uploads.text_budget.refuses(event.origin)):
            self._faults.upload(upload_id, why)
            return
        entry, at = uploads.upload_entry(upload_id), Position(self._acks.stream, sequence)
        said_before: list[PendingMessage] = []
        if entry is not None and arrival.overrules(entry.upload, event):
            uploads.forget(entry)
            self._lifecycle.on_overruled(entry)
            entry = None
        if entry is None and isinstance(event, BytesReceived):
            event, said_before = self.unknown.recall(upload_id, event, timestamp)
        elif entry is None:
            self.unknown.note(upload_id, event, timestamp, self._clock(), message)
        decision = apply(entry.upload if entry else None, upload_id, event, at, timestamp, self._config)
        entry = self._carry_out(entry, upload_id, event, decision, timestamp, message)
        if entry is not None:
            for each in said_before:
                entry.defer_ack(each)

    # -- what does not come from the log --------------------------------------------------

    def on_input(self, entry: Entry, event: Input) -> None:
        """Something that does not come from the log: a timer, or a person."""
        now = self._clock()
        decision = decide(entry.upload, entry.upload.id, event, now, self._config)
        self._carry_out(entry, entry.upload.id, event, decision, now, None)

    def on_tick(self, entry: Entry) -> None:
        """A timer is due. It is ignored while the command whose answer it limits is not published yet."""
        if entry.gone or entry.unpublished:
            return
        self._timers.set(entry, Millis(self._clock() + AFTER_FAULT_MS))
        with self._faults.isolated(entry):
            self.on_input(entry, Tick())
            self._uploads.schedule(entry)

    def on_granted(self, entry: Entry) -> None:
        """A slot at the step it is queued for is its own."""
        try:
            self.on_input(entry, Granted())
        except Exception as error:
            self._faults.report(entry, error)
            raise  # its slot goes to another

    def adopt(self, entry: Entry) -> None:
        """Take an upload into memory."""
        self._uploads.add(entry)
        if not self.replaying:
            self._uploads.schedule(entry)

    # -- what was decided -----------------------------------------------------------------

    def _carry_out(
        self,
        entry: Entry | None,
        upload_id: str,
        event: Input,
        decision: Decision,
        now: Millis,
        message: PendingMessage | None,
    ) -> Entry | None:
        """Do what was decided; returns the upload, which may be a new one."""
        if decision.met is not None and entry is not None:
            self._published_elsewhere(entry, decision.met)
        if decision.ignored is not None:
            if entry is not None and decision.upload is not None:
                # Only its position has moved, which is worth no write, unless there is a later URL.
                entry.version += decision.upload.origin is not entry.upload.origin
                entry.upload = decision.upload
                self._uploads.text_budget.note(entry)
            self._metrics.ignored.labels(decision.ignored).inc()
            if not isinstance(event, Published | Tick):
                said = {"upload": upload_id, "reason": decision.ignored}
                log.debug("ignored: %s", decision.why, extra=said)
        elif decision.upload is not None:
            if self._tracing is not None and entry is not None:
                with self._faults.isolated(entry):
                    self._tracing.moved(entry.upload, decision.upload, now)
            entry = self._changed(entry, decision)
        for command in decision.commands:
            self._publish(entry, upload_id, command, now, message)
        if entry is None:
            return None
        if message is not None:
            entry.defer_ack(message)
        if self._admission is not None:
            self._admission.grant()
        if entry.storable:
            self._lifecycle.on_storable(entry)
        return entry

    def _changed(self, entry: Entry | None, decision: Decision) -> Entry:
        upload = decision.upload
        assert upload is not None  # noqa: S101 -- the caller has looked
        before = entry.upload if entry else None
        if entry is None:
            entry = Entry(resource_name(upload.id), upload)
            self.adopt(entry)
        renewed, entry.upload = entry.upload.origin is not upload.origin, upload
        if renewed:
            self._uploads.text_budget.note(entry)
        entry.version += 1
        entry.notices += decision.notices
        self._uploads.schedule(entry)
        if self._admission is not None:
            self._admission.moved(entry)
        if before is not None:
            self._metrics.moved(before, upload)
        moved = before is None or before.stage is not upload.stage or before.cursor != upload.cursor
        if moved or decision.notices:
            log_transition(upload, decision.notices)
        return entry

    # -- what goes out --------------------------------------------------------------------

    def _publish(
        self,
        entry: Entry | None,
        upload_id: str,
        command: Command,
        now: Millis,
        message: PendingMessage | None,
    ) -> None:
        upload = entry.upload if entry else None
        traceparent = None
        if self._tracing is not None and upload is not None:
            traceparent = self._tracing.traceparent(upload, command.mark)
        outgoing = encode(command, upload_id, upload, now, traceparent, self.marks)
        if entry is not None:
            entry.unpublished += 1
            message = None  # the entry's checkpoint holds the log back, not the command
        elif message is not None:
            message.open += 1
        self._outbox.put(PendingCommand(entry, command, outgoing, message))

    def published(
        self,
        pending: PendingCommand,
        sequence: int,
        at_time: Millis | None = None,
        planned: Planned | None = None,
    ) -> None:
        """A command is in the stream; since when and by which plan only a replay tells."""
        entry = pending.entry
        if pending.message is not None:
            self._acks.release(pending.message)
        if entry is None or entry.gone:
            return
        entry.unpublished -= 1
        echo, at = Published(pending.command.mark, sequence, planned), Position(self._acks.stream, sequence)
        now = self._clock() if at_time is None else at_time
        try:
            decision = apply(entry.upload, entry.upload.id, echo, at, now, self._config)
            self._carry_out(entry, entry.upload.id, echo, decision, now, None)
            if decision.ignored is not None:  # a timer may have been due before it was published
                self._uploads.schedule(entry)
        except Exception as error:  # noqa: BLE001 -- logged there; whoever calls serves all uploads
            self._faults.report(entry, error)

    def _published_elsewhere(self, entry: Entry, mark: Mark) -> None:
        """Another service has said what we keep: it need not go out."""
        if self._outbox.withdraw(mark.event_id(entry.upload.id)) is not None:
            entry.unpublished -= 1

    def _refused(self, entry: Entry | None, message: PendingMessage | None, why: str) -> None:
        if message is not None:
            self._acks.release(message)
        if entry is not None and not entry.gone:
            with self._faults.isolated(entry):
                self._faults.upload(entry.upload.id, why)
                self._uploads.forget(entry)

    # -- the end of a replay --------------------------------------------------------------

    def act(self) -> None:
        """The log is read to its end: publish what it does not show as published."""
        counts = self._outbox.open(self._clock(), self.marks, self._left_out)
        for entry in list(self._uploads.entries):
            self._wake(entry)
        log.info("replay is over; acting", extra={"uploads": len(self._uploads), **counts})

    @contextmanager
    def late(self, upload_id: str) -> Iterator[None]:
        """As during a replay, for the one upload whose messages belong to it and come only now."""
        self._outbox.keep()
        yield
        self._outbox.open(self._clock(), self.marks, self._left_out)
        if (entry := self._uploads.upload_entry(upload_id)) is not None:
            self._wake(entry)

    def _wake(self, entry: Entry) -> None:
        with self._faults.isolated(entry):
            self._uploads.go_on(entry)

    def _left_out(self, entry: Entry | None, error: Exception, message: PendingMessage | None) -> None:
        """Our own code failed on what an upload was to publish: nothing must wait for it."""
        self._faults.report(entry, error)
        self._refused(entry, message, "what it was to publish cannot be told")
