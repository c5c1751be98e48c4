"""Reads charts/*/values.yaml with its comments: one `Value` per documented key.

`# -- text` documents the key below it and makes it a row of the README; `# @schema {…}` adds to what the
type of the default says. A key without `# --` must be a group of documented ones.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

OPTIONAL = "optional"
SECRET = {"pattern": r"^([a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?)?$"}
KEY = {"pattern": r"^[-._a-zA-Z0-9]{1,253}$"}
"""What a Secret, and a key in one, can be called. A Pod waits without end for one that cannot exist."""
_TYPES = {bool: "boolean", int: "integer", str: "string", list: "array", dict: "object"}


@dataclass(frozen=True)
class Value:
    """One key of the values: `children` only for a group, which is closed.

    `fields` are the documented keys of a value that is documented itself: parts of one value, such as the
    defaults of a list's items, not values of their own.
    """

    path: str
    default: Any
    text: str
    extra: dict[str, Any]
    children: tuple["Value", ...] = field(default=())
    fields: tuple["Value", ...] = field(default=())

    @property
    def name(self) -> str:
        """The last part of the path."""
        return self.path.rsplit(".", 1)[-1]

    @property
    def kind(self) -> str:
        """The type in the words of JSON schema."""
        return str(self.extra.get("type") or _TYPES[type(self.default)])

    def leaves(self) -> Iterator["Value"]:
        """This value, or what is in the group."""
        if not self.children:
            yield self
        for child in self.children:
            yield from child.leaves()

    def schema(self) -> dict[str, Any]:
        """The JSON schema of the value."""
        found = {"description": self.text} if self.text else {}
        if self.children:
            group = closed({child.name: child.schema() for child in self.children}, required(self.children))
            return found | group | {"type": ["object", "null"]}
        if "enum" not in self.extra:
            found["type"] = self.kind
        found |= form(self.name)
        extra = {k: v for k, v in self.extra.items() if k != OPTIONAL}
        return found | {"default": self.default} | _with_null(extra)


def _with_null(extra: dict[str, Any]) -> dict[str, Any]:
    """What a map with free keys holds, such as labels, may be `null`, which leaves the key out."""
    held = extra.get("additionalProperties")
    if isinstance(held, dict) and isinstance(held.get("type"), str):
        extra["additionalProperties"] = held | {"type": [held["type"], "null"]}
    return extra


def form(name: str) -> dict[str, Any]:
    """What the name of a value says about the texts that it can be."""
    if name == "existingSecret":
        return SECRET
    return KEY if name == "key" or name.endswith("Key") else {}


def closed(properties: dict[str, Any], required_names: list[str]) -> dict[str, Any]:
    """An object that has these properties and no others."""
    found = {"type": "object", "additionalProperties": False, "properties": properties}
    return found | ({"required": required_names} if required_names else {})


def required(values: tuple[Value, ...]) -> list[str]:
    """What `null` must not remove from a group that is there: a missing number or word means nothing.

    Values that are newer than the first version are `optional`, because `helm upgrade --reuse-values` leaves
    them out.
    """
    return [each.name for each in values if _is_needed(each)]


def _is_needed(value: Value) -> bool:
    if value.children or value.extra.get(OPTIONAL):
        return False
    return bool(value.extra.get("minItems")) or (
        value.default != "" and not isinstance(value.default, dict | list)
    )


def fillable(values: tuple[Value, ...]) -> Iterator[Value]:
    """What templates fill in when it is missing: groups, before what is in them, and new values."""
    for value in values:
        if value.children or value.extra.get(OPTIONAL):
            yield value
        yield from fillable(value.children)


def read_values(path: Path) -> tuple[Value, ...]:
    """The top level of a values file.

    Raises:
        ValueError: a key is not documented.
    """
    text = path.read_text()
    root = yaml.compose(text, yaml.SafeLoader)
    return _children(root, text.splitlines(), "") if isinstance(root, yaml.MappingNode) else ()


def _children(node: yaml.MappingNode, lines: list[str], prefix: str) -> tuple[Value, ...]:
    return tuple(_value(key, child, lines, f"{prefix}{key.value}") for key, child in node.value)


def _value(key: yaml.Node, node: yaml.Node, lines: list[str], path: str) -> Value:
    text, extra = _comment(lines, key.start_mark.line)
    default = _construct(node)
    if text:
        return Value(path, default, text, extra, fields=_fields(node, lines, path))
    if not isinstance(node, yaml.MappingNode) or not node.value:
        raise ValueError(f"line {key.start_mark.line + 1}: {path} has no `# --` comment")
    return Value(path, default, text, extra, _children(node, lines, f"{path}."))


def _fields(node: yaml.Node, lines: list[str], path: str) -> tuple[Value, ...]:
    pairs = node.value if isinstance(node, yaml.MappingNode) else []
    found = (
        _value(key, child, lines, f"{path}.{key.value}") for key, child in pairs if _has_text(key, lines)
    )
    return tuple(found)


def _has_text(key: yaml.Node, lines: list[str]) -> bool:
    return bool(_comment(lines, key.start_mark.line)[0])


def _construct(node: yaml.Node) -> Any:  # noqa: ANN401 -- whatever YAML holds
    loader = yaml.SafeLoader("")
    try:
        return loader.construct_document(node)
    finally:
        loader.dispose()


def _comment(lines: list[str], line: int) -> tuple[str, dict[str, Any]]:
    """The `# --` text and the `# @schema` of the comment right above a line."""
    block: list[str] = []
    while line > 0 and lines[line - 1].strip().startswith("#"):
        line -= 1
        block.insert(0, lines[line].strip().removeprefix("#").strip())
    starts = [number for number, each in enumerate(block) if each.startswith("-- ")]
    if not starts:
        return "", {}
    extra: dict[str, Any] = {}
    words = []
    for each in block[starts[-1] :]:
        if each.startswith("@schema "):
            extra |= json.loads(each.removeprefix("@schema "))
        else:
            words.append(each.removeprefix("-- "))
    return " ".join(words), extra
