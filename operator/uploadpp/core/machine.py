"""The state machine: which rule answers which input in which stage.

Everything that can move an upload is in `TABLE`; a pair that is not there changes nothing
(h11's principle). The docs' state diagram and table of inputs are generated from it, and
`to` is checked against what the rules really do by the exhaustive test.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, overload

from uploadpp.core.config import Config
from uploadpp.core.decision import AnyDecision, Decision, UnknownDecision, ignore
from uploadpp.core.inputs import (
    Absent,
    BreakerOpened,
    BytesReceived,
    CleanUpload,
    FinishedElsewhere,
    Follows,
    Foremost,
    Granted,
    Input,
    Published,
    Resume,
    RetriedElsewhere,
    SpecChanged,
    StartedElsewhere,
    StepFinished,
    StreakEnded,
    Tick,
    UploadReady,
)
from uploadpp.core.model import Millis, Upload
from uploadpp.core.rules import (
    absence,
    admission,
    answers,
    arrival,
    control,
    elsewhere,
    order,
    own_events,
    recovery,
    timers,
)
from uploadpp.core.states import ENDED, IN_STEP, UNHEARD, Ignored, Stage

RuleFunction = Callable[[Upload, Any, Millis, Config], Decision]

STARTED = frozenset({Stage.RUNNING, Stage.SUSPENDED, Stage.AWAITING_URL, Stage.QUEUED})
"""Where a step that is not `delay` can start: at its service, or in a wait before it."""

BEGUN = STARTED | {Stage.DELAYING, Stage.HELD, Stage.AWAITING_TURN, Stage.AWAITING_READY}
"""Where `proceed` can lead: a step, a wait before it, or the release."""

AFTER_FAILURE = BEGUN | {Stage.BACKING_OFF}
ALL = frozenset(Stage)


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table: in these stages this input is answered by that rule."""

    input: type[Input]
    stages: frozenset[Stage]
    rule: RuleFunction
    to: frozenset[Stage]


def _row(kind: type[Input], stages: Iterable[Stage], rule: RuleFunction, to: Iterable[Stage] = ()) -> Row:
    return Row(kind, frozenset(stages), rule, frozenset(to))


def arrival_of_pending(upload: Upload, arrived: BytesReceived, now: Millis, config: Config) -> Decision:
    """The rule of `rules.arrival`, which decides about what was said before as well."""
    return arrival.arrival_of_pending(upload, arrived, now, config, decide)


ACTIVE = ALL - ENDED
RELEASED = {Stage.COMPLETED}
VERDICTS = {Stage.COMPLETED, Stage.DELETED, Stage.ABORTED, Stage.CANCELLED} | {
    Stage.RETRIES_EXHAUSTED,
    Stage.STEP_TIMED_OUT,
}

TABLE: tuple[Row, ...] = (
    _row(BytesReceived, {Stage.PENDING}, arrival_of_pending, BEGUN | {Stage.CANCELLED}),
    _row(
        BytesReceived,
        {Stage.AWAITING_URL},
        arrival.fresh_url,
        STARTED - {Stage.AWAITING_URL} | {Stage.AWAITING_TURN, Stage.AWAITING_READY},
    ),
    _row(BytesReceived, ALL - {Stage.PENDING, Stage.AWAITING_URL}, arrival.arrival_again, BEGUN),
    _row(StepFinished, {Stage.RUNNING}, answers.step_finished, AFTER_FAILURE),
    _row(StepFinished, {Stage.DELAYING}, answers.answer_of_delay, {Stage.AWAITING_READY}),
    _row(StepFinished, IN_STEP - {Stage.RUNNING, Stage.DELAYING}, answers.late_answer, BEGUN),
    _row(StepFinished, ALL - IN_STEP, answers.answer_to_nothing),
    _row(
        UploadReady,
        UNHEARD | {Stage.AWAITING_READY},
        answers.upload_ready,
        VERDICTS | {Stage.RELEASE_BACKING_OFF, Stage.UPLOAD_FAILED, Stage.AWAITING_READY},
    ),
    _row(UploadReady, {Stage.RELEASE_BACKING_OFF, Stage.UPLOAD_FAILED}, answers.late_upload_ready, RELEASED),
    _row(UploadReady, IN_STEP | {Stage.PENDING}, answers.released_elsewhere, RELEASED),
    _row(CleanUpload, ACTIVE, answers.clean, {Stage.CLEANED}),
    _row(Resume, ALL, control.resume, BEGUN),
    _row(SpecChanged, ALL, control.spec_changed, BEGUN | {Stage.CANCELLED}),
    _row(Published, ALL, own_events.published, AFTER_FAILURE - {Stage.HELD, Stage.AWAITING_TURN}),
    _row(StartedElsewhere, elsewhere.STARTABLE, elsewhere.started_elsewhere, {Stage.RUNNING}),
    _row(RetriedElsewhere, {Stage.BACKING_OFF}, elsewhere.retried_elsewhere),
    _row(
        FinishedElsewhere,
        ACTIVE | {Stage.UPLOAD_FAILED},
        elsewhere.finished_elsewhere,
        {Stage.AWAITING_READY},
    ),
    _row(Absent, absence.ASKED_ABOUT, absence.absent, {Stage.GONE}),
    _row(Granted, {Stage.QUEUED}, admission.granted, STARTED - {Stage.QUEUED} | {Stage.AWAITING_READY}),
    _row(BreakerOpened, IN_STEP, recovery.breaker_opened, {Stage.QUEUED, Stage.SUSPENDED}),
    _row(StreakEnded, IN_STEP, recovery.streak_ended),
    _row(Follows, IN_STEP | {Stage.PENDING}, order.follows),
    _row(Foremost, {Stage.AWAITING_TURN}, order.foremost, {Stage.AWAITING_READY, Stage.SUSPENDED}),
    _row(Tick, {Stage.RUNNING}, timers.check_running, AFTER_FAILURE),
    _row(Tick, {Stage.DELAYING}, timers.end_delay, BEGUN - {Stage.DELAYING}),
    _row(Tick, {Stage.BACKING_OFF}, timers.try_again, STARTED),
    _row(Tick, {Stage.RELEASE_BACKING_OFF}, timers.release_again, {Stage.AWAITING_READY}),
    _row(Tick, {Stage.AWAITING_READY}, timers.watch_release, {Stage.AWAITING_READY, Stage.UNANSWERED}),
    _row(Tick, {Stage.AWAITING_URL}, timers.watch_url, {Stage.AWAITING_URL, Stage.UNANSWERED}),
    _row(Tick, {Stage.AWAITING_TURN}, order.waited_long_enough, {Stage.AWAITING_READY}),
)

RULES: dict[tuple[type[Input], Stage], RuleFunction] = {
    (row.input, stage): row.rule for row in TABLE for stage in row.stages
}


@overload
def decide(upload: Upload, upload_id: str, event: Input, now: Millis, config: Config) -> Decision: ...
@overload
def decide(
    upload: Upload | None, upload_id: str, event: Input, now: Millis, config: Config
) -> AnyDecision: ...
def decide(upload: Upload | None, upload_id: str, event: Input, now: Millis, config: Config) -> AnyDecision:
    """What to do about an input.

    Args:
        upload: the state so far; None when the upload is not known.
        upload_id: whose input it is.
        event: what happened.
        now: when it happened, in ms (the stream's timestamp for inputs from the log).
        config: behaviour that is not part of the upload.

    Returns:
        The new state and the commands to publish, in order. A pair of input and stage
        without a rule changes nothing and says so.
    """
    if upload is None:
        return _decide_unknown(upload_id, event, now, config)
    rule = RULES.get((type(event), upload.stage))
    if rule is None:
        reason = Ignored.UPLOAD_ENDED if upload.stage.ended else Ignored.NO_RULE
        return ignore(upload, reason, f"{type(event).__name__} means nothing while {upload.stage}")
    return rule(upload, event, now, config)


def _decide_unknown(upload_id: str, event: Input, now: Millis, config: Config) -> AnyDecision:
    if isinstance(event, BytesReceived):
        return arrival.first_arrival(upload_id, event, now, config, decide)
    if isinstance(event, Resume) and not event.step:
        return control.resume_unknown(now)
    why = f"{type(event).__name__} for an upload without a resource"
    return UnknownDecision(ignored=Ignored.UNKNOWN_UPLOAD, why=why)
