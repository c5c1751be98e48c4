"""Published: one of our own commands comes back through the log.

Usually it says what we know, and only its position is new. After a crash it may be ahead
of the checkpoint: then a timer or a person had caused it and the status had not been
written yet. The log wins, so that nothing goes out a second time (law 2.3).
"""

from uploadpp.core.commands import Kind, Mark
from uploadpp.core.config import Config
from uploadpp.core.decision import Decision, ignore
from uploadpp.core.evolve import evolve
from uploadpp.core.inputs import Granted, Published, SpecChanged
from uploadpp.core.model import Millis, StepStatus, Upload
from uploadpp.core.moves import back_off, begin_run, end_step, finish, left_out, request_url, start_step
from uploadpp.core.rules.control import spec_changed
from uploadpp.core.rules.timers import fire, wake_at
from uploadpp.core.rules.turn import granted
from uploadpp.core.states import Ignored, Outcome, Stage, StepReason, StepState


def published(upload: Upload, echo: Published, now: Millis, config: Config) -> Decision:
    """Note the position of a known command, or catch up with one that is ahead of us."""
    mark = echo.mark
    if mark.received_at != upload.received_at:
        return ignore(upload, Ignored.ALREADY_APPLIED, "a command for an earlier upload of the same id")
    if mark.kind is Kind.RESUME:
        return ignore(upload, Ignored.ALREADY_APPLIED, "our own event, which the log hands out as a Resume")
    if (mark.run, mark.number, mark.detail) == _last(upload, mark.kind):
        if mark.kind in {Kind.RETRY, Kind.RESTART} or upload.log.start is not None:
            return ignore(upload, Ignored.ALREADY_APPLIED, "our own event, known")
        return Decision(_out(upload, echo, now))
    ahead = _caught_up(upload, mark, now, config)
    if ahead is None:
        return ignore(upload, Ignored.ALREADY_APPLIED, "our own event, from before")
    if mark.kind in {Kind.START, Kind.FINISH}:
        ahead = evolve(ahead, log=evolve(ahead.log, start=echo.sequence))
    return Decision(ahead)


def _out(upload: Upload, echo: Published, now: Millis) -> Upload:
    """The command is on the wire: only now can somebody answer, so the time for that runs from here.

    After an outage it goes out much later than it was decided.
    """
    log = evolve(upload.log, start=echo.sequence)
    if echo.mark.kind is Kind.FINISH and upload.stage is Stage.AWAITING_READY:
        return evolve(upload, log=log, since=Millis(max(upload.since, now)))
    if echo.mark.kind is Kind.START and upload.stage is Stage.RUNNING:
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


def _caught_up(upload: Upload, mark: Mark, now: Millis, config: Config) -> Upload | None:
    """The state after the command that `mark` proves; None when it is not ahead of ours."""
    if mark.run < upload.run:
        return None
    names = [plan.name for plan in upload.plan]
    if mark.kind is not Kind.FINISH and mark.detail not in names:
        return None
    index = len(names) if mark.kind is Kind.FINISH else names.index(mark.detail)
    if mark.run == upload.run and not _is_ahead(upload, mark, index):
        return None
    caused = _cause(upload, mark, now, config)
    if caused is not None:
        return caused
    base = upload
    if mark.token and mark.token != upload.observed_token:
        base = evolve(base, observed_token=mark.token, restarts=base.restarts + 1)
    if mark.run > upload.run:
        base = begin_run(evolve(base, run=mark.run - 1), now, config, index).upload or base
        if mark.kind is Kind.FINISH:
            base = evolve(base, cursor=0, steps=(StepStatus(),) * len(names))  # nobody saw a step start
    if index > base.cursor:
        base = _passed(base, mark, index, now)
    return _moved(base, mark, index, now, config)


def _cause(upload: Upload, mark: Mark, now: Millis, config: Config) -> Upload | None:
    """The state after the timer, wish in the spec or grant that led to `mark`, if one of them does."""
    due = wake_at(upload, config)
    rung = _rung(upload, now, config)
    wished = spec_changed(upload, SpecChanged(upload.control), now, config)
    early = due is None or now < due
    for each in (wished, rung) if early else (rung, wished):
        for decision in (each, _placed(each, now, config)):
            if mark in [command.mark for command in decision.commands]:
                return decision.upload
    return None


def _placed(decision: Decision, now: Millis, config: Config) -> Decision:
    """What a grant makes of an upload that is queued, or has just come to be."""
    upload = decision.upload
    if upload is None or upload.stage is not Stage.QUEUED:
        return decision
    return granted(upload, Granted(), now, config)


def _rung(upload: Upload, now: Millis, config: Config) -> Decision:
    """What timers do, up to the first that publishes something."""
    decision = fire(upload, now, config)
    if decision.upload is None or decision.commands:
        return decision
    return fire(decision.upload, now, config)  # the report of a stall publishes nothing; a timeout does


def _is_ahead(upload: Upload, mark: Mark, index: int) -> bool:
    if mark.kind is Kind.FINISH:
        unproven = upload.log.start is None and upload.outcome != mark.detail
        return mark.number > upload.finishes or (mark.number == upload.finishes and unproven)
    if upload.finishes or upload.stage.ended:
        return False
    if mark.kind is Kind.RESTART:
        return mark.number > upload.url_requests
    if mark.kind is Kind.RETRY:
        return (
            index == upload.cursor and upload.stage is Stage.RUNNING and upload.step.attempts == mark.number
        )
    return index > upload.cursor or (index == upload.cursor and mark.number > upload.step.attempts)


def _passed(upload: Upload, mark: Mark, index: int, now: Millis) -> Upload:
    """Steps before `index` are over; how they ended was never written."""
    if mark.kind is Kind.FINISH and mark.detail != Outcome.CONTINUE:
        # No timer explains it, so a person had asked for it, and asks for something else by now.
        return end_step(upload, StepState.FAILED, now, reason=StepReason.CANCELLED)
    if upload.step.attempts:
        upload = end_step(upload, StepState.SUCCEEDED, now, outcome=Outcome.CONTINUE)
    for between in range(upload.cursor, index):
        if not upload.steps[between].attempts:  # had it been started, the log would have said so first
            upload = upload.with_step(between, left_out(upload, between))
    return upload


def _moved(upload: Upload, mark: Mark, index: int, now: Millis, config: Config) -> Upload | None:
    if mark.kind is Kind.FINISH:
        return finish(evolve(upload, finishes=mark.number - 1), Outcome(mark.detail), now).upload
    if mark.kind is Kind.RETRY:
        # A retry beyond the last one proves that somebody had resumed the step and renewed its budget.
        left = min(upload.step.retries, upload.plan[index].max_retries - 1)
        renewed = upload.with_step(index, evolve(upload.step, retries=left))
        return back_off(renewed, now, config, reason=StepReason.TIMED_OUT).upload
    if mark.kind is Kind.RESTART:
        return request_url(evolve(upload, cursor=index, url_requests=mark.number - 1), now).upload
    before = evolve(upload.steps[index], attempts=mark.number - 1)
    return start_step(upload.with_step(index, before), index, now).upload
