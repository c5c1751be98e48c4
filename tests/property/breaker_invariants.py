"""What must hold for every move of an upload at a step with a breaker."""

from tests.property.explore import Move, Scene
from uploadpp.core.inputs import BreakerOpened, StepFinished, Tick
from uploadpp.core.states import Outcome, Stage


def an_open_breaker_takes_no_retry(move: Move, _: Scene) -> str:
    """A failure then leaves the upload waiting, with as many retries as before or more."""
    before, after, event = move.before.upload, move.decision.upload, move.event
    if before is None or after is None or not isinstance(event, StepFinished | Tick | BreakerOpened):
        return ""
    is_open = isinstance(event, BreakerOpened) or (
        event.streak is not None and event.streak.opened_at is not None
    )
    if not is_open or before.stage is not Stage.RUNNING or after.stage is Stage.RUNNING:
        return ""
    waits = after.stage in {Stage.QUEUED, Stage.SUSPENDED}
    step = after.steps[before.cursor]
    if isinstance(event, StepFinished) and event.outcome != Outcome.RETRY:
        return ""
    if not waits or step.retries > before.step.retries:
        return f"{after.stage} with {step.retries} retries after {before.step.retries}"
    return ""
