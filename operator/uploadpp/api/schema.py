"""Pydantic models to the structural schema a CRD wants.

A structural schema knows no references, no unions with null and no titles; objects and
lists are atomic, which saves a third of the price of each write (docs/adr/0002).
"""

from typing import Any

from pydantic import BaseModel

Schema = dict[str, Any]

KEPT = (
    "description",
    "type",
    "format",
    "default",
    "enum",
    "pattern",
    "minLength",
    "maxLength",
    "minimum",
    "maximum",
    "minItems",
    "maxItems",
    "required",
    "x-kubernetes-validations",
)
"""Keywords that are taken over as they are, in the order they are written."""


def structural(model: type[BaseModel]) -> Schema:
    """The structural schema of a model."""
    schema = model.model_json_schema(by_alias=True)
    definitions = schema.pop("$defs", {})
    return _node(schema, definitions)


def _node(schema: Schema, definitions: dict[str, Schema]) -> Schema:
    resolved = _resolved(schema, definitions)
    kind = resolved["type"]
    node = {keyword: resolved[keyword] for keyword in KEPT if resolved.get(keyword) is not None}
    if "description" in node:
        node["description"] = " ".join(node["description"].split())
    if kind == "object":
        node["x-kubernetes-map-type"] = "atomic"
        node["properties"] = {name: _node(each, definitions) for name, each in resolved["properties"].items()}
    if kind == "array":
        keys = resolved.get("x-kubernetes-list-map-keys")
        node["x-kubernetes-list-type"] = "map" if keys else "atomic"
        if keys:
            node["x-kubernetes-list-map-keys"] = keys
        node["items"] = _node(resolved["items"], definitions)
    return node


def _resolved(schema: Schema, definitions: dict[str, Schema]) -> Schema:
    """The schema with its reference, or the one alternative that is not null, merged in."""
    if "$ref" in schema:
        target = definitions[schema["$ref"].rpartition("/")[2]]
        return _merged(_resolved(target, definitions), schema)
    if "anyOf" in schema:
        (only,) = (each for each in schema["anyOf"] if each.get("type") != "null")
        return _merged(_resolved(only, definitions), schema)
    return schema


def _merged(inner: Schema, outer: Schema) -> Schema:
    """The field's own words win over those of its type; the rules of both apply."""
    rules = [
        *inner.get("x-kubernetes-validations", ()),
        *outer.get("x-kubernetes-validations", ()),
    ]
    merged = {**inner, **{name: value for name, value in outer.items() if name not in {"$ref", "anyOf"}}}
    return {**merged, "x-kubernetes-validations": rules} if rules else merged
