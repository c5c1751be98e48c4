"""How an upload ended before a person made a resource of it: by what is left of the log.

A resource without a status says nothing of an earlier life of its upload. After an abort the storage keeps
the bytes until a second one, so such an upload begins only once the log was looked at (docs/adr/0062).
"""

from uploadpp.core.commands import Kind
from uploadpp.core.evolve import evolve
from uploadpp.core.inputs import BytesReceived, FinishedElsewhere, Input, Published
from uploadpp.core.model import Upload
from uploadpp.core.states import Ignored, Outcome, Stage

UNPROVEN = "the storage announces this upload again, and it was not known yet whether it had ended before"
UNREADABLE = "it is not known whether this upload has ended before, because the log cannot be read"


def ended_after(known: Outcome | None, event: Input) -> Outcome | None:
    """With which outcome, `abort` or `delete`, an upload has ended once `event` has followed in the log.

    `known` is what the events before it came to. None means that nothing forbids to begin the upload. The
    storage does what anybody tells it, so what another service has published counts as well. A release after
    an abort is of what was kept then. What the storage announces of its own accord it has received anew.
    """
    match event:
        case BytesReceived() if not event.origin.again:
            return None
        case FinishedElsewhere():
            word = event.outcome
        case Published() if event.mark.kind is Kind.FINISH:
            word = event.mark.detail
        case _:
            return known
    return Outcome(word) if word in {Outcome.ABORT, Outcome.DELETE} else known


def is_unproven(upload: Upload) -> bool:
    """Whether it must not begin, because its resource, which a person has made, has no status to go by."""
    return upload.stage is Stage.PENDING and upload.lost_status and upload.origin.by_hand


def refuses_resume(upload: Upload) -> tuple[Ignored, str] | None:
    """Why a resume must not begin the upload: it may have ended before, or it has; None when it may."""
    if is_unproven(upload):
        return Ignored.HELD, "whether the upload has ended before is being looked up"
    if upload.is_held_unbegun and upload.outcome is not None:
        text = f"the upload has ended before, with {upload.outcome}; use mode ForceRestart to run it anyway"
        return Ignored.UPLOAD_ABORTED, text
    return None


def unproven(upload: Upload) -> Upload:
    """The upload of a person's resource without a status, before the log was looked at.

    Itself if the resource has a status, even one that does not count: then the upload is held anyway.
    """
    if upload.stage is not Stage.PENDING or upload.lost_status:
        return upload
    return evolve(upload, lost_status=True, message=UNPROVEN)


def proven(upload: Upload, ended: Outcome | None) -> Upload:
    """The same once the log was looked at; itself if it has moved since.

    Without an end it may begin. After one it keeps the outcome, which only `ForceRestart` passes over.
    """
    if not is_unproven(upload):
        return upload
    if ended is None:
        return evolve(upload, lost_status=False, message="")
    return evolve(upload, outcome=ended)


def unreadable(upload: Upload) -> Upload:
    """The same where the log cannot be looked at: a person has to decide. Itself if it has moved since."""
    return evolve(upload, message=UNREADABLE) if is_unproven(upload) else upload
