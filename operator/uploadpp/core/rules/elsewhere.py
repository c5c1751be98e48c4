"""What another service did to an upload: the log tells of it as it tells of our own events.

The legacy service publishes the same events without a mark. It may have driven an upload
before us, between two periods of ours, or beside us. What it started is started, and what
it told the storage cannot be taken back. Neither says that a step has passed: only the answer does.
"""

from uploadpp.core import event_texts
from uploadpp.core.commands import Kind, Mark
from uploadpp.core.config import Config
from uploadpp.core.decision import Decision, ignore
from uploadpp.core.evolve import evolve
from uploadpp.core.inputs import FinishedElsewhere, RetriedElsewhere, StartedElsewhere
from uploadpp.core.model import Millis, Upload
from uploadpp.core.rules.timers import end_delay_if_due, fire, wake_at
from uploadpp.core.states import IN_STEP, Ignored, Outcome, Stage, StepReason, StepState
from uploadpp.core.transitions import end_step, enter, start_step

AT_WORK = frozenset({Stage.RUNNING, Stage.DELAYING})
STARTABLE = IN_STEP - {Stage.HELD, Stage.SUSPENDED}
"""Where a start of another service counts: elsewhere a person has to say first that the step may run."""


def started_elsewhere(upload: Upload, start: StartedElsewhere, now: Millis, config: Config) -> Decision:
    """The current step was started: instead of our own start while that is not out, or once more."""
    is_current = start.step == upload.current_step and upload.cursor < len(upload.plan)
    is_ours = is_current and upload.stage in AT_WORK and upload.log.start is None
    stopped = None if is_ours else _stopped(upload, now, config)
    if stopped is not None:
        return ignore(upload, Ignored.NO_RULE, f"StartedElsewhere means nothing while {stopped}")
    if not is_current:
        delayed = _after_delay(upload, start, now, config)
        if delayed is not None:
            return delayed
        why = f"another service started {start.step or 'a step without name'}, which is not the current step"
        return ignore(upload, Ignored.NOT_CURRENT_STEP, why)
    if is_ours:
        step = evolve(upload.step, started_at=Millis(max(upload.step.started_at or upload.since, now)))
        begun = upload.with_step(upload.cursor, step)
        met = Mark(Kind.START, upload.received_at, upload.run, step.attempts, start.step)
        return Decision(_at(begun, start.sequence), met=met)
    if upload.stage is Stage.DELAYING:
        return ignore(upload, Ignored.DUPLICATE, "the delay has begun, and the operator runs it itself")
    begun = start_step(upload, upload.cursor, now).upload
    return Decision(_at(begun, start.sequence), met=_retry(upload))


def retried_elsewhere(upload: Upload, retry: RetriedElsewhere, now: Millis, config: Config) -> Decision:
    """Our own PostprocessingRetry would be the second one for the same failure."""
    del retry, now, config
    ignored = ignore(upload, Ignored.ALREADY_APPLIED, "another service published the retry")
    return evolve(ignored, met=_retry(upload))


def finished_elsewhere(upload: Upload, finish: FinishedElsewhere, now: Millis, config: Config) -> Decision:
    """The storage was told what to do with the file; all that is left is to wait for its UploadReady."""
    outcome = understood(finish.outcome)
    delayed = _after_delay(upload, finish, now, config) if outcome is Outcome.CONTINUE else None
    if delayed is not None:
        return delayed
    if upload.stage is Stage.AWAITING_READY and upload.log.start:
        why = f"the storage had been told {upload.outcome} before another service told it {outcome}"
        return ignore(upload, Ignored.DUPLICATE, why)
    if upload.stage is Stage.AWAITING_READY and outcome is upload.outcome:
        met = Mark(Kind.FINISH, upload.received_at, upload.run, upload.finishes, outcome)
        waiting = evolve(upload, since=Millis(max(upload.since, now)))
        return Decision(_at(waiting, finish.sequence), met=met)
    notice = event_texts.finished_elsewhere(outcome)
    passed = StepState.SKIPPED if outcome is Outcome.CONTINUE else StepState.FAILED
    cut = end_step(upload, passed, now, reason=StepReason.FINISHED_ELSEWHERE)
    finished = enter(
        cut if upload.stage.in_step else upload,
        Stage.AWAITING_READY,
        now,
        cursor=len(upload.plan),
        outcome=outcome,
        completed_at=None,
        expires_at=None,
        finishes=upload.finishes + (upload.stage is not Stage.AWAITING_READY),
        releases=0
        if upload.stage is Stage.UPLOAD_FAILED
        else upload.releases,  # a new budget, as by a resume
        message=notice.message,
    )
    return Decision(_at(finished, finish.sequence), notices=(notice,), met=_retry(upload))


def understood(word: str) -> Outcome:
    """What the storage makes of an outcome: it aborts at every word it does not know (F18)."""
    return Outcome(word) if word in {Outcome.CONTINUE, Outcome.DELETE} else Outcome.ABORT


def _stopped(upload: Upload, now: Millis, config: Config) -> Stage | None:
    """The state after a timer that was due by then and has not run yet.

    Only a timer that publishes nothing: what it publishes is in the log, before what follows it there.
    """
    due = wake_at(upload, config)
    if due is None or now < due:
        return None
    rung = fire(upload, now, config)
    if rung.commands or rung.upload.stage in STARTABLE:
        return None
    return rung.upload.stage


def _after_delay(
    upload: Upload, event: StartedElsewhere | FinishedElsewhere, now: Millis, config: Config
) -> Decision | None:
    """A delay that had ended by then, although its timer has not run, as during a replay."""
    rung = end_delay_if_due(upload, now, config)
    if rung is None:
        return None
    rule = started_elsewhere if isinstance(event, StartedElsewhere) else finished_elsewhere
    decision = rule(rung.upload, event, now, config)  # type: ignore[arg-type]  # as its type says
    met = decision.met.event_id(upload.id) if decision.met else ""
    fits = decision.ignored is None and {c.mark.event_id(upload.id) for c in rung.commands} <= {met}
    return evolve(decision, notices=(*rung.notices, *decision.notices)) if fits else None


def _retry(upload: Upload) -> Mark | None:
    """The retry notice that we would have published; another service has decided what happens next."""
    if upload.stage is not Stage.BACKING_OFF:
        return None
    return Mark(Kind.RETRY, upload.received_at, upload.run, upload.step.attempts, upload.current_step)


def _at(upload: Upload, sequence: int) -> Upload:
    """Answers count from this position of the log on."""
    return evolve(upload, log=upload.log.with_start(sequence))
