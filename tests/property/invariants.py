"""What must hold for every single move of an upload, whatever led to it.

Each invariant looks at one move and returns what is wrong with it, in words; empty when nothing is.
"""

import re
from collections.abc import Callable

from tests.property.explore import RETOLD, Move, Scene, told_of
from uploadpp.core.commands import Command, Finish, RequestRestart, ResumeStep, RetryNotice, StartStep
from uploadpp.core.conditions import ConditionStatus, ConditionType, conditions, describe
from uploadpp.core.evolve import evolve
from uploadpp.core.inputs import (
    BytesReceived,
    Foremost,
    Granted,
    Published,
    Resume,
    SpecChanged,
    StartedElsewhere,
    StepFinished,
    Tick,
)
from uploadpp.core.machine import TABLE, Row, decide
from uploadpp.core.model import FINISHED_STEP, MAX_MESSAGE, LogPosition, Millis, StepStatus, Upload
from uploadpp.core.rules.timers import wake_at
from uploadpp.core.slots import holds_slot
from uploadpp.core.states import STALLED, DesiredState, Outcome, RestartMode, Stage, StepReason, StepState
from uploadpp.testing.builders import come_back

Invariant = Callable[[Move, Scene], str]
REASON = re.compile(r"[A-Za-z]{1,64}")
AWAITING = {Stage.RUNNING, Stage.AWAITING_READY, Stage.AWAITING_URL}
ROWS: dict[tuple[type, Stage], Row] = {(row.input, stage): row for row in TABLE for stage in row.stages}


def row_of(move: Move) -> Row | None:
    """The line of the table that answers a move."""
    upload = move.before.upload
    return ROWS.get((type(move.event), upload.stage)) if upload else None


def target_of(move: Move) -> Stage | None:
    """The stage a move leads to; None when the upload only stays where it is."""
    before, after = move.before.upload, move.decision.upload
    if before is None or after is None or move.decision.ignored is not None:
        return None
    own = [c for c in move.decision.commands if not isinstance(c, ResumeStep)]  # that one is for others
    stays = before.stage is after.stage and not own
    return None if stays else after.stage


def only_declared_targets(move: Move, _: Scene) -> str:
    row, target = row_of(move), target_of(move)
    if target is None or (row is not None and target in row.to):
        return ""
    return f"leads to {target}, which the table does not say"


def ignored_means_untouched(move: Move, _: Scene) -> str:
    decision = move.decision
    if decision.ignored is None:
        return (
            "" if decision.commands or decision.upload != move.before.upload else "neither ignored nor used"
        )
    before, after = move.before.upload, decision.upload
    if after is not before and isinstance(move.event, BytesReceived) and before and after:
        after = before if after == evolve(before, origin=after.origin) else after  # a later URL
    if after is not before and isinstance(move.event, Published) and before and after:
        after = before if after == evolve(before, plan_fixed=True) else after
    if after is not before or decision.commands or decision.notices:
        return "ignored, and yet something changed"
    return "" if decision.why else "ignored without saying why"


def counters_only_grow(move: Move, _: Scene) -> str:
    before, after = move.before.upload, move.decision.upload
    if before is None or after is None:
        return "" if before is None else "the upload vanished"
    if after.run not in {before.run, before.run + 1} or after.restarts not in {
        before.restarts,
        before.restarts + 1,
    }:
        return "a run or a restart was skipped"
    if after.run > before.run:
        return ""
    grown = all(b.attempts <= a.attempts for b, a in zip(before.steps, after.steps, strict=True))
    if not grown or after.finishes < before.finishes or after.url_requests < before.url_requests:
        return "a counter of commands went back within a run"
    return ""


def _counter(upload: Upload | None, run: int, command: Command) -> int:
    """How many commands like this one a state knows of in a run."""
    if upload is None or upload.run != run:
        return 0
    match command:
        case StartStep() | RetryNotice():
            index = [plan.name for plan in upload.plan].index(command.mark.detail)
            return upload.steps[index].attempts
        case Finish():
            return upload.finishes
        case RequestRestart():
            return upload.url_requests
        case ResumeStep():
            return int(upload.observed_token == command.mark.token)
    raise AssertionError(command)


def every_command_has_a_new_number(move: Move, _: Scene) -> str:
    after = move.decision.upload
    if after is None:
        return ""
    for command in move.decision.commands:
        mark, known = command.mark, _counter(move.before.upload, after.run, command)
        new = 0 if isinstance(command, RetryNotice) else 1
        if (
            mark.run != after.run
            or mark.number != known + new
            or mark.number != _counter(after, after.run, command)
        ):
            return f"{command} is not the next of its kind"
    ids = [command.mark.event_id(after.id) for command in move.decision.commands]
    deeds = [c for c in move.decision.commands if not isinstance(c, RetryNotice)]
    return "" if len(set(ids)) == len(ids) and len(deeds) <= 1 else "more than one thing at once"


def a_verdict_is_final_within_a_run(move: Move, _: Scene) -> str:
    before = move.before.upload
    for command in move.decision.commands:
        if before is None or not isinstance(command, Finish) or command.mark.run != before.run:
            continue
        if before.outcome is Outcome.ABORT:
            return "something was sent after abort (F14)"
        if before.outcome is not None and command.outcome is not before.outcome:
            failed = before.releases > 0 or move.decision.upload is None or move.decision.upload.releases > 0
            if before.outcome is not Outcome.CONTINUE or not failed:
                return f"{command.outcome} after {before.outcome}"
    return ""


def a_finish_goes_out_again_only_when_it_may(move: Move, _: Scene) -> str:
    before = move.before.upload
    again = [c for c in move.decision.commands if isinstance(c, Finish) and c.mark.number > 1]
    if not again or before is None:
        return ""
    asked = isinstance(move.event, Tick | Resume | SpecChanged)
    cancelled = again[0].outcome is not before.outcome and before.outcome is Outcome.CONTINUE
    return "" if asked or cancelled else f"sent again because of {type(move.event).__name__}"


def retry_never_leaks(move: Move, _: Scene) -> str:
    after = move.decision.upload
    if after is None:
        return ""
    if after.outcome is Outcome.RETRY:
        return "retry became the outcome of the upload (F18)"
    if any(isinstance(c, StartStep) for c in move.decision.commands) and after.step.outcome:
        return "a step starts with an outcome of before (F5)"
    return ""


def _slow(upload: Upload) -> set[str]:
    """The steps whose last attempt has run out of time, and which have not answered since."""
    pairs = zip(upload.plan, upload.steps, strict=True)
    return {plan.name for plan, step in pairs if step.reason is StepReason.TIMED_OUT}


def what_a_slow_step_finds_counts(move: Move, _: Scene) -> str:
    """Until the storage is told the outcome, above all that a file is infected."""
    before, after, event = move.before.upload, move.decision.upload, move.event
    if before is None or after is None or not isinstance(event, StepFinished) or not before.stage.in_step:
        return ""
    if event.outcome not in {"abort", "delete"} or event.step not in _slow(before):
        return ""
    return "" if after.outcome == event.outcome else f"{event.outcome} of {event.step} was dropped"


def only_the_current_step_counts(move: Move, _: Scene) -> str:
    before, event = move.before.upload, move.event
    if not isinstance(event, StepFinished) or move.decision.ignored is not None:
        return ""
    right = before is not None and before.stage is Stage.RUNNING and before.current_step == event.step
    if right or (before is not None and before.stage.in_step and event.step in _slow(before)):
        return ""
    return "accepted though that step is not running (F6)"


def no_release_without_answers(move: Move, _: Scene) -> str:
    """The storage is told `continue` for the first time when every step is passed (invariant 2.9)."""
    after = move.decision.upload
    for command in move.decision.commands:
        if after is not None and isinstance(command, Finish) and command.outcome is Outcome.CONTINUE:
            steps = (*after.steps, *[StepStatus()] * len(after.plan))  # none before the first run
            open_steps = [p.name for p, s in zip(after.plan, steps, strict=False) if not p.is_passed(s)]
            if open_steps and command.mark.number == 1:
                return f"released without an answer of {open_steps}"
    return ""


def only_an_answer_is_a_success(move: Move, _: Scene) -> str:
    """Of the service, or the end of a delay."""
    before, after, event = move.before.upload, move.decision.upload, move.event
    if before is None or after is None or after.run != before.run:
        return ""
    for plan, old, new in zip(
        after.plan, before.steps, after.steps, strict=False
    ):  # none before the first run
        if new.state is not StepState.SUCCEEDED or old.state is StepState.SUCCEEDED:
            continue
        answered = isinstance(event, StepFinished) and (event.step, event.outcome) == (plan.name, "continue")
        delayed = plan.name == "delay" and before.stage is Stage.DELAYING
        if not (answered or delayed):
            return f"{plan.name} is a success because of {type(event).__name__}"
    return ""


def nothing_starts_unless_active(move: Move, _: Scene) -> str:
    after = move.decision.upload
    starts = any(isinstance(c, StartStep) for c in move.decision.commands)
    idle = after is not None and after.control.desired is not DesiredState.ACTIVE
    return f"a step starts while {after.control.desired}" if starts and idle and after else ""


def an_end_before_is_not_repeated(move: Move, _: Scene) -> str:
    """Made anew, what was aborted or deleted publishes nothing, unless a person forces a restart."""
    before, decision = move.before.upload, move.decision
    if before is None or before.outcome is None or not (before.lost_status or before.is_held_unbegun):
        return ""
    request = move.event.control.restart if isinstance(move.event, SpecChanged) else None
    if request is not None and request.mode is RestartMode.FORCE_RESTART and not before.lost_status:
        return ""
    return f"published after an end: {decision.commands}"


def whoever_waits_says_for_what(move: Move, scene: Scene) -> str:
    after = move.decision.upload
    if after is None or after.stage.ended or wake_at(after, scene.config) is not None:
        return ""
    text = describe(after)
    if after.stage in AWAITING:
        says_why = "?" in text or "The operator asks again" in text
        return "" if after.stalled_at is not None and says_why else f"waits forever in silence: {text}"
    if after.stage is Stage.PENDING:
        before = move.before.upload
        return "" if before is not None and before.stage is Stage.PENDING else "back to Pending"
    told = {
        Stage.HELD: "resume, restart or cancel" if after.outcome is None else "kubectl pp restart --force",
        Stage.SUSPENDED: "set spec.desiredState to Active",
        Stage.QUEUED: "waiting for a slot",
    }
    return "" if told.get(after.stage, "never") in text else f"{after.stage} without a way out: {text}"


def a_place_is_taken_by_who_is_granted_it(move: Move, scene: Scene) -> str:
    """And by nobody else, so that no more than `maxInFlight` are ever at a step."""
    before, after = move.before.upload, move.decision.upload
    if isinstance(move.event, Granted) and before is not None and before.stage is Stage.QUEUED:
        return "" if after is not None and after.stage is not Stage.QUEUED else "granted, and still waiting"
    if after is None or not scene.config.has_queue(after.current_step) or not holds_slot(after):
        return ""
    held = before is not None and holds_slot(before) and before.current_step == after.current_step
    return (
        ""
        if held or isinstance(move.event, Published | StartedElsewhere)
        else "took a place that nobody gave it"
    )


def a_release_awaits_its_turn(move: Move, scene: Scene) -> str:
    """While an earlier upload of the file is under way, until that takes too long. Aborts do not."""
    before, after, event = move.before.upload, move.decision.upload, move.event
    for command in move.decision.commands:
        first = isinstance(command, Finish) and command.outcome is Outcome.CONTINUE
        if not first or command.mark.number > 1 or after is None or before is None:
            continue
        if before.stage is Stage.AWAITING_TURN:
            late = isinstance(event, Tick) and move.now >= before.since + scene.config.order_timeout
            return "" if late or isinstance(event, Foremost) else f"released by {type(event).__name__}"
        if before.order.after and not before.order.left and not before.stage.ended:
            return "released although an earlier upload of the file is under way"
    return ""


def a_due_timer_does_something(move: Move, scene: Scene) -> str:
    before, after = move.before.upload, move.decision.upload
    if not isinstance(move.event, Tick) or before is None or after is None:
        return ""
    if wake_at(before, scene.config) is None:
        return "" if move.decision.ignored else "moved by a timer that it did not ask for"
    if move.decision.ignored:
        return "woken for nothing, and will be again"
    due = wake_at(after, scene.config)
    return "" if due is None or due > move.now else "due again at once"


def conditions_are_well_formed(move: Move, _: Scene) -> str:
    after = move.decision.upload
    if after is None:
        return ""
    every = conditions(after)
    found = {condition.type: condition for condition in every}
    first, ended = every[0], after.stage.ended
    succeeded = {Stage.COMPLETED: ConditionStatus.TRUE}.get(after.stage, ConditionStatus.FALSE)
    awaited = ended or after.stalled_at is None
    right = (
        len(found) == len(every)
        and (first.type, first.reason) == (ConditionType.SUCCEEDED, after.stage if awaited else STALLED)
        and first.status is (succeeded if ended else ConditionStatus.UNKNOWN)
        and (found[ConditionType.FINISHED].status is ConditionStatus.TRUE) == ended
        and (ConditionType.ACKNOWLEDGED in found) == (after.finishes > 0)
        and (ConditionType.STALLED in found) == (after.stalled_at is not None)
        and all(REASON.fullmatch(each.reason) for each in found.values())
        and all(len(each.message) <= MAX_MESSAGE and 0 <= each.since <= move.now for each in found.values())
        and bool(first.message)
    )
    return "" if right else f"{every}"


def ends_are_dated_and_names_are_right(move: Move, _: Scene) -> str:
    after = move.decision.upload
    if after is None or after.stage is Stage.PENDING or after.is_held_unbegun:
        return ""
    ended = after.stage.ended
    if (after.completed_at is not None, after.expires_at is not None) != (ended, ended):
        return "completed_at and expires_at do not go with the stage"
    names = {plan.name for plan in after.plan}
    if after.stage in {Stage.AWAITING_URL, Stage.AWAITING_TURN}:
        names.add(FINISHED_STEP)
    if after.stage.in_step and after.stage is not Stage.SUSPENDED and after.current_step not in names:
        return f"no such step: {after.current_step!r}"
    return (
        ""
        if ended == (after.current_step == "")
        or after.stage in {Stage.PENDING, Stage.UPLOAD_FAILED, Stage.UNANSWERED}
        else "x"
    )


def dateless(upload: Upload) -> Upload:
    """The state modulo times, messages, and which edit of the spec was looked at last."""
    steps = tuple(evolve(s, started_at=None, finished_at=None, message="") for s in upload.steps)
    zero = Millis(0)
    return evolve(
        upload,
        steps=steps,
        since=zero,
        next_attempt_at=None if upload.next_attempt_at is None else zero,
        stalled_at=None if upload.stalled_at is None else zero,
        started_at=None,
        completed_at=None,
        expires_at=None,
        observed_generation=0,
        message="",
        log=LogPosition(start=upload.log.start),
    )


def our_own_events_tell_the_same_story(move: Move, scene: Scene) -> str:
    """A timer, an edit or a grant of which only the published command survived a crash (invariant 2.3)."""
    after, retold, config = move.decision.upload, move.retold, scene.config
    if after is None or retold is None:
        return ""
    live = after
    for command in move.decision.commands:
        own_event = told_of(move.event, come_back(command, RETOLD, after))
        live = decide(live, live.id, own_event, move.now, config).upload
    was = move.before.upload
    if was is not None and was.stage is Stage.UPLOAD_FAILED and live.order.left:
        retold = evolve(retold, order=live.order)  # whether it was over is not known, so it keeps its place
    if live == retold or dateless(live) == dateless(retold):
        return ""
    return f"replay ends in {retold.stage}, not in {live.stage}:\n{dateless(live)}\n{dateless(retold)}"
