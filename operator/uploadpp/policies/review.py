"""The answer to the API server, which asks before it stores a policy (AdmissionReview)."""

from collections.abc import Mapping
from typing import Any

from uploadpp.api import POLICY_KIND
from uploadpp.core.config import Config
from uploadpp.core.text import clean
from uploadpp.policies.policy import read_policy

API_VERSION = "admission.k8s.io/v1"
KIND = "AdmissionReview"
CHECKED = frozenset({"CREATE", "UPDATE"})
MAX_WARNING = 256
"""Characters; the API server cuts longer ones."""
UNPROCESSABLE = 422


class ReviewError(ValueError):
    """A request that is not an AdmissionReview."""


def review(body: object, config: Config | None = None) -> dict[str, Any]:
    """Whether the API server may store the policy. Without a configuration, nothing is said of steps.

    Raises:
        ReviewError: the request is not an AdmissionReview.
    """
    request = body.get("request") if isinstance(body, Mapping) and body.get("kind") == KIND else None
    uid = request.get("uid") if isinstance(request, Mapping) else None
    if not isinstance(request, Mapping) or not isinstance(uid, str) or not uid:
        raise ReviewError(f"the request is not an {KIND} with a uid; only the API server asks here")
    return {"apiVersion": API_VERSION, "kind": KIND, "response": {"uid": uid, **_answer(request, config)}}


def _answer(request: Mapping[str, Any], config: Config | None) -> dict[str, Any]:
    policy = request.get("object")
    if (
        request.get("operation") not in CHECKED
        or request.get("subResource")
        or not isinstance(policy, Mapping)
    ):
        return {"allowed": True}
    before = request.get("oldObject")
    if isinstance(before, Mapping) and before.get("spec") == policy.get("spec"):
        # Labels and finalizers of a policy with an error can still be changed.
        return {"allowed": True}
    found = read_policy(policy, config or Config())
    errors = [str(problem) for problem in found.problems if not problem.is_warning]
    if errors:
        message = clean(f"this {POLICY_KIND} cannot be used: {'; '.join(errors)}")
        return {
            "allowed": False,
            "status": {"code": UNPROCESSABLE, "reason": "Invalid", "message": message},
        }
    warnings = [clean(str(problem), MAX_WARNING) for problem in found.problems if config is not None]
    return {"allowed": True, "warnings": warnings} if warnings else {"allowed": True}
