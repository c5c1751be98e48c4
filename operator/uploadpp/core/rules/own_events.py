"""Published: one of our own commands comes back through the log.

Usually it says what we know, and only its position is new. After a crash it may be ahead
of the checkpoint: then a timer or a person had caused it and the status had not been
written yet. The log wins, so that nothing goes out a second time (invariant 2.3).

It proves that a step was started. That a step before has succeeded it does not prove: such a
step stays open, and is gone back to (invariant 2.9, docs/adr/0015).
"""

from uploadpp.core import event_texts
from uploadpp.core.commands import Kind, Mark
from uploadpp.core.config import Config
from uploadpp.core.decision import Decision, ignore
from uploadpp.core.evolve import evolve
from uploadpp.core.inputs import Foremost, Granted, Published, SpecChanged
from uploadpp.core.model import FINISHED_STEP, Millis, Streak, Upload
from uploadpp.core.rules.admission import granted
from uploadpp.core.rules.control import spec_changed
from uploadpp.core.rules.order import foremost
from uploadpp.core.rules.planning import by_plan, of_another_plan, taken_back, withdrawn
from uploadpp.core.rules.timers import fire, wake_at
from uploadpp.core.states import (
    OUT_OF_RETRIES,
    DesiredState,
    Ignored,
    OnTooLarge,
    Outcome,
    Stage,
    StepReason,
    StepState,
)
from uploadpp.core.transitions import (
    back_off,
    begin_run,
    end_step,
    finish,
    is_too_large,
    left_out,
    request_url,
    start_step,
)


def published(upload: Upload, event: Published, now: Millis, config: Config) -> Decision:
    """Note the position of a known command, or catch up with one that is ahead of us."""
    mark, planned = event.mark, event.planned
    if mark.received_at != upload.received_at:
        return ignore(upload, Ignored.ALREADY_APPLIED, "a command for an earlier upload of the same id")
    if mark.kind is Kind.RESUME:
        return ignore(upload, Ignored.ALREADY_APPLIED, "our own event, which the log hands out as a Resume")
    back = taken_back(upload, mark)
    if planned is None or planned.plan == upload.plan:
        return _met(back, event, now, config)
    if upload.plan_fixed:
        fits = [step.name for step in planned.plan] == [step.name for step in upload.plan]
        known = (mark.run, mark.number, mark.detail) == _last(upload, mark.kind)
        return _met(back, event, now, config) if fits or known else of_another_plan(upload, mark)
    begun = by_plan(back, mark, planned, now, config)
    decision = _met(begun.upload, event, now, config)
    if decision.ignored is None:
        return decision
    return evolve(begun, commands=tuple(each for each in begun.commands if each.mark != mark))


def _met(upload: Upload, event: Published, now: Millis, config: Config) -> Decision:
    """An event that was published by the plan of the upload, as far as it tells."""
    mark = event.mark
    fixed = upload.plan_fixed or event.planned is not None
    known = upload
    if event.planned is not None and not upload.plan_fixed:
        policy, priority_class = event.planned.policy, event.planned.priority_class
        known = evolve(upload, plan_fixed=True, policy=policy, priority_class=priority_class)
    if (mark.run, mark.number, mark.detail) == _last(upload, mark.kind):
        if mark.kind is Kind.RETRY or mark.kind is Kind.RESTART or upload.log.start is not None:
            return ignore(known, Ignored.ALREADY_APPLIED, "our own event, known")
        return Decision(_out(_requested(known, mark, now, config), event, now))
    decision = _caught_up(upload, event, now, config)
    if decision is None:
        counted = _counted(known, mark)
        if counted is not known:
            return Decision(counted)
        return ignore(known, Ignored.ALREADY_APPLIED, "our own event, from before")
    of_known = {"plan_fixed": fixed, "policy": known.policy, "priority_class": known.priority_class}
    ahead = evolve(decision.upload, **of_known)
    if upload.stage is Stage.UPLOAD_FAILED and ahead.run == upload.run and ahead.outcome is Outcome.CONTINUE:
        # Perhaps a person had renewed its retries before the last failure: then it has never been over, and
        # keeps its place among the uploads of its file.
        ahead = evolve(ahead, order=upload.order)
    if mark.kind in {Kind.START, Kind.FINISH}:
        ahead = evolve(ahead, log=ahead.log.with_start(event.sequence))
    return evolve(decision, upload=ahead)


def _requested(upload: Upload, mark: Mark, now: Millis, config: Config) -> Upload:
    """The upload that has seen the restart request which its command tells of.

    A replay may decide the same command for another reason: a cancellation meets the failed release that
    was read again before the request for a restart was looked at.
    """
    request = upload.control.restart
    if request is None or mark.token != request.token or mark.token == upload.observed_token:
        return upload
    decision = spec_changed(upload, SpecChanged(upload.control), now, config)
    return upload if decision.commands else decision.upload


def _counted(upload: Upload, mark: Mark) -> Upload:
    """The upload with an attempt that comes when its step is over. It has no other effect."""
    if mark.kind is not Kind.START or mark.run != upload.run:
        return upload
    for index, (plan, step) in enumerate(zip(upload.plan, upload.steps, strict=False)):
        if plan.name == mark.detail and mark.number == step.attempts + 1:
            return upload.with_step(index, evolve(step, attempts=mark.number))
    return upload


def _out(upload: Upload, event: Published, now: Millis) -> Upload:
    """The command is on the wire: only now can somebody answer, so the time for that runs from here.

    After an outage it goes out much later than it was decided.
    """
    log = upload.log.with_start(event.sequence)
    if event.mark.kind is Kind.FINISH and upload.stage is Stage.AWAITING_READY:
        return evolve(upload, log=log, since=Millis(max(upload.since, now)))
    if event.mark.kind is Kind.START and upload.stage is Stage.RUNNING:
        started = Millis(max(upload.step.started_at or upload.since, now))
        step = evolve(upload.step, started_at=started)
        return evolve(upload, log=log, steps=upload.steps_with(upload.cursor, step))
    return evolve(upload, log=log)


def _last(upload: Upload, kind: Kind) -> tuple[int, int, str] | None:
    """Run, number and detail of the last command of a kind that this state stands for."""
    match kind:
        case Kind.FINISH if upload.outcome is not None:
            number, detail = upload.finishes, str(upload.outcome)
        case Kind.RESTART if upload.stage is Stage.AWAITING_URL:
            number, detail = upload.url_requests, upload.current_step
        case Kind.START if upload.cursor < len(upload.steps):
            number, detail = upload.step.attempts, upload.plan[upload.cursor].name
        case Kind.RETRY if upload.stage is Stage.BACKING_OFF:
            number, detail = upload.step.attempts, upload.current_step
        case _:
            return None
    return upload.run, number, detail


def _caught_up(upload: Upload, event: Published, now: Millis, config: Config) -> Decision | None:
    """The state after the command that `event` proves; None when it is not ahead of ours."""
    mark = event.mark
    names = [plan.name for plan in upload.plan]
    at_end = mark.kind is Kind.FINISH or (mark.kind is Kind.RESTART and mark.detail == FINISHED_STEP)
    if mark.run < upload.run or not (at_end or mark.detail in names):
        return None
    index = len(names) if at_end else names.index(mark.detail)
    upload = _with_retries_left(upload, event, index, now, config)
    if mark.run == upload.run and not _is_ahead(upload, event, index):
        return None
    caused = _cause(upload, mark, now, config, event.streak)
    if caused is not None:
        return Decision(caused)
    base = upload
    if mark.token and mark.token != upload.observed_token:
        base = evolve(base, observed_token=mark.token, restarts=base.restarts + 1)
    if mark.run > upload.run:
        first = event.planned.first if event.planned else 0
        base = withdrawn(begin_run(evolve(base, run=mark.run - 1), now, config, first).upload)
    if mark.kind is Kind.FINISH:
        return _over(base, mark, now)
    if index != base.cursor:
        base = _left(base, index, now)
    return Decision(_moved(base, event, index, now, config))


def leads_to(upload: Upload, event: Published, now: Millis, config: Config) -> bool:
    """Whether a timer, an edit or a grant leads from this state to an event. Then the state stands."""
    return _cause(upload, event.mark, now, config, event.streak) is not None


def _cause(upload: Upload, mark: Mark, now: Millis, config: Config, streak: Streak | None) -> Upload | None:
    """The state after the timer, request in the spec or grant that led to `mark`, if one of them does.

    A person may have suspended or cancelled the upload since, when nobody was there to see it. That hides
    what had led to the event: without this, a `delay` that was over would count as never passed.
    """
    caused = _explained(upload, mark, now, config, streak)
    if caused is None and upload.control.desired is not DesiredState.ACTIVE:
        before = evolve(upload, control=evolve(upload.control, desired=DesiredState.ACTIVE))
        caused = _explained(before, mark, now, config, streak)
        if caused is not None:  # the edit itself is still to be looked at
            seen = upload.observed_generation
            caused = evolve(caused, control=upload.control, observed_generation=seen)
    return caused


def _explained(
    upload: Upload, mark: Mark, now: Millis, config: Config, streak: Streak | None
) -> Upload | None:
    """The same, by the spec as it stands."""
    due = wake_at(upload, config)
    rung = _rung(upload, now, config, streak)
    edited = spec_changed(upload, SpecChanged(upload.control), now, config)
    early = due is None or now < due
    for each in (edited, rung) if early else (rung, edited):
        for decision in (each, _placed(each, now, config)):
            if mark in [command.mark for command in decision.commands]:
                return decision.upload
    return None


def _placed(decision: Decision, now: Millis, config: Config) -> Decision:
    """The upload after it got its turn, if it is queued or awaits its turn, perhaps since this decision."""
    upload = decision.upload
    if upload.stage is Stage.QUEUED:
        return granted(upload, Granted(), now, config)
    if upload.stage is Stage.AWAITING_TURN:
        return foremost(upload, Foremost(), now, config)
    return decision


def _rung(upload: Upload, now: Millis, config: Config, streak: Streak | None) -> Decision:
    """What timers do, up to the first that publishes something."""
    decision = fire(upload, now, config, streak)
    if decision.commands:
        return decision
    # The report of a stall publishes nothing; a timeout does.
    return fire(decision.upload, now, config, streak)


def _is_ahead(upload: Upload, event: Published, index: int) -> bool:
    mark = event.mark
    if mark.kind is Kind.FINISH:
        unproven = upload.log.start is None and upload.outcome != mark.detail
        if mark.number < upload.finishes:  # several were decided; of none that was applied is this one
            unproven = unproven and not upload.stage.ended and event.sequence > upload.log.sequence
        return mark.number > upload.finishes or unproven
    if upload.finishes or upload.stage.ended:
        return False
    if mark.kind is Kind.RETRY:
        return (
            index == upload.cursor and upload.stage is Stage.RUNNING and upload.step.attempts == mark.number
        )
    known = upload.log.start is not None and index < len(upload.plan)
    if known and upload.plan[index].is_passed(upload.steps[index]):
        return False
    if mark.kind is Kind.RESTART:
        return mark.number > upload.url_requests
    return mark.number > upload.steps[index].attempts


def _with_retries_left(upload: Upload, event: Published, index: int, now: Millis, config: Config) -> Upload:
    """The upload in its step again, if `event` proves that its retries were not used up there.

    Whoever published it knew that the breaker of the step was open, and then a failure takes no retry
    (docs/adr/0055). The uploads that told of it may have ended since, so a replay may not know. Or a person
    had resumed the step, which gives back its retries. What `onExhausted` led to did not happen, then.
    """
    mark = event.mark
    decided = upload.stage is Stage.AWAITING_READY and upload.log.start is None
    if mark.run != upload.run or index >= len(upload.steps) or not (decided or upload.stage.in_step):
        return upload
    step = upload.steps[index]
    is_over = step.state in {StepState.FAILED, StepState.HELD} and step.reason in OUT_OF_RETRIES
    is_later = mark.number + (mark.kind is Kind.RETRY) > step.attempts and mark.kind is not Kind.RESTART
    if not is_over or not is_later or _cause(upload, mark, now, config, event.streak) is not None:
        return upload
    is_resumed = step.state is StepState.HELD and mark.kind is Kind.START
    again = evolve(step, state=StepState.RUNNING, retries=0 if is_resumed else step.retries)
    left = upload if index == upload.cursor else _left(upload, index, now)
    before = evolve(
        left,
        stage=Stage.RUNNING,
        cursor=index,
        outcome=None,
        finishes=upload.finishes - decided,
        url_requests=upload.url_requests - (upload.stage is Stage.AWAITING_URL),
    )
    return before.with_step(index, again)


def _left(upload: Upload, index: int, now: Millis) -> Upload:
    """The upload without a current step, because the one at `index` has had its turn.

    What is not passed waits for its turn: it is gone back to before the file is released.
    """
    upload = withdrawn(_delayed(upload, now))
    if upload.cursor < len(upload.steps) and not upload.plan[upload.cursor].is_passed(upload.step):
        upload = upload.with_step(upload.cursor, evolve(upload.step, state=StepState.WAITING))
    for between in range(index):
        if is_left_out(upload, between):
            upload = upload.with_step(between, left_out(upload, between))
    return upload


def _delayed(upload: Upload, now: Millis) -> Upload:
    """The upload with its delay passed, if that is over: nobody answers for it, so the time proves it."""
    if upload.stage is not Stage.DELAYING or upload.log.start is None or now < (upload.next_attempt_at or 0):
        return upload
    return end_step(upload, StepState.SUCCEEDED, now, outcome=Outcome.CONTINUE)


def is_left_out(upload: Upload, index: int) -> bool:
    """Whether the upload goes on without a step because its plan says so."""
    passed = upload.plan[index].is_passed(upload.steps[index])
    return not passed and upload.plan[index].on_too_large is OnTooLarge.SKIP and is_too_large(upload, index)


def _over(upload: Upload, mark: Mark, now: Millis) -> Decision:
    """PostprocessingFinished is out, and nothing that we know of has led to it."""
    upload = withdrawn(_delayed(upload, now))
    if mark.detail != Outcome.CONTINUE:
        # No timer explains it, so a person had asked for it, and asks for something else by now.
        upload = end_step(upload, StepState.FAILED, now, reason=StepReason.CANCELLED)
        return finish(evolve(upload, finishes=mark.number - 1), Outcome(mark.detail), now)._replace(
            commands=()
        )
    missing = []
    for index, plan in enumerate(upload.plan):
        if is_left_out(upload, index):
            upload = upload.with_step(index, left_out(upload, index))
        elif not plan.is_passed(upload.steps[index]):
            missing.append(plan.name)
            step = evolve(upload.steps[index], state=StepState.SKIPPED, reason=StepReason.UNANSWERED)
            upload = upload.with_step(index, evolve(step, outcome="", finished_at=now))
    told = finish(evolve(upload, finishes=mark.number - 1), Outcome.CONTINUE, now)
    notices = (event_texts.released_unanswered(missing),) if missing else ()
    return evolve(told, commands=(), notices=notices)


def _moved(upload: Upload, event: Published, index: int, now: Millis, config: Config) -> Upload:
    mark = event.mark
    if mark.kind is Kind.RETRY:
        # A retry beyond the last one proves that somebody had resumed the step and renewed its budget.
        step = upload.step
        left = min(step.retries, upload.plan[index].max_retries - 1)
        renewed = upload.with_step(index, evolve(step, retries=left))
        # Without an answer in the log, the attempt had timed out.
        reason = None if step.reason is StepReason.RETRIES_EXHAUSTED else StepReason.TIMED_OUT
        text, streak = step.message, event.streak
        return back_off(renewed, now, config, reason=reason, message=text, streak=streak).upload
    if mark.kind is Kind.RESTART:
        return request_url(evolve(upload, cursor=index, url_requests=mark.number - 1), now).upload
    before = evolve(upload.steps[index], attempts=mark.number - 1)
    return start_step(upload.with_step(index, before), index, now).upload
