"""Granted: admission has a free slot at the step for which an upload is queued."""

from uploadpp.core.config import Config
from uploadpp.core.decision import Decision
from uploadpp.core.inputs import Granted
from uploadpp.core.model import Millis, Upload
from uploadpp.core.moves import begin_step, cancel, proceed
from uploadpp.core.states import DesiredState


def granted(upload: Upload, place: Granted, now: Millis, config: Config) -> Decision:
    """Start the step; a resource that was edited while nobody looked has another end of waiting."""
    del place
    match upload.control.desired:
        case DesiredState.CANCELLED:
            return cancel(upload, now)
        case DesiredState.SUSPENDED:
            return proceed(upload, upload.cursor, now, config)
    return begin_step(upload, upload.cursor, now, config)
