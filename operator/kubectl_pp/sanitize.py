"""The part of a resource that makes sense: of a status the API server takes any, of a spec an older CRD may.

What is of another type than the operator writes is left out, and texts are made safe to show. Callers need
no checks.
"""

from typing import Any

from kubectl_pp.screen import harmless

Json = dict[str, Any]

OBJECTS = frozenset({"log", "order"})
LISTS = frozenset({"conditions", "steps", "plan"})
NUMBERS = frozenset(
    {"observedGeneration", "retryCount", "run", "finishes", "releases", "urlRequests", "restarts"}
    | {"attempts", "retries", "sequence", "start", "arrival"}
    | {
        "timeoutSeconds",
        "stallAfterSeconds",
        "maxRetries",
        "backoffSeconds",
        "maxBackoffSeconds",
        "delaySeconds",
    }
    | {"maxFilesize"}
)
"""All other fields are texts."""


def sanitized(status: object) -> Json:
    """A status, one of its conditions or steps, without what nobody could read."""
    if not isinstance(status, dict):
        return {}
    read = {name: _field(name, value) for name, value in status.items()}
    return {name: value for name, value in read.items() if value is not None}


def _field(name: str, value: object) -> object:
    if name in OBJECTS:
        return sanitized(value)
    if name in LISTS:
        return (
            [sanitized(each) for each in value if isinstance(each, dict)] if isinstance(value, list) else None
        )
    if name in NUMBERS:
        return value if isinstance(value, int) else None
    return harmless(value) if isinstance(value, str) else None


_OBJECTS = frozenset({"upload", "urlSecretRef", "retryPolicy", "restart"})
_SPEC_NUMBERS = NUMBERS | {"filesize", "maxInFlight"}


def sanitized_spec(spec: object) -> Json:
    """A spec, or an object in it, without what is of another type than in the CRD. Texts stay as they are."""
    if not isinstance(spec, dict):
        return {}
    read = {name: _spec_field(name, value) for name, value in spec.items()}
    return {name: value for name, value in read.items() if value is not None}


def _spec_field(name: str, value: object) -> object:
    if name == "steps":
        return (
            [sanitized_spec(each) for each in value if isinstance(each, dict)]
            if isinstance(value, list)
            else None
        )
    if name in _OBJECTS:
        return sanitized_spec(value)
    if name in _SPEC_NUMBERS or isinstance(value, bool):
        return value if isinstance(value, int) else None
    return value if isinstance(value, str) else None
