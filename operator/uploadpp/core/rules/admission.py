"""Granted: admission has a free slot at the step for which an upload is queued."""

from uploadpp.core.config import Config
from uploadpp.core.decision import Decision
from uploadpp.core.inputs import Granted
from uploadpp.core.model import Millis, Upload
from uploadpp.core.transitions import as_edited, begin_step


def granted(upload: Upload, grant: Granted, now: Millis, config: Config) -> Decision:
    """Start the step, unless an edit that nobody has seen yet suspends or cancels the upload."""
    del grant
    edited = as_edited(upload, now)
    return edited if edited is not None else begin_step(upload, upload.cursor, now, config)
