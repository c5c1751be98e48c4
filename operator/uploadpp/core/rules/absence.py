"""Absent: the storage says that there is nothing behind the download URL of an upload.

It forgets an upload without a word when its file, folder or space is removed, and it never waits for
one while asynchronous uploads are off. `pipeline.lost_uploads` asks it about uploads that look like that.
"""

from uploadpp.core import event_texts
from uploadpp.core.config import Config
from uploadpp.core.decision import Decision, ignore
from uploadpp.core.evolve import evolve
from uploadpp.core.inputs import Absent
from uploadpp.core.model import Millis, Upload
from uploadpp.core.states import Ignored, Outcome, Stage, StepReason, StepState
from uploadpp.core.transitions import end, end_step

ASKED_ABOUT = frozenset({Stage.RUNNING, Stage.BACKING_OFF, Stage.AWAITING_READY, Stage.AWAITING_URL})
SIGNS = ("404", "410", "not found", "download")
"""Words in the message of a step that could not get the file. A step without a message may mean that too."""


def is_doubtful(upload: Upload) -> bool:
    """Whether the storage may have lost the upload: a step saw a sign of it, or the storage is silent."""
    match upload.stage:
        case Stage.AWAITING_READY:
            return upload.stalled_at is not None or upload.finishes - 1 > upload.releases
        case Stage.RUNNING | Stage.AWAITING_URL:
            return upload.stalled_at is not None
        case Stage.BACKING_OFF:
            said = upload.step.message.lower()
            return upload.step.reason is None and (not said or any(sign in said for sign in SIGNS))
    return False


def absent(upload: Upload, seen: Absent, now: Millis, config: Config) -> Decision:
    """Report it at once, and end the upload if it persists: nobody can answer for it any more."""
    text = _observed(upload, seen)
    if not seen.lasting:
        notice = event_texts.upload_missing(text)
        if upload.message == notice.message:
            return ignore(upload, Ignored.DUPLICATE, "the storage has said so before")
        return Decision(evolve(upload, message=notice.message), notices=(notice,))
    said = upload.step.message if upload.stage.in_step and upload.cursor < len(upload.steps) else ""
    cut = end_step(upload, StepState.SKIPPED, now, reason=StepReason.GONE, message=said)
    decision = end(cut, Stage.GONE, now, config, message=text)
    return evolve(decision, notices=(event_texts.gone(text),))


def _observed(upload: Upload, seen: Absent) -> str:
    text = f"the storage does not have the upload: HTTP {seen.status} for its download URL."
    if upload.stage is Stage.AWAITING_READY and upload.outcome is not Outcome.ABORT:
        return (
            f"{text} Either it has carried out PostprocessingFinished({upload.outcome}) and its UploadReady "
            "was lost, or the file, its folder or its space was deleted before that."
        )
    return (
        f"{text} Either the file was deleted, or asynchronous uploads are off: set OCIS_ASYNC_UPLOADS=true "
        "(ocis) or OC_ASYNC_UPLOADS=true (OpenCloud) in the storage."
    )
