"""Names and labels of a resource, from ids that follow no Kubernetes rule."""

import re
from hashlib import sha256

LABELS = {
    "app.kubernetes.io/name": "upload-postprocessing",
    "app.kubernetes.io/managed-by": "uploadpp",
}
_VALID = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")


def is_label(text: str) -> bool:
    """Whether this is a DNS-1123 label, as the name of a namespace is."""
    return _VALID.fullmatch(text) is not None


def resource_name(upload_id: str) -> str:
    """The upload id where it is a DNS-1123 label, else `u-` and a hash of it.

    An id that looks like such a hash is hashed as well, so no two ids share a name.
    """
    if _VALID.fullmatch(upload_id) and not upload_id.startswith("u-"):
        return upload_id
    return f"u-{sha256(upload_id.encode()).hexdigest()[:32]}"


ENDED_ANNOTATION = "uploadpp.io/ended"
"""On a resource that was made after its upload had ended. Without a status it must not begin."""
POLICY_ANNOTATION = "uploadpp.io/policy"
"""What a policy chose for the upload (`core.plan_text`). It counts without a status and a sealed plan."""
ADOPTED_ANNOTATION = "uploadpp.io/adopted"
"""On a resource that `uploadpp adopt` has made, and when. Without a status it is not finished."""
VOID_ANNOTATION = "uploadpp.io/left-alone"
"""On a resource that is not the one of its upload, and why. It never begins, also when that one is gone."""
