"""Applying the log: the positions that make each input count once (docs/replay.md has an example).

`apply` is what the reader calls for every message that concerns an upload, live or after
a crash; the answer is the same in both cases, which is what makes replay exact (invariant 2.3).
"""

from collections.abc import Collection, Sequence
from typing import NamedTuple, overload

from uploadpp.core.commands import Command, Finish, Kind, Mark, RequestRestart, StartStep
from uploadpp.core.config import Config
from uploadpp.core.decision import AnyDecision, Decision, UnknownDecision, ignore
from uploadpp.core.evolve import evolve
from uploadpp.core.inputs import BytesReceived, Input, Published, Resume, StepFinished, UploadReady
from uploadpp.core.machine import decide
from uploadpp.core.model import LogPosition, Millis, StepPlan, Upload
from uploadpp.core.rules.arrival import overrules, with_later_url
from uploadpp.core.states import Ignored, Stage


class Position(NamedTuple):
    """Where a message stands: which incarnation of the stream, and its sequence there."""

    stream: str
    sequence: int


class Held(NamedTuple):
    """A command that was decided during a replay, and the plan that its upload had then."""

    command: Command
    plan: tuple[StepPlan, ...]


@overload
def apply(
    upload: Upload, upload_id: str, event: Input, at: Position, now: Millis, config: Config
) -> Decision: ...
@overload
def apply(
    upload: Upload | None, upload_id: str, event: Input, at: Position, now: Millis, config: Config
) -> AnyDecision: ...
def apply(
    upload: Upload | None, upload_id: str, event: Input, at: Position, now: Millis, config: Config
) -> AnyDecision:
    """Decide about a message of the log, unless its turn has passed.

    An ignored message moves the position too. If it were read again after a later checkpoint, it would
    meet another state and might take effect (a Resume sent while the upload was suspended).

    An announcement that overrules what a person's resource says is about an upload that nobody has seen.

    `now` is the stream's timestamp of the message in ms.
    """
    if upload is None or overrules(upload, event):
        decision = decide(None, upload_id, event, now, config)
        if isinstance(decision, UnknownDecision):
            return decision
        made = decision.upload
        return evolve(decision, upload=evolve(made, log=_moved(made.log, event, at)))
    stale = _stale(upload.log, event, at)
    if stale is not None:
        return ignore(with_later_url(upload, event) if isinstance(event, BytesReceived) else upload, *stale)
    log = _moved(upload.log, event, at)
    if log is not upload.log:
        upload = evolve(upload, log=log)
    return decide(upload, upload_id, event, now, config)


def _moved(log: LogPosition, event: Input, at: Position) -> LogPosition:
    """The position once a message has been applied."""
    if log.stream != at.stream:
        # Positions of another incarnation mean nothing here: every message counts (invariant 2.6).
        log = LogPosition(stream=at.stream, start=0 if log.stream else log.start)
    # Our own events do not count: an acknowledged publication may be ahead of unread inputs.
    return log if isinstance(event, Published) else LogPosition(log.stream, at.sequence, log.start)


def _stale(log: LogPosition, event: Input, at: Position) -> tuple[Ignored, str] | None:
    if log.stream != at.stream:
        return None
    if at.sequence <= log.sequence and not isinstance(event, Published):
        return Ignored.ALREADY_APPLIED, "applied before the last checkpoint"
    if _is_answer(event) and (log.start is None or at.sequence < log.start):
        return Ignored.BEFORE_START, "the answer is older than the command it would answer"
    if isinstance(event, Resume) and at.sequence <= (log.start or 0):
        # Also when it had no effect, and its position was not stored: it must not have one now.
        return Ignored.ALREADY_APPLIED, "what was published after the resume has answered it"
    return None


def _is_answer(event: Input) -> bool:
    """Whether it answers a command, and so means nothing before that. A released file is always news."""
    return isinstance(event, StepFinished) or (isinstance(event, UploadReady) and event.failed)


def wanted(upload: Upload, command: Command) -> bool:
    """Whether a command held during replay is still what the state stands for.

    A retry notice is a record of the past and always wanted.
    """
    mark = command.mark
    if mark.run != upload.run:
        return False
    match command:
        case StartStep():
            running = upload.stage in {Stage.RUNNING, Stage.DELAYING}
            return running and upload.current_step == mark.detail and upload.step.attempts == mark.number
        case Finish():
            awaited = upload.stage is Stage.AWAITING_READY and upload.outcome == mark.detail
            return awaited and upload.finishes == mark.number
        case RequestRestart():
            awaited = upload.stage is Stage.AWAITING_URL and upload.current_step == mark.detail
            return awaited and upload.url_requests == mark.number
    return True


def resolve(upload: Upload, held: Sequence[Held]) -> tuple[Upload, list[Command | None]]:
    """What the held commands of an upload come to at the end of a replay.

    Returns:
        The upload with counters that leave out what is dropped. For each held command the command to publish,
        with the number that it has after the recount; None for a command that is dropped.
    """
    commands = [each.command if wanted(upload, each.command) else None for each in held]
    dropped = [each for each, command in zip(held, commands, strict=True) if command is None]
    if not dropped:
        return upload, commands
    counted = [each.command.mark for each in dropped if _is_counted(upload, each)]
    upload = recount(upload, counted, [command.mark for command in commands if command is not None])
    return upload, [command and _renumbered(upload, command) for command in commands]


def _is_counted(upload: Upload, held: Held) -> bool:
    """Whether a held command is in the counters of its upload.

    An own event may have brought another plan since. Requests for a URL are then counted from that event on:
    they have one number for all steps, and the same number may be in the log for a step of the other plan.
    """
    return held.command.mark.kind is not Kind.RESTART or held.plan == upload.plan


def recount(upload: Upload, dropped: Collection[Mark], kept: Collection[Mark]) -> Upload:
    """The state without held commands that never go out, so that its counters are what happened.

    Only the last of a kind can be taken back: nothing with a higher number may be in the log.
    """
    for kind, detail in {(m.kind, m.detail if m.kind is Kind.START else "") for m in dropped}:
        count = _count(upload, kind, detail)
        never, later = (
            {m.number for m in marks if _is_of(upload, m, kind, detail)} for marks in (dropped, kept)
        )
        if count and never and never | later == set(range(min(never | later), count + 1)):
            upload = _counted(upload, kind, detail, count - len(never))
    if not kept and upload.log.start is None:
        return evolve(upload, log=upload.log.with_start(0))  # nothing of ours is on its way any more
    return upload


def _renumbered(upload: Upload, command: Command) -> Command:
    """A held command that is still wanted, after a recount; itself if its number is the same."""
    mark = command.mark
    count = _count(upload, mark.kind, mark.detail)
    return evolve(command, mark=evolve(mark, number=count)) if count and count != mark.number else command


def _is_of(upload: Upload, mark: Mark, kind: Kind, detail: str) -> bool:
    same = (mark.received_at, mark.run, mark.kind) == (upload.received_at, upload.run, kind)
    if kind is Kind.FINISH:
        # Another outcome may have the same number: the one in the log was decided by somebody who knew less.
        # A release that the storage reports replaces the outcome, whatever we had decided.
        decided = mark.detail == upload.outcome or upload.stage is Stage.COMPLETED
        return same and decided and not upload.log.start
    return same and detail in {"", mark.detail}


def _count(upload: Upload, kind: Kind, detail: str) -> int:
    match kind:
        case Kind.START:
            pairs = zip(upload.plan, upload.steps, strict=False)
            return next((step.attempts for plan, step in pairs if plan.name == detail), 0)
        case Kind.FINISH:
            return upload.finishes
        case Kind.RESTART:
            return upload.url_requests
    return 0


def _counted(upload: Upload, kind: Kind, detail: str, count: int) -> Upload:
    if kind is not Kind.START:
        return evolve(upload, **{"finishes" if kind is Kind.FINISH else "url_requests": count})
    index = [plan.name for plan in upload.plan].index(detail)
    began = upload.steps[index].started_at if count else None
    return upload.with_step(index, evolve(upload.steps[index], attempts=count, started_at=began))
