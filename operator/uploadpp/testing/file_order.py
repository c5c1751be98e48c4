"""Whether the uploads of one file are released in the order in which they arrived, as the stream says."""

from collections.abc import Sequence

from uploadpp.core.commands import Kind
from uploadpp.core.config import Config
from uploadpp.core.sharding import bucket_of
from uploadpp.core.states import Outcome
from uploadpp.testing.answers import first_answer_of
from uploadpp.testing.invariants import Checks
from uploadpp.testing.services import FakeServices
from uploadpp.testing.stream_recorder import Record, StreamRecorder

CLOCKS_DIFFER_MS = 65_000
"""The clocks of operators are set on and back by chaos; who waits until a moment may wait less by this."""


def overtaken(
    record: Record,
    journal: StreamRecorder,
    world: FakeServices,
    checks: Checks,
    config: Config,
    shards: Sequence[int],
) -> list[str]:
    """The earlier uploads of its file that a release has overtaken although it has not waited long enough.

    Only the first release of an upload counts: after that it has been over.
    """
    mark, upload = record.mark, record.upload
    if mark is None or mark.kind is not Kind.FINISH or mark.detail != Outcome.CONTINUE:
        return []
    arrived = _arrived(journal, upload)
    if len(journal.marks(Kind.FINISH, upload)) > 1 or upload not in world.sessions or arrived is None:
        return []
    ready_at = max([first_answer_of(journal, upload, step) or 0.0 for step in _steps(record)], default=0.0)
    waited = (record.at - max(ready_at, arrived.at)) * 1000
    if waited >= config.order_timeout - CLOCKS_DIFFER_MS:
        return []
    file = world.sessions[upload].file
    others = [each.id for each in world.sessions.values() if each.file == file and each.id != upload]
    return [
        other
        for other in others
        if (announced := _arrived(journal, other)) is not None
        and announced.sequence < arrived.sequence
        and all(bucket_of(other) % count == bucket_of(upload) % count for count in shards)
        and not _is_over(other, journal, checks, config)
    ]


def _arrived(journal: StreamRecorder, upload: str) -> Record | None:
    return next(iter(journal.of("BytesReceived", upload)), None)


def _steps(record: Record) -> list[str]:
    return [step.name for step in record.planned.plan] if record.planned is not None else []


def _is_over(upload: str, journal: StreamRecorder, checks: Checks, config: Config) -> bool:
    """Whether an upload has been over, as far as the stream says so, or people had a hand in it."""
    if upload in checks.doings.deleted | checks.doings.strays | checks.gone:
        return True
    told, failures = "", 0
    for record in journal.records:
        if record.upload != upload:
            continue
        if record.type == "CleanUpload":
            return True
        if record.type == "PostprocessingFinished":
            told = record.payload["Outcome"]
        if record.type == "UploadReady":
            if not record.payload["Failed"] or told != Outcome.CONTINUE:
                return True
            failures += 1
    return failures > config.max_releases
