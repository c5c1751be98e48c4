"""The shapes of the resource whose price is compared: changes to the real CRD and status."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from uploadpp.api.v1alpha1 import SELECTABLE

Json = dict[str, Any]


def _same(status: Json) -> Json:
    return status


@dataclass(frozen=True)
class Shape:
    """One alternative; `change_crd` changes a CRD version in place."""

    name: str
    title: str
    change_crd: Callable[[Json], object] = lambda version: None  # noqa: ARG005
    change_status: Callable[[Json], Json] = _same


def _schemaless(version: Json) -> None:
    open_object = {
        "type": "object",
        "x-kubernetes-preserve-unknown-fields": True,
        "x-kubernetes-map-type": "atomic",
    }
    properties = version["schema"]["openAPIV3Schema"]["properties"]
    properties.update(spec=open_object, status=open_object)
    del version["selectableFields"]


def _nodes(schema: Json) -> Iterator[Json]:
    yield schema
    for each in schema.get("properties", {}).values():
        yield from _nodes(each)
    if "items" in schema:
        yield from _nodes(schema["items"])


def _without(*keywords: str) -> Callable[[Json], None]:
    def change(version: Json) -> None:
        for node in _nodes(version["schema"]["openAPIV3Schema"]):
            for keyword in keywords:
                node.pop(keyword, None)

    return change


def _without_selectors(version: Json) -> None:
    del version["selectableFields"]


def _status(version: Json) -> Json:
    """The fields of the status."""
    fields: Json = version["schema"]["openAPIV3Schema"]["properties"]["status"]["properties"]
    return fields


def opened(status: Json) -> Json:
    """The schema of a status that takes anything, but for the fields that selectors need."""
    selectable = {path.removeprefix(".status.") for path in SELECTABLE}
    return {
        "type": "object",
        "x-kubernetes-preserve-unknown-fields": True,
        "x-kubernetes-map-type": "atomic",
        "properties": {name: field for name, field in status["properties"].items() if name in selectable},
    }


def _open_status(version: Json) -> None:
    properties = version["schema"]["openAPIV3Schema"]["properties"]
    properties["status"] = opened(properties["status"])


def _list_maps(version: Json) -> None:
    status = _status(version)
    _without("x-kubernetes-map-type", "x-kubernetes-list-type")(version)
    status["steps"].update({"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]})
    status["conditions"].update({"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]})


def _old_rules(version: Json) -> None:
    """Each field compared as a whole, and each step by rules of its own: how it was at first."""
    _without("x-kubernetes-validations")(version)
    spec = version["schema"]["openAPIV3Schema"]["properties"]["spec"]
    same = "has(self.{0}) == has(oldSelf.{0}) && (!has(self.{0}) || self.{0} == oldSelf.{0})"
    spec["x-kubernetes-validations"] = [
        {"rule": same.format(name)} for name in ("steps", "retryPolicy", "stallAfterSeconds")
    ]
    spec["properties"]["upload"]["x-kubernetes-validations"] = [{"rule": "self == oldSelf"}]
    steps = spec["properties"]["steps"]
    steps["x-kubernetes-validations"] = [
        {"rule": "self.all(step, self.exists_one(other, other.name == step.name))"}
    ]
    steps["items"]["x-kubernetes-validations"] = [
        {"rule": "self.name != 'finished'"},
        {"rule": "!has(self.backoffSeconds) || self.backoffSeconds >= 0"},
    ]


def _removable(version: Json) -> None:
    """Fields may be added and removed."""
    spec = version["schema"]["openAPIV3Schema"]["properties"]["spec"]
    del spec["properties"]["upload"]["x-kubernetes-validations"]
    kept = ("steps", "desiredState", "restart")
    rules = spec["x-kubernetes-validations"]
    rules[:] = [
        rule
        for rule in rules
        if any(f"Self.{name}" in rule["rule"] for name in kept)
        or rule.get("fieldPath") == ".restart.fromStep"
    ]


def _open_entries(version: Json) -> None:
    status = _status(version)
    for name in ("conditions", "steps"):
        status[name]["items"] = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}


def _compact_steps(version: Json) -> None:
    status = _status(version)
    status["steps"]["items"] = {"type": "string", "maxLength": 2048}


def _as_strings(status: Json) -> Json:
    steps = [" ".join(str(value) for value in step.values()) for step in status["steps"]]
    return {**status, "steps": steps}


def _one_condition(status: Json) -> Json:
    return {**status, "conditions": status["conditions"][:1]}


LIMITS = (
    "x-kubernetes-validations",
    "format",
    "pattern",
    "minLength",
    "maxLength",
    "minimum",
    "maximum",
    "enum",
)
SHAPES = (
    Shape("schemaless", "schemaless, atomic", _schemaless),
    Shape("ours", "the CRD as it is"),
    Shape("open", "… with the status open", _open_status),
    Shape("nocel", "… without CEL", _without("x-kubernetes-validations")),
    Shape("removable", "… without rules on the presence of fields", _removable),
    Shape("oldrules", "… with rules on whole objects", _old_rules),
    Shape("noselect", "… without selectable fields", _without_selectors),
    Shape("nolimits", "… without CEL, limits, enums and formats", _without(*LIMITS)),
    Shape("noformat", "… without formats", _without("format")),
    Shape("listmaps", "… with list-maps instead of atomic", _list_maps),
    Shape("onecondition", "… with one condition", change_status=_one_condition),
    Shape("openentries", "… checked but for what is in conditions and steps", _open_entries),
    Shape("strings", "… each step one string", _compact_steps, _as_strings),
)
"""The first is what the others are compared with."""
