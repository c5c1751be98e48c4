"""The Lease as an object of the API server: what is written into it, and whether that was kept."""

import logging
from datetime import UTC, datetime

import orjson

from uploadpp.core.naming import LABELS
from uploadpp.kube.api import Json
from uploadpp.kube.errors import Refusal, RefusedError

log = logging.getLogger(__name__)

CLAIMED = ("holderIdentity", "leaseDurationSeconds", "leaseTransitions")
"""What others go by: if a webhook changes any of it, the Lease is not ours."""
OURS = frozenset(
    f"uploadpp.io/{word}"
    for word in ("shards", "handed-over", "unfinished", "position", "ends", "sealing-key", "steps")
)
"""The annotations that we write. Others that begin alike are not ours."""
IDENTITY = ("name", "namespace", "uid", "resourceVersion")
MAX_METADATA = 16_384
"""Bytes. Our own metadata is a third of it at most."""
MAX_ANNOTATION = 4096
UNKEPT = (
    "lease {}: a webhook has dropped or changed its annotations {}; without them resources of ended uploads "
    "are not removed, and replicas do not know of each other's settings; exempt the Lease from the webhook"
)


def spec_of(holder: str, duration_seconds: int, transitions: int, old: Json, *, taken: bool) -> Json:
    """The spec of a Lease that is taken or renewed now."""
    now = datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    return {
        "holderIdentity": holder,
        "leaseDurationSeconds": duration_seconds,
        "acquireTime": now if taken else old.get("acquireTime", now),
        "renewTime": now,
        "leaseTransitions": transitions,
    }


def new_lease(name: str, annotations: dict[str, str], spec: Json) -> Json:
    """A Lease that is not there yet."""
    return {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": name, "labels": LABELS, "annotations": annotations},
        "spec": spec,
    }


def without_ballast(lease: Json) -> Json:
    """The Lease without what strangers have written into its metadata, if that is much.

    Were it kept, an annotation near the API server's limit would leave no room for what the next owner has to
    write, and nobody could take the Lease any more.
    """
    meta = lease["metadata"]
    others = {name: value for name, value in meta.items() if name != "managedFields"}
    if len(orjson.dumps(others)) <= MAX_METADATA:
        return lease
    notes = (meta.get("annotations") or {}).items()
    kept = {name: text for name, text in notes if name in OURS and len(text) <= MAX_ANNOTATION}
    identity = {name: meta[name] for name in IDENTITY if name in meta}
    return {**lease, "metadata": {**identity, "labels": LABELS, "annotations": kept}}


def unkept(name: str, annotations: dict[str, str], made: Json, said: str) -> str:
    """What follows from annotations of ours that the API server has not stored as they were written.

    The Lease is ours all the same: only `CLAIMED` decides that. It is logged unless it is what was `said`.

    Returns:
        The problem in words, with its remedy; empty when all of them were stored.
    """
    kept = (made.get("metadata") or {}).get("annotations") or {}
    lost = [word for word in sorted(OURS & annotations.keys()) if kept.get(word) != annotations[word]]
    if not lost:
        return ""
    problem = UNKEPT.format(name, ", ".join(lost))
    log.log(logging.WARNING if problem != said else logging.DEBUG, "annotations not kept: %s", problem)
    return problem


def check_kept(name: str, spec: Json, made: Json) -> Json:
    """The object that the API server has stored, if it is what was written.

    Raises:
        RefusedError: others would read something else in it.
    """
    kept = made.get("spec") or {}
    if lost := next((field for field in CLAIMED if kept.get(field) != spec[field]), ""):
        raise RefusedError(f"lease {name}: a webhook has changed {lost} of what was written", Refusal.CHANGED)
    return made
