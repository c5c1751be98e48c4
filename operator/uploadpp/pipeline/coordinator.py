"""Between log and store: every input of every upload passes through here, in order.

    read → decide (pure) → publish → checkpoint → acknowledge     (law 2)

All methods are synchronous: what one does cannot be torn by another. During replay
commands are kept; what the log shows to be published already is dropped (law 2.3).
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from secrets import token_bytes

from uploadpp.core.commands import Command, Mark
from uploadpp.core.config import Config
from uploadpp.core.decision import Decision
from uploadpp.core.inputs import BytesReceived, Granted, Input, Published, Resume, Tick
from uploadpp.core.machine import decide
from uploadpp.core.model import Millis
from uploadpp.core.naming import resource_name
from uploadpp.core.plan_text import Planned
from uploadpp.core.replay import Position, apply
from uploadpp.core.rules import arrival, control
from uploadpp.core.rules.timers import wake_at
from uploadpp.core.sharding import Shard
from uploadpp.pipeline.acks import AckTracker, PendingMessage
from uploadpp.pipeline.admission import StepAdmission
from uploadpp.pipeline.faults import AFTER_FAULT_MS, Faults
from uploadpp.pipeline.outbox import Outbox
from uploadpp.pipeline.ports import Bus
from uploadpp.pipeline.replay_buffer import PendingCommand
from uploadpp.pipeline.timers import Timers
from uploadpp.pipeline.tracked_upload import Entry
from uploadpp.pipeline.unknown_uploads import UnknownUploads
from uploadpp.pipeline.uploads import Uploads
from uploadpp.telemetry.metrics import Metrics
from uploadpp.telemetry.tracing import Tracing
from uploadpp.telemetry.upload_log import log_transition
from uploadpp.wire.decode import Event, decode
from uploadpp.wire.encode import encode
from uploadpp.wire.envelope import BadMessageError
from uploadpp.wire.marks import Marks
from uploadpp.wire.reader import Raw

log = logging.getLogger(__name__)


class Coordinator(Uploads):
    """The uploads of one shard, for as long as we own it."""

    def __init__(
        self,
        config: Config,
        bus: Bus,
        acks: AckTracker,
        timers: Timers,
        metrics: Metrics,
        clock: Callable[[], Millis],
    ) -> None:
        super().__init__()
        self._config = config
        self._acks = acks
        self._timers = timers
        self._metrics = metrics
        self._clock = clock
        self.shard = Shard()
        self.faults = Faults(metrics)
        self.unknown = UnknownUploads(acks)
        self._outbox = Outbox(bus, metrics, self._published, self._refused)
        self.stream = ""
        self.marks = Marks([token_bytes()])
        self.tracing: Tracing | None = None
        self.admission: StepAdmission | None = None
        self.defer: Callable[[Event, int, Millis, PendingMessage], bool] = lambda *_: False
        self.evicted_at: Callable[[str], list[str]] = lambda _: []
        self.on_storable: Callable[[Entry], None] = lambda _: None
        self.on_ended: Callable[[Entry], None] = lambda _: None
        self.on_forgotten: Callable[[Entry], None] = lambda _: None
        self.on_overruled: Callable[[Entry], None] = lambda _: None

    def admit_by(self, admission: StepAdmission) -> None:
        """Have slots at steps granted from now on."""
        self.admission, self.faults.on_fault = admission, admission.gave_up

    @property
    def replaying(self) -> bool:
        """Whether commands are kept until the log is read to its end."""
        return self._outbox.replaying

    # -- inputs ---------------------------------------------------------------------------

    def on_message(self, raw: Raw) -> None:
        """A message of the log."""
        message = self._acks.add(raw.sequence, raw.delivered)
        event: Event | None = None
        try:
            if not self._is_known_echo(raw, message):
                event = decode(raw.data, raw.sequence, raw.timestamp, self.marks, self.shard.filter)
                if event is not None:
                    self._on_event(event, raw.sequence, raw.timestamp, message)
        except BadMessageError as error:
            self.faults.bad_message(raw.sequence, error)
        except Exception as error:  # noqa: BLE001 -- no message may ever stop the log (law 2.7)
            entry = self._entries.get(event.upload_id) if event is not None else None
            self.faults.unexpected(raw.sequence, error, event.upload_id if event else "", entry)
        self._acks.release(message)

    def _is_known_echo(self, raw: Raw, message: PendingMessage) -> bool:
        """Whether this is an event that this very owner has sent: then only its position is news."""
        if (entry := self._outbox.recognize(raw)) is None:
            return False
        self._metrics.events.labels("Published").inc()
        entry.defer_ack(message)
        return True

    def _on_event(self, event: Event, sequence: int, timestamp: Millis, message: PendingMessage) -> None:
        self._metrics.events.labels(type(event.input).__name__).inc()
        if event.upload_id:
            owned = self.shard.owns(event.upload_id)
            if owned and not self.defer(event, sequence, timestamp, message):
                self._arrived(event, sequence, timestamp, message)
            return
        assert isinstance(event.input, Resume)  # noqa: S101 -- the only event without an upload
        self._met(event, sequence, timestamp)
        ids: list[str] = []
        for entry in self._entries.values():
            with self.faults.isolated(entry):
                ids += [entry.upload.id] if control.concerns(entry.upload, event.input) else []
        if token := event.input.token:  # first the one that asked: its status is the answer for all
            ids.sort(key=lambda i: self._entries[i].upload.observed_token != token)
        for upload_id in ids + self.evicted_at(event.input.step):
            with self.faults.isolated(self._entries.get(upload_id)):
                if not self.defer(event._replace(upload_id=upload_id), sequence, timestamp, message):
                    self._apply(upload_id, event.input, sequence, timestamp, message)

    def on_deferred(self, event: Event, sequence: int, timestamp: Millis, message: PendingMessage) -> None:
        """A message of an upload that had been evicted and is back."""
        try:
            self._arrived(event, sequence, timestamp, message)
        except Exception as error:  # noqa: BLE001 -- as in `on_message`
            self.faults.unexpected(sequence, error, event.upload_id, self._entries.get(event.upload_id))
        self._acks.release(message)

    def _arrived(self, event: Event, sequence: int, timestamp: Millis, message: PendingMessage) -> None:
        if isinstance(event.input, Published):  # only now: what it answers to may have been deferred as well
            self._met(event, sequence, timestamp)
        self._apply(event.upload_id, event.input, sequence, timestamp, message)

    def _apply(
        self, upload_id: str, event: Input, sequence: int, timestamp: Millis, message: PendingMessage
    ) -> None:
        if isinstance(event, BytesReceived) and (
            why := self.text_budget.refuses(event.origin, self.shard.count)
        ):
            self.faults.upload(upload_id, why)
            return
        entry, at = self._entries.get(upload_id), Position(self.stream, sequence)
        said_before: list[PendingMessage] = []
        if entry is not None and arrival.overrules(entry.upload, event):
            self.forget(entry)
            self.on_overruled(entry)
            entry = None
        if entry is None and isinstance(event, BytesReceived):
            event, said_before = self.unknown.recall(upload_id, event, timestamp)
        elif entry is None:
            self.unknown.note(upload_id, event, timestamp, self._clock(), message)
        decision = apply(entry.upload if entry else None, upload_id, event, at, timestamp, self._config)
        self._carry_out(entry, upload_id, event, decision, timestamp, message)
        for each in said_before:
            self._entries[upload_id].defer_ack(each)

    def _met(self, event: Event, sequence: int, timestamp: Millis) -> None:
        """One of our events is in the log: it need not go out, or not again."""
        pending = self._outbox.meet(event.event_id, sequence)
        if pending is not None:
            planned = event.input.planned if isinstance(event.input, Published) else None
            self._published(pending, sequence, timestamp, planned)

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
        with self.faults.isolated(entry):
            self.on_input(entry, Tick())
            self.schedule(entry)

    def on_granted(self, entry: Entry) -> None:
        """A slot at the step it is queued for is its own."""
        try:
            self.on_input(entry, Granted())
        except Exception as error:
            self.faults.report(entry, error)
            raise  # its slot goes to another

    def _carry_out(
        self,
        entry: Entry | None,
        upload_id: str,
        event: Input,
        decision: Decision,
        now: Millis,
        message: PendingMessage | None,
    ) -> None:
        if decision.met is not None and entry is not None:
            self._published_elsewhere(entry, decision.met)
        if decision.ignored is not None:
            if entry is not None and decision.upload is not None:
                # Only its position has moved, which is worth no write, unless there is a later URL.
                entry.version += decision.upload.origin is not entry.upload.origin
                entry.upload = decision.upload
                self.text_budget.note(entry)
            self._metrics.ignored.labels(decision.ignored).inc()
            if not isinstance(event, Published | Tick):
                said = {"upload": upload_id, "reason": decision.ignored}
                log.debug("ignored: %s", decision.why, extra=said)
        elif decision.upload is not None:
            if self.tracing is not None and entry is not None:
                with self.faults.isolated(entry):
                    self.tracing.moved(entry.upload, decision.upload, now)
            entry = self._changed(entry, decision)
        for command in decision.commands:
            self._publish(entry, upload_id, command, now, message)
        if entry is None:
            return
        if message is not None:
            entry.defer_ack(message)
        if self.admission is not None:
            self.admission.grant()
        if entry.storable:
            self.on_storable(entry)

    def _changed(self, entry: Entry | None, decision: Decision) -> Entry:
        upload = decision.upload
        assert upload is not None  # noqa: S101 -- the caller has looked
        before = entry.upload if entry else None
        if entry is None:
            entry = self.adopt(Entry(resource_name(upload.id), upload))
        renewed, entry.upload = entry.upload.origin is not upload.origin, upload
        if renewed:
            self.text_budget.note(entry)
        entry.version += 1
        entry.notices += decision.notices
        self.schedule(entry)
        if self.admission is not None:
            self.admission.moved(entry)
        if before is not None:
            self._metrics.moved(before, upload)
        moved = before is None or before.stage is not upload.stage or before.cursor != upload.cursor
        if moved or decision.notices:
            log_transition(upload, decision.notices)
        return entry

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
        if self.tracing is not None and upload is not None:
            traceparent = self.tracing.traceparent(upload, command.mark)
        outgoing = encode(command, upload_id, upload, now, traceparent, self.marks)
        if entry is not None:
            entry.unpublished += 1
            message = None  # the entry's checkpoint holds the log back, not the command
        elif message is not None:
            message.open += 1
        self._outbox.put(PendingCommand(entry, command, outgoing, message))

    def _published(
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
        echo, at = Published(pending.command.mark, sequence, planned), Position(self.stream, sequence)
        now = self._clock() if at_time is None else at_time
        try:
            decision = apply(entry.upload, entry.upload.id, echo, at, now, self._config)
            self._carry_out(entry, entry.upload.id, echo, decision, now, None)
            if decision.ignored is not None:  # a timer may have been due before it was published
                self.schedule(entry)
        except Exception as error:  # noqa: BLE001 -- as in `on_message`; whoever calls serves all uploads
            self.faults.report(entry, error)

    def _published_elsewhere(self, entry: Entry, mark: Mark) -> None:
        """Another service has said what we keep: it need not go out."""
        if self._outbox.withdraw(mark.event_id(entry.upload.id)) is not None:
            entry.unpublished -= 1

    def _refused(self, entry: Entry | None, message: PendingMessage | None, why: str) -> None:
        if message is not None:
            self._acks.release(message)
        if entry is not None and not entry.gone:
            with self.faults.isolated(entry):
                self.faults.upload(entry.upload.id, why)
                self.forget(entry)

    def schedule(self, entry: Entry) -> None:
        """Wake an upload when its next timer is due."""
        self._timers.set(entry, wake_at(entry.upload, self._config))

    # -- the set of uploads ---------------------------------------------------------------

    def adopt(self, entry: Entry) -> Entry:
        """Take an upload into memory."""
        self._add(entry)
        self._metrics.moved(None, entry.upload)
        if self.admission is not None:
            self.admission.moved(entry)
        if not self.replaying:
            self.schedule(entry)
        return entry

    def evict(self, entry: Entry) -> None:
        """An upload that is over leaves memory; `defer` is asked about it from now on."""
        self._timers.set(entry, None)
        self._remove(entry)
        self._metrics.moved(entry.upload, None)

    def forget(self, entry: Entry) -> None:
        """The resource is gone: later results are ignored, nothing waits for it."""
        entry.gone = True
        self._timers.set(entry, None)
        self._remove(entry)
        self._metrics.moved(entry.upload, None)
        self.on_forgotten(entry)
        self.let_go(entry)
        if self.admission is not None:
            self.admission.left(entry)
            self.admission.grant()

    def saved(self, entry: Entry, version: int) -> None:
        """Etcd has this version now."""
        entry.saved = max(entry.saved, version)
        if entry.upload.stage.ended and not entry.dirty:
            self.on_ended(entry)
        self.let_go(entry)

    def let_go(self, entry: Entry) -> None:
        """Messages that need not wait for a record any more, because it is there or none is to come."""
        for message in entry.take_covered():
            self._acks.release(message)

    def act(self) -> None:
        """The log is read to its end: publish what it does not show as published."""
        counts = self._outbox.open(self._clock(), self.marks, self._left_out)
        for entry in list(self._entries.values()):
            self._wake(entry)
        log.info("replay is over; acting", extra={"uploads": len(self), **counts})

    @contextmanager
    def late(self, upload_id: str) -> Iterator[None]:
        """As during a replay, for the one upload whose messages belong to it and come only now."""
        self._outbox.keep()
        yield
        self._outbox.open(self._clock(), self.marks, self._left_out)
        if (entry := self._entries.get(upload_id)) is not None:
            self._wake(entry)

    def _wake(self, entry: Entry) -> None:
        with self.faults.isolated(entry):
            self.schedule(entry)
            if entry.storable:
                self.on_storable(entry)

    def _left_out(self, entry: Entry | None, error: Exception, message: PendingMessage | None) -> None:
        """Our own code failed on what an upload was to publish: nothing must wait for it."""
        self.faults.report(entry, error)
        self._refused(entry, message, "what it was to publish cannot be told")
