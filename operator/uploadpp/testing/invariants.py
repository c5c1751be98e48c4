"""The invariants, checked while a run goes on: each has a name, and a sentence when it is broken."""

from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum

from uploadpp.api.timestamps import parse_time
from uploadpp.core.commands import Kind, Mark
from uploadpp.core.config import Config
from uploadpp.core.inputs import BytesReceived
from uploadpp.core.model import RESTARTED_BY, Upload
from uploadpp.core.naming import resource_name
from uploadpp.core.plan_text import plan_text
from uploadpp.core.replay import Position, apply
from uploadpp.core.sharding import Shard
from uploadpp.core.states import DesiredState, Outcome, Stage, StepState
from uploadpp.testing.answers import first_plan, has_answered, unanswered
from uploadpp.testing.apiserver import ApiServer, Change, Json, Verb
from uploadpp.testing.readings import Readings
from uploadpp.testing.stream import Stream, millis
from uploadpp.testing.stream_recorder import Record, StreamRecorder
from uploadpp.testing.trace import Trace
from uploadpp.testing.untold_ends import tells_no_end
from uploadpp.wire.consumers import parse_name
from uploadpp.wire.envelope import BadMessageError


class Invariant(StrEnum):
    """What must hold in every run."""

    NO_DOUBLE_START = "no step is started twice in one attempt"
    AGAIN_IS_HELD = "what is announced again, without a known history, begins only when a person lets it"
    NO_START_WITHOUT_CAUSE = "a step starts again only when somebody asked for it"
    ONE_FINISH = "one PostprocessingFinished per run, and again only continue or delete"
    BYTES_KEPT = "no bytes are destroyed by a second abort"
    STATUS_BEHIND_STREAM = "a status never shows what was not published"
    STATUS_NEVER_BACK = "a status never goes back"
    ACK_BEHIND_STATUS = "nothing is acknowledged that is not stored"
    NO_UPLOAD_LOST = "every upload ends, or waits for a person and says why"
    COUNTERS_RIGHT = "counters are what happened"
    STORAGE_AGREES = "what the resource says is what the storage did"
    REMOVED_ONCE = "an upload whose resource was removed after its end does not come back by itself"
    QUIET_AT_REST = "at rest nothing is written, and everything is acknowledged"
    SLOTS_KEPT = "no more uploads are at a step than it has slots"
    WAIT_BOUNDED = "nobody waits for a slot for longer than stated"
    EACH_STEP_ANSWERED = "no file is released unless each step of its plan has answered or a rule left it out"
    PLAN_KEPT = "an upload keeps the plan that it began with"
    RULE_FOLLOWED = "what a policy chose for an upload is what happens to it"
    SUCCEEDED_BY_ANSWER = "a step has succeeded only by its own answer"
    BREAKER_KNOWN = "whether a breaker is open follows from the uploads at its step"
    ONE_PROBE = "while a breaker is open, nothing starts at its step but one probe after another"
    RETRIES_KEPT = (
        "no upload loses a retry by failures of a step whose breaker they open, or while it is open"
    )
    RELEASED_IN_ORDER = "uploads of one file are released as they arrived, unless one takes too long"
    NO_EXCEPTION = "nothing fails that nobody catches"


@dataclass(frozen=True, slots=True)
class Violation:
    """An invariant that was broken."""

    invariant: Invariant
    text: str

    def __str__(self) -> str:
        return f"{self.invariant.name}: {self.invariant}: {self.text}"


@dataclass(slots=True)
class ExternalActions:
    """What people did, which explains what would be wrong without it."""

    tokens: Counter[str] = field(default_factory=Counter)
    deleted: set[str] = field(default_factory=set)
    again: set[str] = field(default_factory=set)
    """Uploads that somebody wanted to be done again, by which an abort may come twice."""
    edited: set[str] = field(default_factory=set)
    strays: set[str] = field(default_factory=set)
    """Uploads that were told things that never happened."""


class Checks:
    """Watches the stream and the API server."""

    def __init__(
        self,
        stream: Stream,
        server: ApiServer,
        journal: StreamRecorder,
        trace: Trace,
        config: Config,
        doings: ExternalActions,
    ) -> None:
        self._stream = stream
        self._server = server
        self._journal = journal
        self._trace = trace
        self._config = config
        self._readings = Readings(config)
        self.doings = doings
        self.breakers = config.breaker_after
        self.violations: list[Violation] = []
        self.written_at = 0.0
        self.existed: set[str] = set()
        self.refused: set[str] = set()
        """What the API server has refused for a while: an upload that ends meanwhile need not be recorded."""
        self.gone: set[str] = set()
        """Uploads of which the storage has said that it does not have them."""
        self.stored_aborts: set[str] = set()
        """Uploads of which a status has said that they are aborted."""
        self.known_aborts: set[str] = set()
        """Those whose abort was published once more after that."""
        self.stored_ends: set[str] = set()
        """Uploads of which a status has said that they are over."""
        self._removed: set[tuple[str, str]] = set()
        self._published: set[tuple[str, Mark]] = set()
        self._sequences: set[tuple[str, int]] = set()
        journal.listeners.append(self._on_record)
        server.checks.append(self._on_change)
        stream.on_ack.append(self._on_ack)

    def broken(self, invariant: Invariant, text: str) -> None:
        """Note that an invariant was broken."""
        self._trace.add("CHECK", f"{invariant.name}: {text}")
        self.violations.append(Violation(invariant, text))

    # -- the stream -----------------------------------------------------------------------

    def _on_record(self, record: Record) -> None:
        mark = record.mark
        if mark is None:
            return
        key = (record.upload, mark)
        if key in self._published and not self._stream.lost and mark.kind in {Kind.START, Kind.FINISH}:
            what = Invariant.NO_DOUBLE_START if mark.kind is Kind.START else Invariant.ONE_FINISH
            self.broken(what, f"{record.text()} is in the stream a second time")
        self._published.add(key)
        if (mark.kind, mark.detail) == (Kind.FINISH, Outcome.ABORT) and record.upload in self.stored_aborts:
            self.known_aborts.add(record.upload)
        if self._stream.lost:
            return
        if mark.kind is Kind.START:
            self._check_cause(record.upload, mark)
            self._check_let_begin(record.upload, mark)
        elif mark.kind is Kind.FINISH:
            self._check_finish(record.upload, mark)
            self._check_release(record, mark)

    def _check_cause(self, upload: str, mark: Mark) -> None:
        """Starts of a step, against everything that may cause one."""
        journal, step = self._journal, mark.detail
        starts = sum(m.detail == step for m in journal.marks(Kind.START, upload))
        asked = self.doings.tokens[upload] + len(journal.of("BytesReceived", upload))
        asked += sum(r.type == "ResumePostprocessing" and r.upload in {"", upload} for r in journal.records)
        steps = first_plan(journal, upload, mark) or ()
        plan = {plan.name: plan for plan in steps}
        if step in plan and plan[step].timeout is None:
            asked += sum(
                r.payload["FinishedStep"] == step
                and r.payload["Outcome"] not in {"continue", "abort", "delete"}
                for r in journal.of("PostprocessingStepFinished", upload)
            )
        else:
            asked += sum(m.detail == step for m in journal.said(Kind.RETRY, upload))
        if starts > asked:
            self.broken(
                Invariant.NO_START_WITHOUT_CAUSE,
                f"{upload}: {step} started {starts} times for {asked} causes",
            )

    def _check_let_begin(self, upload: str, mark: Mark) -> None:
        """Starts of an upload that an announcement began which tells of an earlier one."""
        told = [record for record in self._journal.records if record.upload == upload]
        began = next((each for each in told if millis(each.at) == mark.received_at), None)
        if began is None or began.type != "BytesReceived" or not is_again(began) or mark.run != 1:
            return
        another = self._journal.of("CleanUpload", upload)  # what is announced after that
        resumed = self._journal.of("ResumePostprocessing", upload) or self._journal.of(
            "ResumePostprocessing", ""
        )
        if not (another or resumed or self.doings.tokens[upload]):
            self.broken(Invariant.AGAIN_IS_HELD, f"{upload}: {mark.detail} started")

    def _check_finish(self, upload: str, mark: Mark) -> None:
        same_run = [
            m
            for m in self._journal.marks(Kind.FINISH, upload)
            if (m.received_at, m.run) == (mark.received_at, mark.run)
        ]
        if sum(m.detail == Outcome.ABORT for m in same_run) > 1:
            self.broken(Invariant.ONE_FINISH, f"{upload}: abort sent twice in run {mark.run}")
        if len({m.detail for m in same_run if m.number == 1}) > 1:
            self.broken(Invariant.ONE_FINISH, f"{upload}: run {mark.run} finished with two outcomes")
        if mark.number < max(m.number for m in same_run):
            self.broken(Invariant.ONE_FINISH, f"{upload}: finish {mark.number} after a later one")

    def _check_release(self, record: Record, mark: Mark) -> None:
        missing = unanswered(self._journal, record) if mark.detail == Outcome.CONTINUE else []
        if missing:
            self.broken(Invariant.EACH_STEP_ANSWERED, f"{record.text()}: no answer of {', '.join(missing)}")
        plan = first_plan(self._journal, record.upload, mark)
        if plan is not None and record.planned is not None and plan != record.planned.plan:
            began, ends = (plan_text(each) for each in (plan, record.planned.plan))
            self.broken(Invariant.PLAN_KEPT, f"{record.text()}: began with {began}, ends with {ends}")

    # -- statuses -------------------------------------------------------------------------

    def read(self, resource: Json) -> Upload:
        """The upload a resource stands for."""
        return self._readings.upload(resource)

    def _on_change(self, change: Change) -> None:
        resource = change.resource
        upload_id = resource["spec"]["upload"]["id"]
        if change.verb is Verb.ADDED:
            self.existed.add(upload_id)
        if not change.actor.startswith("operator"):
            return
        self.written_at = self._trace.kernel.now
        if resource.get("status", {}).get("outcome") == Outcome.ABORT:
            self.stored_aborts.add(upload_id)
        arrival = (upload_id, str(resource["spec"]["upload"].get("receivedTime")))
        if change.verb is Verb.DELETED:
            self._removed.add(arrival)
            self._check_removal(resource)
        elif change.verb is Verb.ADDED and arrival in self._removed and not self._stream.lost:
            self.broken(Invariant.REMOVED_ONCE, f"{upload_id} has a resource again")
        elif change.status and change.before is not None and not self._stream.lost:
            after = self.read(resource)
            if self.is_overruled(resource):
                return
            if after.stage.ended:
                self.stored_ends.add(upload_id)
            self._check_succeeded(after)
            self._check_published(after)
            if "status" in change.before:
                self._check_progress(self.read(change.before), after)

    def is_overruled(self, resource: Json) -> bool:
        """Whether the storage has announced the upload of a resource that is still as a person made it."""
        announced = self._journal.of("BytesReceived", resource["spec"]["upload"]["id"])
        by_hand = "sealed" not in resource["spec"] or self.read(resource).origin.by_hand
        return by_hand and any(not is_again(record) for record in announced)

    def _check_removal(self, resource: Json) -> None:
        upload = self.read(resource)
        if not upload.stage.ended:
            self.broken(Invariant.NO_UPLOAD_LOST, f"{upload.id} was removed while {upload.stage}")

    def _check_published(self, upload: Upload) -> None:
        """What a status says to be going on must be in the stream; what never came to be may be missing."""
        marks: list[Mark] = []
        for index, (each, step) in enumerate(zip(upload.plan, upload.steps, strict=False)):
            current = index == upload.cursor and upload.stage in {Stage.RUNNING, Stage.DELAYING}
            if current or step.state is StepState.SUCCEEDED:
                marks.append(Mark(Kind.START, upload.received_at, upload.run, step.attempts, each.name))
        if upload.stage in {Stage.AWAITING_READY, Stage.RELEASE_BACKING_OFF}:
            marks.append(
                Mark(Kind.FINISH, upload.received_at, upload.run, upload.finishes, str(upload.outcome))
            )
        if upload.stage is Stage.AWAITING_URL:
            number, name = upload.url_requests, upload.current_step
            marks.append(Mark(Kind.RESTART, upload.received_at, upload.run, number, name))
        known = {
            (m.kind, m.received_at, m.run, m.number, m.detail) for u, m in self._published if u == upload.id
        }
        for m in marks:
            if foreign(self._journal, m.kind, upload.id):
                continue  # another service may have published it
            if (m.kind, m.received_at, m.run, m.number, m.detail) not in known:
                text = f"{upload.id}: {m.kind} {m.detail} #{m.number} of run {m.run} is not in the stream"
                self.broken(Invariant.STATUS_BEHIND_STREAM, text)

    def _check_succeeded(self, upload: Upload) -> None:
        for plan, step in zip(upload.plan, upload.steps, strict=False):
            if step.state is StepState.SUCCEEDED and not has_answered(
                self._journal, upload.id, plan.name, upload.received_at, upload.run
            ):
                self.broken(Invariant.SUCCEEDED_BY_ANSWER, f"{upload.id}: {plan.name} is Succeeded")

    def _check_progress(self, before: Upload, after: Upload) -> None:
        old, new = before.log, after.log
        if old.stream == new.stream and new.sequence < old.sequence:
            text = f"{after.id}: log.sequence from {old.sequence} to {new.sequence}"
            self.broken(Invariant.STATUS_NEVER_BACK, text)
        if after.run < before.run:
            self.broken(Invariant.STATUS_NEVER_BACK, f"{after.id}: run from {before.run} to {after.run}")
        if after.run != before.run:
            return
        for plan, one, two in zip(after.plan, before.steps, after.steps, strict=False):
            if two.attempts < one.attempts:
                text = f"{after.id}: attempts of {plan.name} from {one.attempts} to {two.attempts}"
                self.broken(Invariant.STATUS_NEVER_BACK, text)
        if after.finishes < before.finishes:
            text = f"{after.id}: finishes from {before.finishes} to {after.finishes}"
            self.broken(Invariant.STATUS_NEVER_BACK, text)

    # -- the acknowledged position --------------------------------------------------------

    def _on_ack(self, consumer: str, floor: int, sequence: int) -> None:
        shard = shard_of(consumer)
        if not self._stream.lost and shard is not None:
            self.check_stored(floor, sequence, "was acknowledged", shard)

    def check_stored(self, floor: int, sequence: int, word: str, shard: Shard) -> None:
        """Whatever was acknowledged must mean nothing to what is stored any more."""
        for record in self._journal.records:
            if not floor < record.sequence <= sequence or record.incarnation != self._stream.incarnation:
                continue
            if not record.upload or not shard.owns(record.upload):
                continue
            why = self._would_move(record)
            if why:
                text = f"{record.sequence}: {record.text()} {word}, but {why}"
                self.broken(Invariant.ACK_BEHIND_STATUS, text)

    def _driven(self, upload_id: str) -> Json | None:
        """The resource of an upload: until another one is seen, that with a status drives it."""
        resources = self._server.resources
        found = resources.get(resource_name(upload_id))
        if found is None or "status" in found:
            return found
        begun = (each for each in resources.values() if "status" in each)
        return next((each for each in begun if each["spec"]["upload"]["id"] == upload_id), found)

    def _would_move(self, record: Record) -> str:
        """What a message would still do to the stored state; empty when nothing."""
        resource = self._driven(record.upload)
        if resource is None:
            unknown = record.type == "BytesReceived" and record.upload not in self.existed
            return (
                "there was never a resource" if unknown and not self.may_be_unrecorded(record.upload) else ""
            )
        upload = self.read(resource)
        if tells_no_end(self._server, resource) or self._unordered(upload, record):
            return ""
        now = millis(record.at)
        try:
            event = self._readings.event(record.data, record.sequence, now)
        except BadMessageError:
            return ""
        if event is None:
            return ""
        if isinstance(event.input, BytesReceived):
            if self._is_older(upload, record):
                return ""
            brought, known = event.input.origin, upload.origin
            if brought.url_received_at > known.url_received_at and brought.url != known.url:
                return "its URL is not stored"
        at = Position(record.incarnation, record.sequence)
        decision = apply(upload, upload.id, event.input, at, now, self._config)  # type: ignore[call-overload]
        if decision.ignored is not None:
            return ""
        return (
            f"the stored state ({upload.stage}, log {upload.log}) would still become {decision.upload.stage}"
        )

    def may_be_unrecorded(self, upload: str) -> bool:
        """Whether an upload may have ended while the API server refused to take it."""
        over = self._journal.of("UploadReady", upload) or self._journal.of("CleanUpload", upload)
        refused = not self.refused.isdisjoint({"POST", resource_name(upload)})
        return refused and (bool(over) or upload in self.gone)

    def _unordered(self, upload: Upload, record: Record) -> bool:
        """Whether people had a hand in it: what they ask for is not in the log, nor is when it was seen."""
        if upload.control.desired is not DesiredState.ACTIVE or upload.control.restart is not None:
            return True
        resumed = record.type == "ResumePostprocessing" and upload.id in self.doings.edited
        return resumed or (not upload.run and record.type != "BytesReceived")

    @staticmethod
    def _is_older(upload: Upload, record: Record) -> bool:
        """Whether a resource was made after the message, for another arrival."""
        return upload.received_at > millis(record.at)


def is_again(announcement: Record) -> bool:
    """Whether the storage announces an upload that it has announced before."""
    return RESTARTED_BY in str(announcement.payload.get("ExecutingUser"))


FOREIGN = {Kind.START: "StartPostprocessingStep", Kind.FINISH: "PostprocessingFinished"}


def foreign(journal: StreamRecorder, kind: Kind, upload: str) -> list[Record]:
    """What another service has published for an upload in our place."""
    return [record for record in journal.of(FOREIGN.get(kind, ""), upload) if record.mark is None]


def shard_of(consumer: str) -> Shard | None:
    """Whose consumer it is; None when it is not one of ours."""
    known = parse_name(consumer)
    return known[0] if known else None


def received_at(resource: Json) -> int:
    """When the upload of a resource arrived, in ms."""
    text = resource["spec"]["upload"].get("receivedTime") or resource["metadata"]["creationTimestamp"]
    return parse_time(text)
