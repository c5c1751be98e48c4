"""BreakerOpened, StreakEnded: what the breaker of its step makes of an upload (docs/adr/0055).

Failures of a step that is not well are not the upload's fault. So when they open the breaker, each upload
gets back the retries that they have taken, and waits for the step instead of for its back-off.
"""

from uploadpp.core.breaker import given_back
from uploadpp.core.config import Config
from uploadpp.core.decision import Decision, ignore
from uploadpp.core.evolve import evolve
from uploadpp.core.inputs import BreakerOpened, StreakEnded
from uploadpp.core.model import Millis, StepStatus, Streak, Upload
from uploadpp.core.states import Ignored, Stage
from uploadpp.core.transitions import proceed


def breaker_opened(upload: Upload, event: BreakerOpened, now: Millis, config: Config) -> Decision:
    """No start until the step is well again."""
    if upload.current_step != event.step or upload.cursor >= len(upload.steps):
        return ignore(upload, Ignored.NOT_CURRENT_STEP, f"the upload is not in step {event.step}")
    step = given_back(upload.step)
    if step.streak is not None and step.streak.since == event.streak.since:
        step = _opened(step, step.streak, event.streak)
    if upload.stage is Stage.BACKING_OFF and step.streak is not None:
        return proceed(upload.with_step(upload.cursor, step), upload.cursor, now, config)
    return _noted(upload, step, event.why, "the breaker has taken nothing from the upload")


def _opened(step: StepStatus, own: Streak, streak: Streak) -> StepStatus:
    """The step with what is known of the streak: if the others leave, this upload alone tells a new owner."""
    return step if own.opened_at else evolve(step, streak=evolve(own, opened_at=streak.opened_at))


def streak_ended(upload: Upload, event: StreakEnded, now: Millis, config: Config) -> Decision:
    """The step is well again: forget the failures of the upload there."""
    del now, config
    if upload.current_step != event.step or upload.cursor >= len(upload.steps):
        return ignore(upload, Ignored.NOT_CURRENT_STEP, f"the upload is not in step {event.step}")
    step = given_back(upload.step) if event.opened else upload.step
    step = step if step.streak is None else evolve(step, streak=None)
    return _noted(upload, step, "", "the upload was not part of the streak")


def _noted(upload: Upload, step: StepStatus, why: str, nothing: str) -> Decision:
    """The upload with this status of its step. `why` tells people why it is queued, if it is.

    `nothing` says why the input is ignored if it changes nothing.
    """
    message = why if upload.stage is Stage.QUEUED else upload.message
    if step is upload.step and message == upload.message:
        return ignore(upload, Ignored.NOTHING_DUE, nothing)
    return Decision(evolve(upload, steps=upload.steps_with(upload.cursor, step), message=message))
