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


MOST_LEVELS = 4
"""Of objects in each other that are read. Ours have two."""
MOST_ITEMS = 1000
"""Of a list: the CRD takes fewer steps, and what is looked for among them is looked for often."""
MOST_NUMBER = 2**63
"""What the API server counts with. Longer ones, of a proxy, fit into no float."""


def sanitized(status: object, levels: int = MOST_LEVELS) -> Json:
    """A status, one of its conditions or steps, without what nobody could read."""
    if not isinstance(status, dict) or not levels:
        return {}
    read = {name: _field(name, value, levels - 1) for name, value in status.items()}
    return {name: value for name, value in read.items() if value is not None}


def _field(name: str, value: object, levels: int) -> object:
    if name in OBJECTS:
        return sanitized(value, levels)
    if name in LISTS:
        return [sanitized(each, levels) for each in _objects(value)] if isinstance(value, list) else None
    if name in NUMBERS:
        return _number(value)
    return harmless(value) if isinstance(value, str) else None


def _objects(values: "list[Any]") -> "list[Json]":
    return [each for each in values[:MOST_ITEMS] if isinstance(each, dict)]


def _number(value: object) -> "int | None":
    return value if isinstance(value, int) and -MOST_NUMBER <= value < MOST_NUMBER else None


_OBJECTS = frozenset({"upload", "urlSecretRef", "retryPolicy", "restart"})
_SPEC_NUMBERS = NUMBERS | {"filesize", "maxInFlight"}


def sanitized_spec(spec: object, levels: int = MOST_LEVELS) -> Json:
    """A spec, or an object in it, without what is of another type than in the CRD. Texts stay as they are."""
    if not isinstance(spec, dict) or not levels:
        return {}
    read = {name: _spec_field(name, value, levels - 1) for name, value in spec.items()}
    return {name: value for name, value in read.items() if value is not None}


def _spec_field(name: str, value: object, levels: int) -> object:
    if name == "steps":
        return [sanitized_spec(each, levels) for each in _objects(value)] if isinstance(value, list) else None
    if name in _OBJECTS:
        return sanitized_spec(value, levels)
    if name in _SPEC_NUMBERS or isinstance(value, bool):
        return _number(value)
    return value if isinstance(value, str) else None
