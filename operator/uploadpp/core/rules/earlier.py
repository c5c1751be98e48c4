"""BytesReceived of an upload of which the log has already said how it ended.

The storage publishes from several threads: UploadReady may stand before BytesReceived.
"""

from uploadpp.core.config import Config
from uploadpp.core.decision import Decision
from uploadpp.core.evolve import evolve
from uploadpp.core.inputs import CleanUpload, FinishedElsewhere, Input, UploadReady
from uploadpp.core.model import Millis, Upload
from uploadpp.core.moves import begin_run, hold_unbegun
from uploadpp.core.rules.answers import clean, released_elsewhere, upload_ready
from uploadpp.core.rules.elsewhere import finished_elsewhere
from uploadpp.core.states import Stage

FACTS = (UploadReady, FinishedElsewhere, CleanUpload)
"""What is worth remembering of an upload that is not known."""

REPORTED_FAILED = "the storage reported this upload as failed before it announced it"


def told_before(upload: Upload, earlier: tuple[Input, ...], now: Millis, config: Config) -> Decision:
    """Where an upload stands that begins here, given what came before its announcement.

    What it begins with is never published, and so does not count.
    """
    decision = Decision(begin_run(upload, now, config).upload)
    for event in earlier:
        if decision.upload is not None and not decision.upload.stage.ended:
            decision = _told(decision.upload, event, now, config)
    told = any(isinstance(event, FinishedElsewhere) for event in earlier)
    return evolve(decision, upload=_unbegun(decision.upload, told=told)) if decision.upload else decision


def _unbegun(upload: Upload, *, told: bool) -> Upload:
    never = tuple(evolve(step, attempts=0, started_at=None) for step in upload.steps)
    return evolve(upload, steps=never, finishes=upload.finishes if told else 0)


def _told(upload: Upload, event: Input, now: Millis, config: Config) -> Decision:
    match event:
        case FinishedElsewhere():
            return finished_elsewhere(upload, event, now, config)
        case CleanUpload():
            return clean(upload, event, now, config)
        case UploadReady() if upload.stage is Stage.AWAITING_READY and upload.log.start:
            return upload_ready(upload, event, now, config)
        case UploadReady(failed=False):
            return released_elsewhere(upload, event, now, config)
        case _:
            return hold_unbegun(upload, now, REPORTED_FAILED)
