"""One input of one upload: decide, take the new state over, and send what was decided (invariant 2).

    reader → router → applier → outbox → stream,  and  applier → write queue → checkpoint → acknowledgement

All methods are synchronous: what one does cannot be torn by another. During a replay the outbox keeps
the commands; what the log shows to be published already is dropped (invariant 2.3, docs/replay.md).
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from secrets import token_bytes

from uploadpp.core.commands import Command, Mark
from uploadpp.core.decision import AnyDecision, Decision
from uploadpp.core.evolve import evolve
from uploadpp.core.inputs import (
    BytesReceived,
    Follows,
    Foremost,
    Granted,
    Input,
    Published,
    Resume,
    StepFinished,
    Tick,
)
from uploadpp.core.machine import decide
from uploadpp.core.model import Millis
from uploadpp.core.naming import resource_name
from uploadpp.core.plan_text import Planned
from uploadpp.core.replay import Position, apply
from uploadpp.core.rules import arrival
from uploadpp.core.rules.timers import wake_at
from uploadpp.core.states import Stage
from uploadpp.pipeline.acks import PendingMessage
from uploadpp.pipeline.admission import StepAdmission
from uploadpp.pipeline.faults import AFTER_FAULT_MS
from uploadpp.pipeline.file_order import FileLines
from uploadpp.pipeline.outbox import Outbox
from uploadpp.pipeline.ports import Bus
from uploadpp.pipeline.replay_buffer import PendingCommand
from uploadpp.pipeline.reports import Reports
from uploadpp.pipeline.shared import Shared
from uploadpp.pipeline.step_resumes import StepResumes
from uploadpp.pipeline.tracked_upload import TrackedUpload
from uploadpp.pipeline.unknown_uploads import UnknownUploads
from uploadpp.pipeline.uploads import Lifecycle, Uploads
from uploadpp.wire.encode import encode
from uploadpp.wire.marks import Marks
from uploadpp.wire.stream_message import StreamMessage

log = logging.getLogger(__name__)


class Applier:
    """Applies inputs to the uploads of one shard."""

    def __init__(
        self,
        shared: Shared,
        uploads: Uploads,
        admission: StepAdmission | None,
        lines: FileLines | None,
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
        self._choose = shared.choose
        self._uploads, self._lifecycle = uploads, lifecycle
        self._admission, self._lines = admission, lines
        self._breakers = admission.breakers if admission is not None else None
        self._reports = Reports(shared)
        self._outbox = Outbox(bus, shared.metrics, self.published, self._refused, self._misplaced)
        self.under_way = self._outbox.under_way
        self.unknown = UnknownUploads(shared.acks)
        self.step_resumes = StepResumes()
        self.marks = Marks([token_bytes()])  # the keys that events are signed with, and known by

    def begin(self, marks: Marks) -> None:
        """Sign with these keys from now on."""
        self.marks = marks

    @property
    def replaying(self) -> bool:
        """Whether commands are kept until the log is read to its end."""
        return self._outbox.replaying

    # -- the log --------------------------------------------------------------------------

    def recognize(self, raw: StreamMessage, message: PendingMessage) -> bool:
        """Whether this is an event that this very owner has sent: then only its position is news."""
        if not raw.message_id or (tracked := self._outbox.recognize(raw)) is None:
            return False
        self._metrics.events.labels("Published").inc()
        tracked.defer_ack(message)
        return True

    def meet(self, event_id: str, event: Input, sequence: int, timestamp: Millis) -> None:
        """An own event is in the log: it need not be published, or not again."""
        meet = self._outbox.meet_resume if isinstance(event, Resume) else self._outbox.meet
        pending = meet(event_id, sequence)
        if pending is not None:
            planned = event.planned if isinstance(event, Published) else None
            self.published(pending, sequence, timestamp, planned)

    def apply(
        self, upload_id: str, event: Input, sequence: int, timestamp: Millis, message: PendingMessage
    ) -> None:
        """A message of the log about an upload; `timestamp` is when the stream took it."""
        if isinstance(event, BytesReceived) and (why := self._uploads.text_budget.refuses(event.origin)):
            self._faults.upload(upload_id, why)
            return
        tracked, waiting = self._uploads.by_id(upload_id), []
        if tracked is not None and arrival.overrules(tracked.upload, event):
            waiting = tracked.take_waiting()
            self._uploads.forget(tracked)
            self._lifecycle.on_overruled(tracked)
            own = tracked.name == resource_name(upload_id)
            event, tracked = (arrival.as_wanted(event, tracked.upload) if own else event), None
        try:
            tracked = self._apply(tracked, upload_id, event, sequence, timestamp, message)
            if tracked is not None:
                for each in waiting:  # they told of the same upload
                    tracked.defer_ack(each)
        finally:
            self._acks.release_all(waiting)

    def _apply(
        self,
        tracked: TrackedUpload | None,
        upload_id: str,
        event: Input,
        sequence: int,
        timestamp: Millis,
        message: PendingMessage,
    ) -> TrackedUpload | None:
        said_before, judged = list[PendingMessage](), None
        if tracked is None or arrival.precedes_its_announcement(tracked.upload, timestamp):
            if isinstance(event, BytesReceived):
                event, said_before = self.unknown.recall(upload_id, event, timestamp)
            elif not isinstance(event, Published):
                self.unknown.note(upload_id, event, sequence, timestamp, self._clock(), message)
                tracked = None
        if isinstance(event, BytesReceived) and (tracked is None or not tracked.upload.run):
            if self._lines is not None:
                event = self._lines.announced(event, sequence, timestamp)
            if self._choose is not None and (tracked is None or tracked.upload.stage is Stage.PENDING):
                judged = self._choose(event.origin, event.file)
                event = evolve(event, choice=judged.choice)
        at, upload = Position(self._acks.stream, sequence), tracked.upload if tracked else None
        if self._breakers is not None:
            event = self._breakers.informed(event, upload, timestamp, live=not self.replaying)
        decision = apply(upload, upload_id, event, at, timestamp, self._config)
        tracked = self._carry_out(tracked, upload_id, event, decision, timestamp, message)
        if self._breakers is not None and self.replaying and isinstance(event, StepFinished) and tracked:
            self._breakers.read_again(tracked.upload, event.step, timestamp)
            self.look_at_breakers(message)
        if tracked is not None:
            tracked.judged = judged or tracked.judged
            for each in said_before:
                tracked.defer_ack(each)
        return tracked

    # -- what does not come from the log --------------------------------------------------

    def on_input(self, tracked: TrackedUpload, event: Input) -> None:
        """Something that does not come from the log: a timer, or a person."""
        if tracked.gone:  # forgotten or evicted while somebody waited to tell it
            return
        now = self._clock()
        if self._breakers is not None:
            event = self._breakers.informed(event, tracked.upload, now, live=True)
        decision = decide(tracked.upload, tracked.upload.id, event, now, self._config)
        self._carry_out(tracked, tracked.upload.id, event, decision, now, None)

    def on_tick(self, tracked: TrackedUpload) -> None:
        """A timer is due. It is ignored while the command whose answer it limits is not published yet."""
        if tracked.gone or tracked.unpublished:
            return
        if self._lines is not None and (earlier := self._lines.waits_behind(tracked)) is not None:
            due = wake_at(earlier.upload, self._config) or 0
            self._timers.set(tracked, Millis(max(due, self._clock()) + 1))
            return
        self._timers.set(tracked, Millis(self._clock() + AFTER_FAULT_MS))
        with self._faults.isolated(tracked):
            self.on_input(tracked, Tick())
            self._uploads.schedule(tracked)

    def on_granted(self, tracked: TrackedUpload) -> None:
        """The upload got a slot at the step for which it is queued."""
        try:
            self.on_input(tracked, Granted())
        except Exception as error:
            self._faults.report(tracked, error)
            raise  # its slot goes to another

    def on_order(self, tracked: TrackedUpload, event: Follows | Foremost) -> None:
        """Another upload of the file is now released before this one, or none."""
        with self._faults.isolated(tracked):
            self.on_input(tracked, event)

    def look_at_breakers(self, message: PendingMessage | None = None) -> None:
        """Tell uploads what breakers have come to, because of a message or not; a probe may be due."""
        if self._breakers is None or self._admission is None:
            return
        if self._breakers.has_news:
            for tracked, event in self._breakers.take(self._admission.queued, self._admission.together):
                with self._faults.isolated(tracked):
                    now = self._clock()
                    decision = decide(tracked.upload, tracked.upload.id, event, now, self._config)
                    self._carry_out(tracked, tracked.upload.id, event, decision, now, message)
        self._admission.grant()

    def adopt(self, tracked: TrackedUpload) -> None:
        """Take an upload into memory."""
        self._uploads.add(tracked)
        if not self.replaying:
            self._uploads.schedule(tracked)

    # -- what was decided -----------------------------------------------------------------

    def _carry_out(
        self,
        tracked: TrackedUpload | None,
        upload_id: str,
        event: Input,
        decision: AnyDecision,
        now: Millis,
        message: PendingMessage | None,
    ) -> TrackedUpload | None:
        """Do what was decided; returns the upload, which may be a new one."""
        if self.step_resumes.watching:
            self.step_resumes.note(upload_id)
        if decision.met is not None and tracked is not None:
            self._published_elsewhere(tracked, decision.met)
        if decision.ignored is not None:
            if tracked is not None and decision.upload is not None:
                # Only its position has moved, which is worth no write, unless there is a later URL.
                tracked.version += decision.upload.origin is not tracked.upload.origin
                tracked.upload = decision.upload
                self._uploads.text_budget.note(tracked)
            self._metrics.ignored.labels(decision.ignored).inc()
            if not isinstance(event, Published | Tick):
                said = {"upload": upload_id, "reason": decision.ignored}
                log.debug("ignored: %s", decision.why, extra=said)
        elif isinstance(decision, Decision):
            before = tracked.upload if tracked is not None else None
            tracked = self._changed(tracked, decision)
            self._reports.decided(tracked, before, decision, now, event if self.replaying else None)
        for command in decision.commands:
            self._publish(tracked, upload_id, command, now, message)
        if tracked is None:
            return None
        if message is not None:
            tracked.defer_ack(message)
        self._let_others_go_on(message)
        self._uploads.record(tracked)
        return tracked

    def _let_others_go_on(self, message: PendingMessage | None) -> None:
        """A slot may be free now, and another upload of the file may be the first."""
        if self._breakers is not None and self._breakers.doubtful:
            self.look_at_breakers(message)
        elif self._admission is not None:
            self._admission.grant()
        if self._lines is not None and self._lines.doubtful:
            self._lines.settle()

    def _changed(self, tracked: TrackedUpload | None, decision: Decision) -> TrackedUpload:
        upload, before = decision.upload, tracked.upload if tracked else None
        if tracked is None:
            tracked = TrackedUpload(resource_name(upload.id), upload)
            self._uploads.add(tracked)
        renewed, tracked.upload = tracked.upload.origin is not upload.origin, upload
        if renewed:
            self._uploads.text_budget.note(tracked)
        tracked.version += 1
        self._uploads.schedule(tracked)
        if self._breakers is not None:
            self._breakers.moved(tracked, before, live=not self.replaying)
        if self._admission is not None:
            self._admission.moved(tracked)
        if self._lines is not None:
            self._lines.moved(tracked, before)
        if before is not None:
            self._metrics.moved(before, upload)
        return tracked

    # -- what goes out --------------------------------------------------------------------

    def _publish(
        self,
        tracked: TrackedUpload | None,
        upload_id: str,
        command: Command,
        now: Millis,
        message: PendingMessage | None,
    ) -> None:
        upload = tracked.upload if tracked else None
        plan = upload.plan if upload is not None else ()
        traceparent = None
        if self._tracing is not None and upload is not None:
            traceparent = self._tracing.traceparent(upload, command.mark)
        outgoing = encode(command, upload_id, upload, now, traceparent, self.marks)
        if tracked is not None:
            tracked.unpublished += 1
            message = None  # the upload's checkpoint holds the log back, not the command
        elif message is not None:
            message.open += 1
        last = tracked.unreported[-1] if tracked is not None and tracked.unreported else None
        replaced = self._outbox.put(PendingCommand(tracked, command, outgoing, message, plan, last))
        if replaced is not None:
            self._acks.release(replaced)

    def published(
        self,
        pending: PendingCommand,
        sequence: int,
        at_time: Millis | None = None,
        planned: Planned | None = None,
    ) -> None:
        """A command is in the stream; since when and by which plan only a replay tells."""
        tracked = pending.tracked
        if pending.message is not None:
            self._acks.release(pending.message)
        if tracked is None or tracked.gone:
            return
        tracked.unpublished -= 1
        event = Published(pending.command.mark, sequence, planned)
        at = Position(self._acks.stream, sequence)
        now = self._clock() if at_time is None else at_time
        try:
            decision = apply(tracked.upload, tracked.upload.id, event, at, now, self._config)
            self._carry_out(tracked, tracked.upload.id, event, decision, now, None)
            self._reports.confirm(tracked, pending.last)
            if decision.ignored is not None:  # a timer may have been due before it was published
                self._uploads.schedule(tracked)
        except Exception as error:  # noqa: BLE001 -- logged there; whoever calls serves all uploads
            self._faults.report(tracked, error)

    def _published_elsewhere(self, tracked: TrackedUpload, mark: Mark) -> None:
        """Another service has published what we keep: ours need not go out."""
        if self._outbox.withdraw(mark.event_id(tracked.upload.id)) is not None:
            tracked.unpublished -= 1

    def _refused(self, tracked: TrackedUpload | None, message: PendingMessage | None, why: str) -> None:
        if message is not None:
            self._acks.release(message)
        if tracked is not None and not tracked.gone:
            with self._faults.isolated(tracked):
                self._faults.upload(tracked.upload.id, why)
                self._uploads.forget(tracked)

    def _misplaced(self, tracked: TrackedUpload, said: int, sequence: int) -> None:
        """An acknowledgement named another position than the log: any answer before that would not count."""
        if tracked.upload.log.start == said and not tracked.gone:
            tracked.upload = evolve(tracked.upload, log=tracked.upload.log.with_start(sequence))
            tracked.version += 1
            self._uploads.record(tracked)

    # -- the end of a replay --------------------------------------------------------------

    def act(self) -> None:
        """The log is read to its end: publish what it does not show as published."""
        counts = self._outbox.open(self._clock(), self.marks, self._left_out)
        for tracked in list(self._uploads.in_memory):
            self._wake(tracked)
        log.info("replay complete; publishing from now on", extra={"uploads": len(self._uploads), **counts})

    @contextmanager
    def late(self, upload_id: str) -> Iterator[None]:
        """Process deferred messages of one upload as during the replay that they belong to."""
        if self.replaying:  # whose end publishes what is decided
            yield
            return
        self._outbox.keep()
        yield
        self._outbox.open(self._clock(), self.marks, self._left_out)
        if tracked := self._uploads.by_id(upload_id):
            self._wake(tracked)

    def _wake(self, tracked: TrackedUpload) -> None:
        with self._faults.isolated(tracked):
            self._reports.say_all(tracked)
            self._uploads.go_on(tracked)

    def _left_out(
        self, tracked: TrackedUpload | None, error: Exception, message: PendingMessage | None
    ) -> None:
        """Our own code failed on what an upload was to publish: nothing must wait for it."""
        self._faults.report(tracked, error)
        self._refused(tracked, message, "the event to publish cannot be determined")
