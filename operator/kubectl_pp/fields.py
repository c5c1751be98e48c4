"""Field selectors, evaluated here where the API server cannot: its CRD may be older than the plugin."""

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

from kubectl_pp.errors import PluginError

SELECTABLE = (
    "status.currentStep",
    "status.outcome",
    "status.completionTime",
    "spec.desiredState",
    "spec.restart.token",
    "spec.upload.id",
    "spec.upload.spaceID",
    "spec.upload.userID",
)
"""The selectable fields of our CRD version. An older CRD has fewer."""
ALWAYS = ("metadata.name", "metadata.namespace")
_UNSUPPORTED = re.compile(r"field label not supported: (\S+)")
_TERM = re.compile(r"((?:\\.|[^\\,])*)(?:,|$)", re.DOTALL)
_OPERATOR = re.compile(r"(?<!\\)(!=|==|=)")


class Condition(NamedTuple):
    """A field has a value, or another one; what is not set is empty."""

    path: str
    value: str
    equal: bool

    def holds(self, item: dict[str, Any]) -> bool:
        """Whether an object meets it."""
        found: Any = item
        for name in self.path.split("."):
            found = found.get(name) if isinstance(found, dict) else None
        text = "" if found is None else str(found).lower() if isinstance(found, bool) else str(found)
        return (text == self.value) is self.equal


def conditions(selector: str) -> list[Condition]:
    """The conditions of a field selector.

    Raises:
        PluginError: it is not one.
    """
    found = []
    for term in (match[1] for match in _TERM.finditer(selector) if match[1]):
        operator = _OPERATOR.search(term)
        if operator is None:
            raise PluginError(f"invalid field selector {term!r}", "such as status.currentStep=virusscan")
        value = re.sub(r"\\(.)", r"\1", term[operator.end() :])
        found.append(Condition(term[: operator.start()].strip(), value, operator[1] != "!="))
    return found


def is_lacking(error: PluginError) -> bool:
    """Whether an API server has refused a field that our CRD would let select."""
    match = _UNSUPPORTED.search(str(error))
    return match is not None and match[1].strip("\"'") in SELECTABLE


def split(params: dict[str, str]) -> tuple[dict[str, str], list[Condition]]:
    """Parameters that every API server accepts, and the conditions that must be checked here."""
    every = conditions(params.get("fieldSelector", ""))
    kept = [each for each in every if each.path in ALWAYS]
    words = [f"{each.path}{'=' if each.equal else '!='}{each.value}" for each in kept]
    rest = {key: value for key, value in params.items() if key != "fieldSelector"}
    if "includeObject" in rest:
        rest["includeObject"] = "Object"
    return (rest | {"fieldSelector": ",".join(words)} if words else rest), [e for e in every if e not in kept]


def kept(page: dict[str, Any], wanted: Sequence[Condition]) -> dict[str, Any]:
    """A page of a list or of a table with what meets all conditions."""
    if not wanted:
        return page
    found = dict(page)
    if "items" in page:
        found["items"] = [item for item in page["items"] if all(each.holds(item) for each in wanted)]
    if page.get("rows"):
        found["rows"] = [row for row in page["rows"] if all(each.holds(row["object"]) for each in wanted)]
    return found
