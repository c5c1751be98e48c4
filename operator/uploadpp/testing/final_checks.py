"""What must be true once a run has come to rest."""

from collections import Counter

from uploadpp.api.encode import OVER
from uploadpp.api.void import why_void
from uploadpp.core.commands import Kind
from uploadpp.core.conditions import describe
from uploadpp.core.model import Upload
from uploadpp.core.naming import resource_name
from uploadpp.core.sharding import Shard
from uploadpp.core.states import DesiredState, Stage
from uploadpp.testing.apiserver import ApiServer
from uploadpp.testing.invariants import Checks, Invariant, foreign, shard_of
from uploadpp.testing.services import FakeServices
from uploadpp.testing.stream import Stream
from uploadpp.testing.stream_recorder import StreamRecorder
from uploadpp.testing.untold_ends import tells_no_end

WAITING_FOR_A_PERSON = frozenset({Stage.HELD, Stage.SUSPENDED})


def at_rest(upload: Upload) -> bool:
    """Whether nothing but an input can move an upload: it has ended or waits for people."""
    deaf = upload.stage is Stage.RUNNING and upload.stalled_at is not None  # its service is missing
    return upload.stage.ended or upload.stage in WAITING_FOR_A_PERSON or deaf


def unrest(server: ApiServer, checks: Checks) -> list[str]:
    """The uploads that still wait for something to happen by itself."""
    telling = [each for each in server.resources.values() if not tells_no_end(server, each)]
    uploads = [checks.read(each) for each in telling if not why_void(each)]
    return [f"{u.id} is {u.stage}: {describe(u)}" for u in uploads if not at_rest(u)]


def check_end(
    checks: Checks, stream: Stream, server: ApiServer, journal: StreamRecorder, world: FakeServices
) -> None:
    """Check what has become of everything."""
    for text in unrest(server, checks):
        checks.broken(Invariant.NO_UPLOAD_LOST, text)
    floors: dict[Shard | None, int] = {}
    for consumer in stream.consumers.values():
        shard = shard_of(consumer.name)
        floors[shard] = max(floors.get(shard, 0), consumer.floor)
    floor = min(floors.values(), default=0)
    if floor < stream.last:
        checks.broken(Invariant.QUIET_AT_REST, f"acknowledged up to {floor} of {stream.last}")
    for session in world.sessions.values():
        # What only a stream knew that has forgotten it, nobody can know (invariant 2.6).
        known = not stream.lost or session.id in checks.known_aborts
        if session.destroyed and known and session.id not in checks.doings.again:
            checks.broken(Invariant.BYTES_KEPT, f"{session.id}: its bytes are gone")
    if stream.lost:
        return
    checks.check_stored(0, stream.last, "is in the stream", Shard())
    for session in world.sessions.values():
        resource = server.resources.get(resource_name(session.id))
        if resource is not None and tells_no_end(server, resource):
            continue
        if resource is None:
            known = session.id in checks.existed or checks.may_be_unrecorded(session.id)
            if session.urls and not known:
                checks.broken(Invariant.NO_UPLOAD_LOST, f"{session.id} never had a resource")
            continue
        upload = checks.read(resource)
        _check_sent(checks, journal, upload)
        _check_counters(checks, journal, upload)
        _check_begun(checks, journal, upload)
        if (
            upload.stage is Stage.COMPLETED
            and not session.released
            and session.id not in checks.doings.strays
        ):
            checks.broken(Invariant.STORAGE_AGREES, f"{session.id} is Completed, but was not released")


def _check_begun(checks: Checks, journal: StreamRecorder, upload: Upload) -> None:
    """What was thrown away and then announced with a fresh URL has begun again."""
    if upload.stage is not Stage.CLEANED or upload.control.desired is DesiredState.CANCELLED:
        return
    cleaned = max((record.sequence for record in journal.of("CleanUpload", upload.id)), default=0)
    announced = {r.payload["URL"]: r.sequence for r in reversed(journal.of("BytesReceived", upload.id))}
    if max(announced.values(), default=0) > cleaned:
        text = f"{upload.id} is Cleaned, but was announced with a fresh URL after that"
        checks.broken(Invariant.NO_UPLOAD_LOST, text)


def _check_sent(checks: Checks, journal: StreamRecorder, upload: Upload) -> None:
    """How often a step was started and the storage told is what is in the stream."""
    sent = Counter(
        (mark.kind, mark.detail if mark.kind is Kind.START else "")
        for kind in (Kind.START, Kind.FINISH)
        for mark in journal.marks(kind, upload.id)
        if (mark.received_at, mark.run) == (upload.received_at, upload.run)
    )
    said = {(Kind.START, p.name): s.attempts for p, s in zip(upload.plan, upload.steps, strict=False)}
    for what, count in {**said, (Kind.FINISH, ""): upload.finishes}.items():
        others = len(foreign(journal, what[0], upload.id))
        if not sent[what] <= count <= sent[what] + others:
            text = f"{upload.id}: counts {count} of {' '.join(what)}, {sent[what]} are in the stream"
            checks.broken(Invariant.COUNTERS_RIGHT, text)


def _check_counters(checks: Checks, journal: StreamRecorder, upload: Upload) -> None:
    """Retries are what was published as such in this run (a resume of a held step starts from zero)."""
    if upload.id in checks.doings.tokens or journal.of("ResumePostprocessing", upload.id):
        return
    if journal.of("StartPostprocessingStep", upload.id) and foreign(journal, Kind.START, upload.id):
        return
    notices = journal.marks(Kind.RETRY, upload.id)
    resumed = {record.payload["Step"] for record in journal.of("ResumePostprocessing", "")}
    for plan, step in zip(upload.plan, upload.steps, strict=False):
        if plan.name in resumed:  # a resume of a step reaches each upload that is held there
            continue
        marks = {
            m
            for m in notices
            if (m.received_at, m.run, m.detail) == (upload.received_at, upload.run, plan.name)
        }
        # An attempt that has answered after its time did not need the retry that was planned.
        over = {m for m in marks if m.number == step.attempts and step.state in OVER}
        least = 0 if plan.name in checks.breakers else len(marks - over)  # some failures took no retry
        if not least <= step.retries <= len(marks):
            text = f"{upload.id}: {plan.name} counts {step.retries} retries, {len(marks)} are in the stream"
            checks.broken(Invariant.COUNTERS_RIGHT, text)
