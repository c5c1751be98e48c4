"""The part of a resource that makes sense: of a status the API server takes any, of a spec an older CRD may.

What is of another type than the operator writes is left out, and texts are made safe to show. Callers need
no checks.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from kubectl_pp.screen import harmless

Json = dict[str, Any]

OBJECTS = frozenset({"log", "order", "streak", "policy"})
LISTS = frozenset({"conditions", "steps", "plan"})
NUMBERS = frozenset(
    {"observedGeneration", "retryCount", "run", "finishes", "releases", "urlRequests", "restarts"}
    | {"attempts", "retries", "sequence", "start", "arrival", "uploads", "counted", "generation"}
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
"""Maximum nesting of objects that are read. Ours have two levels."""
MOST_ITEMS = 1000
"""Maximum length of a list. The CRD allows fewer steps, and lists are searched often."""
MOST_NUMBER = 2**63
"""What the API server counts with. Longer ones, of a proxy, fit into no float."""


class _Shape(NamedTuple):
    """The types of fields, by name. A field in none of these sets is a text."""

    objects: frozenset[str]
    lists: frozenset[str]
    numbers: frozenset[str]
    text: Callable[[str], str]
    """Makes a text safe to show, or leaves it as it is."""


_STATUS = _Shape(OBJECTS, LISTS, NUMBERS, harmless)
_SPEC = _Shape(
    objects=frozenset({"upload", "urlSecretRef", "retryPolicy", "restart"}),
    lists=frozenset({"steps"}),
    numbers=NUMBERS | {"filesize", "maxInFlight"},
    text=str,
)


def sanitized_status(status: object) -> Json:
    """A status without fields of another type than the operator writes. Texts are safe to show."""
    return _object(status, _STATUS, MOST_LEVELS)


def sanitized_spec(spec: object) -> Json:
    """A spec without fields of another type than in the CRD. Texts stay as they are."""
    return _object(spec, _SPEC, MOST_LEVELS)


def _object(value: object, shape: _Shape, levels: int) -> Json:
    if not isinstance(value, dict) or not levels:
        return {}
    read = {name: _field(name, each, shape, levels - 1) for name, each in value.items()}
    return {name: each for name, each in read.items() if each is not None}


def _field(name: str, value: object, shape: _Shape, levels: int) -> object:
    if name in shape.lists:
        return _items(value, shape, levels)
    if name in shape.objects:
        return _object(value, shape, levels)
    if name in shape.numbers:
        return _number(value)
    return shape.text(value) if isinstance(value, str) else None


def _items(values: object, shape: _Shape, levels: int) -> list[Json] | None:
    if not isinstance(values, list):
        return None
    return [_object(each, shape, levels) for each in values[:MOST_ITEMS] if isinstance(each, dict)]


def _number(value: object) -> int | None:
    return value if isinstance(value, int) and -MOST_NUMBER <= value < MOST_NUMBER else None
