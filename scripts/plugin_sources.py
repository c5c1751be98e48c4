"""The files of the plugin as they are shipped, with a copy of what it shares with the operator.

In the repository it imports them from `uploadpp`. Shipped, they are in `kubectl_pp.shared`: the plugin
can then be installed beside the operator's package, and without it. On the way they become Python 3.9.
"""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
OPERATOR = ROOT / "operator"
SHARED = ("core/line_buffer", "core/naming", "core/nesting", "core/states", "core/text", "http/heads")
PAGE = "kubectl_pp/ui/page"
"""What `kubectl pp ui` serves."""

_IMPORT = re.compile(r"^(\s*from )uploadpp(?:\.core|\.http)?((?:\.\w+)? import )", re.MULTILINE)
_POSSESSIVE = re.compile(r"(?<=[+*}])\+")
_EMPTY = '"""What the plugin shares with the operator; scripts/plugin_sources.py copies it."""\n\n'


def sources() -> dict[str, bytes]:
    """The content of each file by its path in the package."""
    found: dict[str, bytes] = {}
    for path in sorted((OPERATOR / "kubectl_pp").rglob("*.py")):
        found[str(path.relative_to(OPERATOR))] = shared_imports(path.read_text()).encode()
    version = (OPERATOR / "uploadpp/__init__.py").read_text().split("\n\n", 1)[1]
    found["kubectl_pp/shared/__init__.py"] = (_EMPTY + version).encode()
    for name in SHARED:
        text = (OPERATOR / f"uploadpp/{name}.py").read_text()
        found[f"kubectl_pp/shared/{name.rpartition('/')[2]}.py"] = for_old_pythons(text).encode()
    for path in sorted((OPERATOR / PAGE).iterdir()):
        found[f"{PAGE}/{path.name}"] = path.read_bytes()
    return found


def shared_imports(text: str) -> str:
    """Code of the plugin, which finds what it shares with the operator in its own package.

    Raises:
        ValueError: it uses something of the operator that is not shipped.
    """
    text = _IMPORT.sub(r"\1kubectl_pp.shared\2", text)
    if left := re.search(r"^\s*(?:from|import) uploadpp.*", text, re.MULTILINE):
        raise ValueError(f"{left[0].strip()!r}: the plugin has no such module")
    return text


def for_old_pythons(text: str) -> str:
    """Code of the operator with a substitute for `StrEnum`, and without the possessive quantifiers of 3.11.

    No pattern there has anything behind such a quantifier that could fail, so the copy matches the same.
    """
    text = text.replace("from enum import StrEnum", "from kubectl_pp.older import StrEnum")
    lines = [_POSSESSIVE.sub("", line) if "re.compile(r" in line else line for line in text.split("\n")]
    return "\n".join(lines)
