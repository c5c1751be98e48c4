"""Which resources an upload may begin by, or go on with."""

from uploadpp.api.codec import InvalidResourceError
from uploadpp.api.void import is_made_by_us, why_void
from uploadpp.core.naming import ADOPTED_ANNOTATION, ENDED_ANNOTATION, VOID_ANNOTATION
from uploadpp.kube.store import is_terminating
from uploadpp.pipeline.ports import Json


def is_under_way(resource: Json) -> bool:
    """Whether the operator has begun the upload and not ended it, as its status says, which only we write."""
    status = resource.get("status")
    return isinstance(status, dict) and bool(status.get("run")) and not status.get("completionTime")


def check_may_begin(resource: Json) -> None:
    """Check that a resource may drive its upload.

    It may not while it is marked, because another resource drives the upload or did. Without a status it may
    not if it is being deleted, if the upload has ended or is being adopted, or if the operator has made it
    and its sealed part is gone. The run does not tell whether there is a status: an upload may be held, or
    end, before its first run.

    Raises:
        InvalidResourceError: it may not.
    """
    if why := why_void(resource):
        text = f"{VOID_ANNOTATION}: {why}; delete this resource"
        raise InvalidResourceError("metadata.annotations", text)
    if "conditions" in (resource.get("status") or {}):
        return
    if is_terminating(resource):
        raise InvalidResourceError("metadata.deletionTimestamp", "is set: the resource is being deleted")
    if not (resource.get("spec") or {}).get("sealed") and is_made_by_us(resource):
        # Not a person's: its announcement, which is read again, begins it as if it had none.
        text = "is missing in a resource that the operator has created: a webhook or a person has removed it"
        raise InvalidResourceError("spec.sealed", text)
    annotations = resource["metadata"].get("annotations") or {}
    if ADOPTED_ANNOTATION in annotations:
        text = "is missing, because `uploadpp adopt` has not finished; stop the operator and run it again"
        raise InvalidResourceError("status", text)
    if ENDED_ANNOTATION in annotations:
        raise InvalidResourceError("status", "is missing, and the upload had ended before it was recorded")
