"""The order of a list: who has to act comes first, or what --sort-by asks for."""

from __future__ import annotations

import re
from typing import Any, NamedTuple, Union

from kubectl_pp.errors import UsageError
from kubectl_pp.upload import ENDED, Stage
from uploadpp.core.states import NO_SERVICE, STALLED

NEEDS_A_PERSON = frozenset({STALLED, NO_SERVICE, Stage.HELD, Stage.UPLOAD_FAILED, Stage.UNANSWERED})
AGE = "age"
COLUMNS = {
    "name": ".metadata.name",
    "step": ".status.currentStep",
    "status": ".status.conditions[0].reason",
    "retries": ".status.retryCount",
    AGE: ".metadata.creationTimestamp",
    "progress": ".status.progress",
    "outcome": ".status.outcome",
    "filename": ".spec.upload.filename",
    "size": ".spec.upload.filesize",
    "user": ".spec.upload.userID",
    "space": ".spec.upload.spaceID",
    "next": ".status.nextAttemptTime",
    "message": ".status.conditions[0].message",
}
"""The columns of the CRD, for output that is not a table."""
_PART = re.compile(
    r"""\.?(?P<name>(?:\\.|[^.\[\]{}\\'"@()?*\s])+)"""
    r"""|\[(?P<index>\d{1,9})\]|\['(?P<quoted>[^']*)'\]"""
    r"""|\[\?\(@\.(?P<field>\w+)\s*==\s*["'](?P<value>[^"']*)["']\)\]"""
)


class Condition(NamedTuple):
    """The element of a list whose field has this value."""

    field: str
    value: str


Part = Union[str, int, Condition]


def rank(status: object) -> int:
    """By who has to act on an upload of this status: a person, the operator, nobody."""
    if status in NEEDS_A_PERSON:
        return 0
    return 2 if status in ENDED else 1


def is_path(text: str) -> bool:
    """Whether --sort-by names a field of the resource, as kubectl does it; else it names a column."""
    return text.startswith("{") or "." in text


def parse_path(text: str) -> list[Part]:
    """The parts of a path such as `.metadata.name` or `{.status.conditions[?(@.type=="Finished")].reason}`.

    Raises:
        UsageError: it is not one.
    """
    inner = text[1:-1] if text.startswith("{") and text.endswith("}") else text
    parts: list[Part] = []
    at = 0
    while at < len(inner):
        found = _PART.match(inner, at)
        if found is None:
            break
        parts.append(_part(found))
        at = found.end()
    if at < len(inner) or not parts:
        raise UsageError(
            f"--sort-by: {text!r} is not the path of a field", "such as .metadata.creationTimestamp"
        )
    return parts


def _part(found: re.Match[str]) -> Part:
    if found["index"] is not None:
        return int(found["index"])
    if found["field"] is not None:
        return Condition(found["field"], found["value"])
    return found["quoted"] if found["name"] is None else re.sub(r"\\(.)", r"\1", found["name"])


def value_at(item: object, path: list[Part]) -> Any:  # noqa: ANN401 -- whatever stands there
    """The value at the path; None if there is none."""
    for part in path:
        if isinstance(part, str):
            item = item.get(part) if isinstance(item, dict) else None
        elif not isinstance(item, list):
            return None
        elif isinstance(part, int):
            item = item[part] if part < len(item) else None
        else:
            alike = (e for e in item if isinstance(e, dict) and str(e.get(part.field)) == part.value)
            item = next(alike, None)
    return item


def _sort_key(value: object) -> tuple[int, float, str]:
    """Numbers by size, then texts, then what is not set."""
    if value is None or value == "":
        return 2, 0, ""
    if isinstance(value, (int, float)):
        return 0, value, ""
    return 1, 0, str(value)


class Entry(NamedTuple):
    """What a list is sorted by, and what is printed."""

    name: str
    created: str
    status: object
    value: object
    """What stands at the path or in the column of --sort-by."""
    content: Any


def arranged(entries: list[Entry], by: str) -> list[Entry]:
    """In the order of --sort-by; without it by who has to act, the newest first."""
    found = sorted(entries, key=lambda entry: entry.name)
    found.sort(key=lambda entry: entry.created, reverse=True)
    if not by:
        found.sort(key=lambda entry: rank(entry.status))
    elif by.lower() != AGE:
        found.sort(key=lambda entry: _sort_key(entry.value))
    return found


def path_of(by: str) -> list[Part]:
    """Where in a resource to look for what --sort-by names.

    Raises:
        UsageError: it is neither a column nor a path.
    """
    if is_path(by):
        return parse_path(by)
    if by.lower() not in COLUMNS:
        raise no_column(by, list(COLUMNS))
    return parse_path(COLUMNS[by.lower()])


def no_column(by: str, names: list[str]) -> UsageError:
    """The error for an unknown column."""
    remedy = (
        f"--sort-by takes one of {', '.join(names)}, or the path of a field such as .spec.upload.filesize"
    )
    return UsageError(f"there is no column {by!r}", remedy)
