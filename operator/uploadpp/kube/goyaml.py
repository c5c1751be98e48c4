"""YAML as kubectl reads it: numbers, true and false have a type of their own, all other scalars are texts.

To Python's reader `2024-01-01` is a date and `10:20` a number of minutes, it knows no tags of others, and a
tab stops it anywhere. To kubectl `y` is true, `1e3` is a number, and tabs may stand where no line begins.
"""

import re
from base64 import b64decode
from collections.abc import Iterator
from typing import Any, ClassVar

import yaml

MOST_MERGED = 10_000
"""Fields that `<<` adds to objects. Each alias may double them, so a short file could fill the memory."""


class _Loader(yaml.SafeLoader):
    """YAML in which merging is bounded, and tabs count as spaces where Go's reader takes them."""

    merged = 0
    bool_values: ClassVar = {**yaml.SafeLoader.bool_values, "y": True, "n": False}

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        """Read a node. The name of an anchor may be used again; the last one before an alias counts."""
        if not self.check_event(yaml.AliasEvent):
            self.anchors.pop(self.peek_event().anchor, None)  # type: ignore[no-untyped-call]
        return super().compose_node(parent, index)

    def scan_to_next_token(self) -> None:
        """Go to the next token. A tab before one is an error only where it could be an indentation."""
        super().scan_to_next_token()
        while self.peek() == "\t" and (self.flow_level or not self.allow_simple_key):
            self.forward()
            super().scan_to_next_token()

    def scan_plain_spaces(self, indent: int, start_mark: yaml.Mark) -> list[str] | None:
        """The spaces after a word of a text without quotes; the text may go on behind them."""
        length = 0
        while self.peek(length) in " \t":
            length += 1
        blanks = self.prefix(length)
        if "\t" in blanks:
            self.forward(length)
            if self.peek() not in "\r\n\x85\u2028\u2029":
                return [blanks]
        found: list[str] | None = super().scan_plain_spaces(indent, start_mark)
        return found

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        """Put what `<<` names into an object."""
        super().flatten_mapping(node)
        self.merged += len(node.value)
        if self.merged > MOST_MERGED:
            raise yaml.MarkedYAMLError(problem="too much is merged", problem_mark=node.start_mark)


def documents(text: bytes) -> Iterator[Any]:
    """The documents of a file, read one by one.

    Raises:
        yaml.YAMLError, RecursionError: it is not YAML.
        ValueError, ArithmeticError, LookupError, TypeError, AttributeError: a value cannot be one.
    """
    found: Iterator[Any] = yaml.load_all(text, _Loader)
    return found


def _text(loader: yaml.SafeLoader, node: yaml.Node) -> str:
    found = str(loader.construct_scalar(node))  # type: ignore[arg-type]
    if any("\ud800" <= char <= "\udfff" for char in found):
        raise yaml.MarkedYAMLError(problem="half a character", problem_mark=node.start_mark)
    return found


def _bytes(loader: yaml.SafeLoader, node: yaml.Node) -> str:
    return b64decode(_text(loader, node)).decode()


def _any(loader: yaml.SafeLoader, node: yaml.Node) -> object:
    """What has a tag that nobody knows."""
    if isinstance(node, yaml.MappingNode):
        return loader.construct_mapping(node, deep=True)
    if isinstance(node, yaml.SequenceNode):
        return loader.construct_sequence(node, deep=True)
    return _text(loader, node)


def _integer(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> object:
    return node.value if ":" in node.value else loader.construct_yaml_int(node)


def _float(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> object:
    return node.value if ":" in node.value else loader.construct_yaml_float(node)


_TAG = "tag:yaml.org,2002:"
for _name in ("str", "timestamp", "value"):
    _Loader.add_constructor(f"{_TAG}{_name}", _text)
_Loader.add_constructor(f"{_TAG}binary", _bytes)
_Loader.add_constructor(f"{_TAG}int", _integer)
_Loader.add_constructor(f"{_TAG}float", _float)
_Loader.add_constructor(None, _any)
_Loader.add_implicit_resolver(f"{_TAG}bool", re.compile("^[yYnN]$"), list("yYnN"))
_Loader.add_implicit_resolver(f"{_TAG}int", re.compile("^[-+]?0o[0-7]+$"), list("-+0"))
_Loader.add_implicit_resolver(
    f"{_TAG}float",
    re.compile(r"^[-+]?(?:\.[0-9]+|[0-9]++(?:\.[0-9]*+)?)(?:[eE][-+]?[0-9]+)?$"),
    list("-+.0123456789"),
)
