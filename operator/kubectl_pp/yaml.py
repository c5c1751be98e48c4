"""Just enough YAML to write what the API server sends, in the style of `kubectl get -o yaml`."""

import json
import re
from collections.abc import Iterator

_PLAIN = re.compile(r"[A-Za-z/][A-Za-z0-9_./@%+-]*(?:[ ][A-Za-z0-9_./@%+()-]+)*")
ASTRAL = 0x10000
_WORDS = frozenset({"true", "false", "null", "yes", "no", "on", "off", "y", "n"})


def dump(value: object) -> str:
    """A document."""
    return "\n".join(_block(value)) + "\n"


def _block(value: object) -> Iterator[str]:
    if isinstance(value, dict) and value:
        for key in sorted(value):
            yield from _entry(f"{_scalar(key)}:", value[key], "")
    elif isinstance(value, list) and value:
        for item in value:
            lines = list(_block(item))
            yield f"- {lines[0]}"
            yield from (f"  {line}" for line in lines[1:])
    else:
        yield _scalar(value)


def _entry(head: str, value: object, indent: str) -> Iterator[str]:
    if not isinstance(value, (dict, list)) or not value:
        yield f"{indent}{head} {_scalar(value)}"
        return
    yield f"{indent}{head}"
    inner = "  " if isinstance(value, dict) else ""
    yield from (f"{indent}{inner}{line}" for line in _block(value))


def _scalar(value: object) -> str:
    if isinstance(value, str) and _PLAIN.fullmatch(value) and value.lower() not in _WORDS:
        return value
    if not isinstance(value, str):
        return json.dumps(value)
    return "".join(c if c.isprintable() else _escape(c) for c in json.dumps(value, ensure_ascii=False))


def _escape(character: str) -> str:
    """As JSON does, but YAML knows no surrogate pairs."""
    code = ord(character)
    return f"\\u{code:04x}" if code < ASTRAL else f"\\U{code:08x}"
