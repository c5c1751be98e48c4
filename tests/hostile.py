"""Text made to be slow to read, and how slow it is to read: a multiple of a plain scan."""

import ast
import importlib
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from time import thread_time
from typing import Any, NamedTuple

OPERATOR = Path(__file__).resolve().parent.parent / "operator"
CALLS = {"compile", "match", "fullmatch", "search", "sub", "subn", "split", "findall", "finditer"}
SIZES = (16_000, 64_000)
LARGE = 1_000_000
MOST = 60
"""Plain scans. A pattern that goes back takes hundreds at the smallest size, and more at each larger one."""

ROUGH = (
    "a", " ", "\n", "\0", ".", "'", '"', "\\", "://", "://a@", "a://", "eyJ", "eyJa.", "%3a%2f%2f",
    "😀", "a\u0301", "\u202e", "\ud800", "[", "{", '{"', "1", "9,", "-", "=", "\x1b[31m", "e\u0301\u0302",
)  # fmt: skip
_EACH = re.compile(r"(?s:.)*?\Z")


class Found(NamedTuple):
    """A regular expression and where it stands."""

    where: str
    pattern: re.Pattern[Any]


def patterns() -> list[Found]:
    """Every regular expression of the packages, found in the source; one that cannot be read is an error."""
    found = []
    for path in sorted(OPERATOR.rglob("*.py")):
        text = path.read_text()
        if "import re" not in text:  # most files: to parse all of them takes each pytest worker a second
            continue
        for call in ast.walk(ast.parse(text)):
            if isinstance(call, ast.Call) and _is_re(call.func):
                where = f"{path.relative_to(OPERATOR)}:{call.lineno}"
                found.append(
                    Found(where, re.compile(_value(call.args[0], path, where), _flags(call, path, where)))
                )
    return found


def _is_re(function: ast.expr) -> bool:
    return (
        isinstance(function, ast.Attribute)
        and function.attr in CALLS
        and isinstance(function.value, ast.Name)
        and function.value.id == "re"
    )


def _flags(call: ast.Call, path: Path, where: str) -> int:
    """Positional for `compile` alone; the others here have none."""
    given = [word.value for word in call.keywords if word.arg == "flags"]
    if isinstance(call.func, ast.Attribute) and call.func.attr == "compile":
        given += call.args[1:]
    return int(_value(given[0], path, where)) if given else 0


def _value(expression: ast.expr, path: Path, where: str) -> Any:  # noqa: ANN401 -- text, bytes or flags
    name = ".".join(path.relative_to(OPERATOR).with_suffix("").parts)
    try:
        code = compile(ast.Expression(expression), where, "eval")
        return eval(code, vars(importlib.import_module(name)))  # noqa: S307 -- our own source
    except NameError as error:
        raise AssertionError(
            f"{where}: give this pattern a name in its module, so that it can be tried"
        ) from error


def attacks(pattern: re.Pattern[Any]) -> Iterator[str]:
    """What the pattern itself is made of, and what is rough for any, to be repeated."""
    seen: dict[str, None] = {}
    words: list[str] = []
    _collect(re._parser.parse(pattern.pattern, pattern.flags), words)  # type: ignore[attr-defined]
    singles = list(dict.fromkeys(words))[:6]
    for first in singles:
        seen[first] = None
        for second in singles:
            seen[first + second] = None
    literals = "".join(each for each in words if len(each) == 1)
    for size in (2, 3, 4):
        for at in range(len(literals) - size + 1):
            seen[literals[at : at + size]] = None
    yield from [*seen, "a", "1", " ", "\n"]


def _collect(parsed: Any, words: list[str]) -> None:  # noqa: ANN401 -- what the parser makes
    for kind, value in parsed:
        name = str(kind)
        if name in {"LITERAL", "NOT_LITERAL"}:
            words.append(chr(value) if name == "LITERAL" else "a")
        elif name == "RANGE":
            words.append(chr(value[0]))
        elif name == "CATEGORY":
            words.append(
                {"CATEGORY_DIGIT": "1", "CATEGORY_SPACE": " ", "CATEGORY_WORD": "a"}.get(str(value), "a")
            )
        elif name == "ANY":
            words.append("a")
        elif name == "IN":
            _collect(value, words)
        elif name == "BRANCH":
            for each in value[1]:
                _collect(each, words)
        elif isinstance(value, tuple):
            for each in value:
                if hasattr(each, "data"):
                    _collect(each, words)


def repeated(part: str, size: int) -> str:
    """The part again and again, and in the end what fits no pattern."""
    return (part * (size // len(part) + 1))[: size - 1] + "\uffff"


def slowdown(read: Callable[[str], object], text: str) -> float:
    """How many times longer than a plain look at each character it takes to read this.

    What seems too long is tried once more: the machine may have been busy with something else.
    """
    took, plain = 1e9, 1e-7
    for _ in range(2):
        took, plain = min(took, _seconds(read, text)), max(plain, _seconds(_EACH.match, text))
        if took < MOST * plain:
            break
    return took / plain


def _seconds(read: Callable[[str], object], text: str) -> float:
    began = thread_time()
    read(text)
    return thread_time() - began
