"""What an entry of the bucket of the legacy service becomes (docs/adr/0045).

That service keeps one record of each upload and its timers in memory. A record is written before the
event that it stands for is published, and it says the step behind a delay while the delay still lasts.
So the last event of the upload in the log decides what the record means; where the log does not
reach back so far, the record is believed.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

from uploadpp.core.commands import Finish, RequestRestart, StartStep
from uploadpp.core.conditions import describe
from uploadpp.core.config import Config
from uploadpp.core.evolve import evolve
from uploadpp.core.history import Known, Said, as_of_others, catch_up
from uploadpp.core.inputs import (
    ELSEWHERE,
    BytesReceived,
    FinishedElsewhere,
    RetriedElsewhere,
    StartedElsewhere,
)
from uploadpp.core.model import (
    DELAY_STEP,
    FINISHED_STEP,
    FileInfo,
    LogPosition,
    Millis,
    Origin,
    StepPlan,
    StepStatus,
    Upload,
)
from uploadpp.core.retry import backoff
from uploadpp.core.rules.elsewhere import understood
from uploadpp.core.states import Outcome, Stage, StepReason, StepState
from uploadpp.core.transitions import enter, finish

MAX_STEPS, MAX_STEP_NAME = 32, 63
SLACK_MS = 1_000
"""Two servers of one NATS cluster may disagree by so much about the time."""


class Refusal(StrEnum):
    """Why an entry of the bucket does not become a resource."""

    BROKEN = "Broken"
    BAD_STEPS = "BadSteps"
    UNKNOWN_STEP = "UnknownStep"
    IN_THE_LOG = "InTheLog"
    HAS_RESOURCE = "HasResource"
    HAS_ENDED = "HasEnded"
    OVER = "Over"
    ADOPTED_BEFORE = "AdoptedBefore"
    TOO_LARGE = "TooLarge"
    REFUSED = "Refused"

    @property
    def is_fine(self) -> bool:
        """Whether a person need not do anything: somebody drives the upload, or it has ended."""
        return self in {Refusal.IN_THE_LOG, Refusal.HAS_RESOURCE, Refusal.OVER, Refusal.ADOPTED_BEFORE}


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What the legacy service has stored of an upload."""

    id: str
    origin: Origin = field(default=Origin(), repr=False)
    file: FileInfo = field(default=FileInfo(), repr=False)
    steps: tuple[str, ...] = ()
    current: str = ""
    outcome: str = ""
    failures: int = 0
    finished: bool = False
    """Whether the storage has answered UploadReady with Failed; the service does nothing about it."""
    written_at: Millis = Millis(0)


class Ground(NamedTuple):
    """The log as far as it was read."""

    stream: str
    last: int
    """The last position that was read."""
    behind: int
    """The operator continues automatically at the next position."""
    since: Millis
    """All messages from this moment on were read."""
    now: Millis


class Left(NamedTuple):
    """An upload that does not get a resource, and why."""

    reason: Refusal
    why: str


class Adopted(NamedTuple):
    """The state to write, and the events that have to be published before that."""

    upload: Upload
    missing: tuple[Finish, ...] = ()


def adopt(record: Record, said: Sequence[Said], ground: Ground, config: Config) -> Adopted | Left:
    """What happens to an upload; `said` are its messages in the log, in order."""
    if _is_read_anyway(said, ground):
        return Left(Refusal.IN_THE_LOG, "the operator reads its BytesReceived from the log itself")
    if wrong := _wrong_steps(record, config):
        return wrong
    record, said = _announced(record, as_of_others(said))
    known = _begin(record, said, ground, config)
    if isinstance(known, Left):
        return known
    return _settled(known)


def adopt_unrecorded(
    upload_id: str, said: Sequence[Said], ground: Ground, config: Config
) -> Adopted | Left | None:
    """An upload that the service has taken from the log and lost: it acknowledges before it works.

    None when the log says anything of it that is not its announcement.
    """
    first = said[0]
    announced_only = all(isinstance(each.event, BytesReceived) for each in said)
    if not announced_only or _is_again(first) or first.sequence > ground.behind:
        return None
    known = catch_up(Known(None), upload_id, said, ground.last, ground.stream, config)
    return _settled(known)


def _is_read_anyway(said: Sequence[Said], ground: Ground) -> bool:
    first = next((each for each in said if isinstance(each.event, BytesReceived)), None)
    return first is not None and first.sequence > ground.behind and not _is_again(first)


def _is_again(said: Said) -> bool:
    return isinstance(said.event, BytesReceived) and said.event.origin.again


def _wrong_steps(record: Record, config: Config) -> Left | None:
    steps = record.steps
    if len(set(steps)) < len(steps):
        return Left(Refusal.BAD_STEPS, "a step is listed twice, which the operator does not run")
    if len(steps) > MAX_STEPS or any(not 0 < len(each) <= MAX_STEP_NAME for each in steps):
        return Left(
            Refusal.BAD_STEPS, f"more than {MAX_STEPS} steps, or a name without or with too many letters"
        )
    if record.current == FINISHED_STEP:
        return None
    if record.current not in steps:
        return Left(Refusal.BAD_STEPS, f"its current step {record.current!r} is not among its steps")
    known = {step.name for step in config.steps} | {DELAY_STEP}
    ahead = steps[steps.index(record.current) :]
    unknown = next((each for each in ahead if each not in known), "")
    if unknown:
        text = (
            f"the operator is not configured with its step {unknown!r}; add it to the steps and adopt again"
        )
        return Left(Refusal.UNKNOWN_STEP, text)
    return None


def _announced(record: Record, said: Sequence[Said]) -> tuple[Record, Sequence[Said]]:
    """The record with all that came with BytesReceived, and what the log has said from there on."""
    for index, each in enumerate(said):
        if isinstance(each.event, BytesReceived) and each.event.origin.url == record.origin.url:
            return evolve(record, origin=each.event.origin, file=each.event.file), said[index:]
    return record, said


def _begin(record: Record, said: Sequence[Said], ground: Ground, config: Config) -> Known | Left:
    """The upload as the record and the log say."""
    plan = _plan(record, config)
    upload = Upload(
        id=record.id,
        received_at=record.written_at,
        origin=record.origin,
        file=record.file,
        plan=plan,
        plan_fixed=True,
        since=record.written_at,
        run=1,
        steps=(StepStatus(),) * len(plan),
        started_at=record.written_at,
        observed_generation=1,
        log=LogPosition(stream=ground.stream),
    )
    if record.finished:
        if understood(record.outcome) is not Outcome.CONTINUE:
            return Left(Refusal.OVER, f"the storage has carried out {record.outcome or 'its end'}")
        known = Known(_release_failed(_passed(upload, len(plan), record), record, config))
        news: Sequence[Said] = [each for each in said if each.at > record.written_at]
    else:
        known, news = _under_way(upload, record, said, ground)
    return catch_up(known, record.id, news, ground.last, ground.stream, config)


def _release_failed(upload: Upload, record: Record, config: Config) -> Upload:
    return enter(
        upload,
        Stage.RELEASE_BACKING_OFF,
        record.written_at,
        outcome=Outcome.CONTINUE,
        finishes=1,
        releases=1,
        next_attempt_at=Millis(record.written_at + config.release_backoff),
        log=upload.log.with_start(0),
    )


def _under_way(
    upload: Upload, record: Record, said: Sequence[Said], ground: Ground
) -> tuple[Known, Sequence[Said]]:
    """The state that the record stands for, and what the log has said since."""
    last = next((i for i in reversed(range(len(said))) if isinstance(said[i].event, ELSEWHERE)), None)
    told = said[last] if last is not None else None
    since = [each for each in said if each.at >= record.written_at - SLACK_MS]
    after = said[last + 1 :] if last is not None else since
    if (delaying := _delaying(upload, record, told, ground)) is not None:
        return Known(delaying), after
    if told is not None and last is not None and _is_told(record, told):
        return _untold(upload, record), said[last:]
    if record.current != FINISHED_STEP and record.outcome == Outcome.RETRY:
        failed_at = (
            told.at if told is not None and isinstance(told.event, RetriedElsewhere) else record.written_at
        )
        return Known(_backing_off(upload, record, failed_at)), after
    if told is None and _is_beyond(record, ground):
        return Known(_believed(upload, record)), after
    return _untold(upload, record), after


def _is_told(record: Record, told: Said) -> bool:
    """Whether the event that the record stands for is in the log, as the last one of the upload."""
    match told.event:
        case FinishedElsewhere():
            return record.current == FINISHED_STEP or told.at > record.written_at + SLACK_MS
        case StartedElsewhere(step=step):
            # The answer `retry` to a start from before the record is part of the record.
            is_news = record.outcome != Outcome.RETRY or told.at >= record.written_at - SLACK_MS
            return step == record.current and is_news
    return False


def _delaying(upload: Upload, record: Record, told: Said | None, ground: Ground) -> Upload | None:
    """The upload in its delay; None when the delay is over, or was never begun.

    The record says the step behind the delay from the moment on that the delay begins.
    """
    index = _index(record)
    names = record.steps
    if record.current != DELAY_STEP:
        index -= 1
    ends = record.current == FINISHED_STEP and record.outcome != Outcome.CONTINUE
    if index < 0 or names[index] != DELAY_STEP or ends:
        return None
    lasts = Millis(record.written_at + upload.plan[index].delay) > ground.now
    lasts = lasts and record.outcome != Outcome.RETRY  # as a rule of the step behind it, which has failed
    if told is None and (lasts or (record.current == DELAY_STEP and _is_beyond(record, ground))):
        began = record.written_at
    elif told is not None and told.event == StartedElsewhere(DELAY_STEP, told.sequence):
        began = told.at
    else:
        return None
    step = StepStatus(state=StepState.RUNNING, attempts=1, started_at=began)
    return enter(
        _passed(upload, index, record).with_step(index, step),
        Stage.DELAYING,
        began,
        cursor=index,
        next_attempt_at=Millis(began + upload.plan[index].delay),
        log=upload.log.with_start(0),
    )


def _untold(upload: Upload, record: Record) -> Known:
    """What the record stands for was not published, as far as is known so far."""
    index = _index(record)
    if record.current == FINISHED_STEP:
        outcome = understood(record.outcome)
        decision = finish(_passed(upload, index, record, outcome), outcome, record.written_at)
        return Known(decision.upload, decision.commands)
    step = StepStatus(attempts=record.failures, retries=record.failures)
    return Known(
        enter(
            _passed(upload, index, record).with_step(index, step),
            Stage.QUEUED,
            record.written_at,
            cursor=index,
        )
    )


def _backing_off(upload: Upload, record: Record, failed_at: Millis) -> Upload:
    index = _index(record)
    plan, failures = upload.plan[index], max(record.failures, 1)
    step = StepStatus(
        state=StepState.BACKING_OFF,
        attempts=failures,
        retries=failures,
        finished_at=failed_at,
        outcome=Outcome.RETRY,
    )
    return enter(
        _passed(upload, index, record).with_step(index, step),
        Stage.BACKING_OFF,
        failed_at,
        cursor=index,
        next_attempt_at=Millis(failed_at + backoff(failures, plan.backoff, plan.max_backoff)),
        log=upload.log.with_start(0),
    )


def _believed(upload: Upload, record: Record) -> Upload:
    """Treat the event that the record stands for as published: the log does not reach back that far."""
    known = _untold(upload, record).upload
    assert known is not None  # noqa: S101 -- it always has one
    log = known.log.with_start(0)
    if record.current == FINISHED_STEP:
        return evolve(known, log=log)
    attempts = record.failures + 1
    step = evolve(known.step, state=StepState.RUNNING, attempts=attempts, started_at=record.written_at)
    return evolve(known.with_step(known.cursor, step), stage=Stage.RUNNING, log=log)


def _passed(upload: Upload, index: int, record: Record, outcome: Outcome = Outcome.CONTINUE) -> Upload:
    """The upload with the steps before `index` as the service has left them."""
    if outcome is Outcome.CONTINUE:
        passed = StepStatus(
            state=StepState.SUCCEEDED, attempts=1, finished_at=record.written_at, outcome=Outcome.CONTINUE
        )
    else:  # which of them has decided so is not known
        passed = StepStatus(
            state=StepState.SKIPPED, finished_at=record.written_at, reason=StepReason.FINISHED_ELSEWHERE
        )
    steps = (passed,) * index + (StepStatus(),) * (len(upload.plan) - index)
    return evolve(upload, steps=steps, cursor=index)


def _index(record: Record) -> int:
    return len(record.steps) if record.current == FINISHED_STEP else record.steps.index(record.current)


def _is_beyond(record: Record, ground: Ground) -> bool:
    """Whether the record is older than what was read of the log."""
    return ground.since > record.written_at - SLACK_MS


def _plan(record: Record, config: Config) -> tuple[StepPlan, ...]:
    known = {step.name: step for step in config.steps}
    return tuple(known.get(name) or StepPlan(name=name) for name in record.steps)


def _settled(known: Known) -> Adopted | Left:
    """The state as the operator can take it over. It publishes what is missing, except for an end."""
    upload = known.upload
    assert upload is not None  # noqa: S101 -- it began with one
    if upload.stage.ended:
        return Left(Refusal.OVER, f"according to the log it has ended: {describe(upload)}")
    finishes = tuple(each for each in known.missing if isinstance(each, Finish))
    starts = any(isinstance(each, StartStep | RequestRestart) for each in known.missing)
    if starts or upload.stage is Stage.AWAITING_URL:
        upload = _queued(upload)
    return Adopted(upload, finishes)


def _queued(upload: Upload) -> Upload:
    """The upload before the start of its step that was not published: the operator does that."""
    step = upload.step
    if step.state is StepState.RUNNING:
        step = evolve(step, attempts=step.attempts - 1)
    step = evolve(step, state=StepState.WAITING, started_at=None)
    queued = enter(upload.with_step(upload.cursor, step), Stage.QUEUED, upload.since, url_requests=0)
    return evolve(queued, log=queued.log.with_start(None))
