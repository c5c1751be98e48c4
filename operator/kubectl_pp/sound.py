"""The part of a status that makes sense: the API server takes any, and the operator need not have written it.

What is of another type than the operator writes is left out, and texts are made safe to show. Callers need
no checks.
"""

from typing import Any

from kubectl_pp.screen import harmless

Json = dict[str, Any]

LISTS = frozenset({"conditions", "steps", "plan"})
NUMBERS = frozenset(
    {"observedGeneration", "retryCount", "run", "finishes", "releases", "urlRequests", "restarts"}
    | {"attempts", "retries", "sequence", "start"}
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


def sound(status: object) -> Json:
    """A status, one of its conditions or steps, without what nobody could read."""
    if not isinstance(status, dict):
        return {}
    read = {name: _field(name, value) for name, value in status.items()}
    return {name: value for name, value in read.items() if value is not None}


def _field(name: str, value: object) -> object:
    if name == "log":
        return sound(value)
    if name in LISTS:
        return [sound(each) for each in value if isinstance(each, dict)] if isinstance(value, list) else None
    if name in NUMBERS:
        return value if isinstance(value, int) else None
    return harmless(value) if isinstance(value, str) else None
