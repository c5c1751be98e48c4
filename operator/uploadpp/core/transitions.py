"""The transitions that rules are made of: start a step, back off, finish, end.

Each takes a state and returns a Decision; none of them asks which input caused it.
"""

from typing import Any

from uploadpp.core import event_texts
from uploadpp.core.breaker import given_back, noted
from uploadpp.core.commands import (
    Finish,
    Kind,
    Mark,
    Notice,
    RequestRestart,
    RetryNotice,
    StartStep,
)
from uploadpp.core.conditions import CANCELLED_UNTOLD
from uploadpp.core.config import Config
from uploadpp.core.decision import Decision
from uploadpp.core.evolve import evolve
from uploadpp.core.model import (
    DELAY_STEP,
    FINISHED_STEP,
    MAX_MESSAGE,
    FileOrder,
    Millis,
    StepStatus,
    Streak,
    Upload,
)
from uploadpp.core.retry import backoff
from uploadpp.core.states import (
    ENDED,
    DesiredState,
    OnExhausted,
    OnTooLarge,
    Outcome,
    Stage,
    StepReason,
    StepState,
)


def enter(upload: Upload, stage: Stage, now: Millis, **changes: Any) -> Upload:  # noqa: ANN401 -- any field
    """The upload in another stage, with the timer and message of the old one gone (F17)."""
    if upload.stage in ENDED and stage not in ENDED and not upload.order.left:
        changes["order"] = FileOrder(left=True)
    return evolve(upload, stage=stage, since=now, **{**_OF_ONE_STAGE, **changes})


_OF_ONE_STAGE: dict[str, Any] = {
    "stalled_at": None,
    "next_attempt_at": None,
    "message": "",
    "lost_status": False,
    "policy_holds": False,
}
"""Fields that belong to a stage and end with it."""


def begin_run(upload: Upload, now: Millis, config: Config, index: int = 0) -> Decision:
    """Start a new run at a step; earlier ones count as skipped."""
    skipped = StepStatus(state=StepState.SKIPPED, reason=StepReason.BEFORE_RESTART)
    fresh = evolve(
        upload,
        run=upload.run + 1,
        steps=(skipped,) * index + (StepStatus(),) * (len(upload.plan) - index),
        outcome=None,
        finishes=0,
        releases=0,
        url_requests=0,
        started_at=max(now, upload.received_at),  # else a clock that was set back makes the status outdated
        completed_at=None,
        expires_at=None,
    )
    return proceed(fresh, index, now, config)


def proceed(upload: Upload, index: int, now: Millis, config: Config) -> Decision:
    """Continue with the first step from `index` on not passed; after the last, release (invariant 2.9)."""
    if upload.control.desired is DesiredState.SUSPENDED:
        return suspend(upload, index, now)
    index = upload.next_step(index)
    if index == len(upload.plan):
        if upload.origin.by_hand and not upload.origin.has_url:  # the storage may still be receiving the file
            return request_url(evolve(upload, cursor=index), now)
        if upload.order.after and config.order_timeout and upload.stage not in ENDED:
            return Decision(enter(upload, Stage.AWAITING_TURN, now, cursor=index))
        return finish(upload, Outcome.CONTINUE, now)
    if upload.plan[index].max_filesize is not None and is_too_large(upload, index):
        return pass_over(upload, index, now, config)
    return approach(upload, index, now, config)


def suspend(upload: Upload, index: int, now: Millis) -> Decision:
    """Wait for a person before the first step from `index` on not passed."""
    return Decision(enter(upload, Stage.SUSPENDED, now, cursor=upload.next_step(index)))


def is_too_large(upload: Upload, index: int) -> bool:
    """Whether the file is too large for this step. Once a person has let it in, it stays in."""
    largest = upload.plan[index].max_filesize
    return largest is not None and upload.steps[index].attempts == 0 and int(upload.origin.filesize) > largest


def hold_unbegun(upload: Upload, now: Millis, why: str) -> Decision:
    """Begin nothing: a person has to say whether the upload has already ended."""
    return hold_first(upload, now, event_texts.held_unbegun(why))


def hold_by_policy(upload: Upload, now: Millis, text: str) -> Decision:
    """Begin nothing: a policy wants a person to decide. The storage still waits for an outcome."""
    return hold_first(upload, now, event_texts.held_by_policy(text), policy_holds=True)


def hold_first(
    upload: Upload, now: Millis, notice: Notice, *, policy_holds: bool = False, ended: Outcome | None = None
) -> Decision:
    """Begin nothing until a person decides. `ended` is how the upload has ended before."""
    held = enter(
        upload,
        Stage.HELD,
        now,
        run=0,
        cursor=len(upload.plan),
        steps=(),
        outcome=ended,
        finishes=0,
        url_requests=0,
        started_at=None,
        completed_at=None,
        expires_at=None,
        message=notice.message,
        policy_holds=policy_holds,
    )
    return Decision(held, notices=(notice,))


def pass_over(upload: Upload, index: int, now: Millis, config: Config) -> Decision:
    """The file is too large for a step: skip the step, or wait for a person."""
    plan, over = upload.plan[index], left_out(upload, index)
    if plan.on_too_large is OnTooLarge.HOLD:
        steps = upload.steps_with(index, evolve(over, state=StepState.HELD))
        held = enter(upload, Stage.HELD, now, steps=steps, cursor=index)
        return Decision(held, notices=(event_texts.too_large(plan.name, over.message, held=True),))
    decision = proceed(upload.with_step(index, over), index + 1, now, config)
    notice = event_texts.too_large(plan.name, over.message, held=False)
    return evolve(decision, notices=(notice, *decision.notices))


def left_out(upload: Upload, index: int) -> StepStatus:
    """The status of a step that is skipped because the file is too large for it."""
    text = f"{upload.origin.filesize} bytes exceed its maxFilesize of {upload.plan[index].max_filesize}"
    return StepStatus(state=StepState.SKIPPED, reason=StepReason.TOO_LARGE, message=text)


def approach(upload: Upload, index: int, now: Millis, config: Config) -> Decision:
    """Go to a step, into its queue first if it has one."""
    if config.has_queue(upload.plan[index].name):
        return queue(upload, index, now)
    return begin_step(upload, index, now, config)


def queue(upload: Upload, index: int, now: Millis) -> Decision:
    """Wait for a slot at a step; admission grants it."""
    steps = upload.steps_with(index, evolve(upload.steps[index], state=StepState.WAITING))
    return Decision(enter(upload, Stage.QUEUED, now, steps=steps, cursor=index))


def begin_step(upload: Upload, index: int, now: Millis, config: Config) -> Decision:
    """Start a step whose turn it is, with a fresh URL first if that is needed."""
    if upload.plan[index].name != DELAY_STEP and upload.origin.needs_renewal(now, config.url_margin):
        return request_url(evolve(upload, cursor=index), now)
    return start_step(upload, index, now)


def start_step(upload: Upload, index: int, now: Millis) -> Decision:
    """Publish the start of a new attempt of a step."""
    plan, before = upload.plan[index], upload.steps[index]
    status = StepStatus(
        state=StepState.RUNNING,
        attempts=before.attempts + 1,
        retries=before.retries,
        started_at=now,
        streak=before.streak,
    )
    mark = Mark(Kind.START, upload.received_at, upload.run, status.attempts, plan.name, upload.observed_token)
    delaying = plan.name == DELAY_STEP
    started = enter(
        upload,
        Stage.DELAYING if delaying else Stage.RUNNING,
        now,
        steps=upload.steps_with(index, status),
        cursor=index,
        next_attempt_at=Millis(now + plan.delay) if delaying else None,
        log=upload.log.with_start(None),
    )
    return Decision(started, (StartStep(mark),))


def end_step(
    upload: Upload,
    state: StepState,
    now: Millis,
    *,
    outcome: str = "",
    reason: StepReason | None = None,
    message: str = "",
) -> Upload:
    """Record how the current step ended; nothing to record when none is current."""
    if upload.cursor >= len(upload.steps):
        return upload
    ended = evolve(
        upload.step,
        state=state,
        finished_at=now,
        outcome=outcome,
        reason=reason,
        message=message[:MAX_MESSAGE],
        streak=None if state is StepState.SUCCEEDED else upload.step.streak,
    )
    return upload.with_step(upload.cursor, ended)


def request_url(upload: Upload, now: Millis) -> Decision:
    """Ask the storage for a fresh URL before the current step starts (F33), or whether it has the upload."""
    number = upload.url_requests + 1
    step = upload.plan[upload.cursor].name if upload.cursor < len(upload.plan) else FINISHED_STEP
    mark = Mark(Kind.RESTART, upload.received_at, upload.run, number, step, upload.observed_token)
    waiting = enter(upload, Stage.AWAITING_URL, now, url_requests=number)
    return Decision(waiting, (RequestRestart(mark),))


def back_off(
    upload: Upload,
    now: Millis,
    config: Config,
    *,
    message: str,
    reason: StepReason | None = None,
    streak: Streak | None = None,
) -> Decision:
    """The current attempt failed: back off and retry, or apply `onExhausted`."""
    if streak is not None and streak.opened_at is not None:
        return await_recovery(upload, now, streak, reason=reason, message=message)
    plan, step = upload.plan[upload.cursor], upload.step
    failures = step.retries + 1
    if failures > plan.max_retries:
        if streak is not None:
            upload = upload.with_step(upload.cursor, evolve(step, streak=noted(step, streak, counts=False)))
        return exhausted(upload, now, config, reason=reason or StepReason.RETRIES_EXHAUSTED, message=message)
    wait = backoff(failures, plan.backoff, plan.max_backoff)
    failed = evolve(
        step,
        state=StepState.BACKING_OFF,
        retries=failures,
        finished_at=now,
        outcome=Outcome.RETRY,
        reason=reason,
        message=message[:MAX_MESSAGE],
        streak=noted(step, streak, counts=True),
    )
    waiting = enter(
        upload,
        Stage.BACKING_OFF,
        now,
        steps=upload.steps_with(upload.cursor, failed),
        next_attempt_at=Millis(now + wait),
    )
    mark = Mark(Kind.RETRY, upload.received_at, upload.run, step.attempts, plan.name)
    notice = event_texts.retry_scheduled(plan.name, step.attempts, message, wait)
    return Decision(waiting, (RetryNotice(mark, failures, wait),), (notice,))


def await_recovery(
    upload: Upload, now: Millis, streak: Streak, *, reason: StepReason | None, message: str
) -> Decision:
    """The attempt failed while the breaker of its step is open: queue again, and take no retry for it."""
    plan, before = upload.plan[upload.cursor], upload.step
    kept = noted(before, streak, counts=False)
    failed = evolve(
        before,
        state=StepState.WAITING,
        finished_at=now,
        outcome=Outcome.RETRY,
        reason=reason,
        message=message[:MAX_MESSAGE],
        streak=kept,
    )
    steps = upload.steps_with(upload.cursor, given_back(failed))
    suspended = upload.control.desired is DesiredState.SUSPENDED
    waiting = enter(upload, Stage.SUSPENDED if suspended else Stage.QUEUED, now, steps=steps)
    mark = Mark(Kind.RETRY, upload.received_at, upload.run, before.attempts, plan.name)
    notice = event_texts.awaits_recovery(plan.name, before.attempts, message)
    return Decision(waiting, (RetryNotice(mark, waiting.step.retries, plan.backoff),), (notice,))


def exhausted(upload: Upload, now: Millis, config: Config, *, reason: StepReason, message: str) -> Decision:
    """The step has no retries left: do what its `onExhausted` says (F12)."""
    plan, attempts = upload.plan[upload.cursor], upload.step.attempts
    if plan.on_exhausted is OnExhausted.HOLD:
        kept = end_step(upload, StepState.HELD, now, outcome=Outcome.RETRY, reason=reason, message=message)
        held = enter(kept, Stage.HELD, now)
        return Decision(held, notices=(event_texts.held_exhausted(plan.name, attempts, message),))
    failed = end_step(upload, StepState.FAILED, now, outcome=Outcome.RETRY, reason=reason, message=message)
    notice = event_texts.retries_exhausted(plan, attempts, message)
    if plan.on_exhausted is OnExhausted.CONTINUE:
        moved = proceed(failed, upload.cursor + 1, now, config)
    else:
        moved = finish(failed, Outcome(plan.on_exhausted.lower()), now)
    return evolve(moved, notices=(notice, *moved.notices))


def forbids_second_abort(upload: Upload) -> bool:
    """Whether PostprocessingFinished must not go out again, because the last one said `abort`.

    The storage keeps the bytes at the first abort and removes them at a second one (F14). So no rule sends it
    again: neither the timer that waits for UploadReady nor a resume. A new announcement and a restart are
    refused too, because a new run could end with another abort (F13); only ForceRestart begins one.
    A `continue` or `delete` may be sent again.
    """
    return upload.outcome is Outcome.ABORT


def finish(upload: Upload, outcome: Outcome, now: Millis) -> Decision:
    """Publish PostprocessingFinished, for the first time or again unless `forbids_second_abort`."""
    number = upload.finishes + 1
    mark = Mark(Kind.FINISH, upload.received_at, upload.run, number, outcome, upload.observed_token)
    finished = enter(
        upload,
        Stage.AWAITING_READY,
        now,
        cursor=len(upload.plan),
        outcome=outcome,
        finishes=number,
        completed_at=None,
        expires_at=None,
        log=upload.log.with_start(None),
    )
    return Decision(finished, (Finish(mark, outcome),))


def end(upload: Upload, stage: Stage, now: Millis, config: Config, message: str = "") -> Decision:
    """Nothing is left to do; the resource is deleted when its time to live expires."""
    ttl = config.ttl_completed if stage is Stage.COMPLETED else config.ttl_failed
    ended = enter(
        upload,
        stage,
        now,
        cursor=len(upload.plan),
        completed_at=now,
        expires_at=Millis(now + ttl),
        message=message,
    )
    return Decision(ended)


def end_untold(upload: Upload, now: Millis, config: Config) -> Decision:
    """End a cancelled upload whose outcome the storage may already have received."""
    return end(upload, Stage.CANCELLED, now, config, message=CANCELLED_UNTOLD)


def end_as_decided(upload: Upload, now: Millis, config: Config) -> Decision:
    """End an upload whose PostprocessingFinished the storage has carried out."""
    if upload.outcome is Outcome.CONTINUE:
        return end(upload, Stage.COMPLETED, now, config)
    decider = upload.decider
    reason = StepReason.REJECTED if decider is None else upload.steps[decider].reason
    if decider is None and upload.control.desired is DesiredState.CANCELLED:
        reason = StepReason.CANCELLED
    rejected = Stage.DELETED if upload.outcome is Outcome.DELETE else Stage.ABORTED
    return end(upload, VERDICTS.get(reason or StepReason.REJECTED, rejected), now, config)


VERDICTS = {
    StepReason.RETRIES_EXHAUSTED: Stage.RETRIES_EXHAUSTED,
    StepReason.TIMED_OUT: Stage.STEP_TIMED_OUT,
    StepReason.CANCELLED: Stage.CANCELLED,
}
"""How an upload has ended for a reason other than a step's own verdict."""


def cancel(upload: Upload, now: Millis) -> Decision:
    """Cut the upload short as its cancel policy says."""
    outcome = upload.control.cancel_outcome
    cut = end_step(upload, StepState.FAILED, now, reason=StepReason.CANCELLED)
    decision = finish(cut, outcome, now)
    return evolve(decision, notices=(event_texts.cancelled(outcome),))


def as_edited(upload: Upload, now: Millis) -> Decision | None:
    """What an edit that nobody has seen yet asks for at the end of a wait; None if the upload continues."""
    match upload.control.desired:
        case DesiredState.CANCELLED:
            return cancel(upload, now)
        case DesiredState.SUSPENDED:
            return suspend(upload, upload.cursor, now)
    return None
