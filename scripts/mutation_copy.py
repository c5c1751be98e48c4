"""The copy of the tree that mutmut works in; it is in `.cache/mutation`, which git does not see."""

import ast
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
WORK = ROOT / ".cache" / "mutation"
PACKAGE = "operator/uploadpp"
CORE = f"{PACKAGE}/core"
TESTS = "tests/unit/core"
HELPERS = ("tests/records.py",)
"""What tests of the core share with others."""
LEFT_OUT = "test_states_page.py"
"""It looks at a page of the docs, which is not in the copy."""


def refresh(copy: Path) -> None:
    """Bring the copy up to date; what has not changed keeps its date, which is what mutmut goes by."""
    wanted = {copy / "pyproject.toml": (ROOT / "pyproject.toml").read_text()}
    for folder, target in {PACKAGE: "src/uploadpp", TESTS: TESTS}.items():
        for path in (ROOT / folder).rglob("*.py"):
            text = path.read_text()
            if path.is_relative_to(ROOT / CORE):
                text = without_properties(text)
            wanted[copy / target / path.relative_to(ROOT / folder)] = text
    wanted |= {copy / name: (ROOT / name).read_text() for name in HELPERS}
    wanted = {path: text for path, text in wanted.items() if path.name != LEFT_OUT}
    for path in [*copy.glob("src/**/*.py"), *copy.glob("tests/**/*.py")]:
        if path not in wanted:
            path.unlink()
            mutated = copy / "mutants" / path.relative_to(copy)
            for stale in (mutated, mutated.with_name(f"{mutated.name}.meta")):
                stale.unlink(missing_ok=True)
    for path, text in wanted.items():
        if not path.exists() or path.read_text() != text:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)


def without_properties(source: str) -> str:
    """The same module with `name = property(name)` behind a method in place of the decorator.

    mutmut passes over whatever has a decorator.
    """
    lines = source.splitlines()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef) and _is_property(node):
            lines[node.decorator_list[0].lineno - 1] = ""
            last = (node.end_lineno or node.lineno) - 1
            lines[last] += f"\n{' ' * node.col_offset}{node.name} = property({node.name})"
    return "\n".join(lines) + "\n"


def _is_property(node: ast.FunctionDef) -> bool:
    return [ast.unparse(each) for each in node.decorator_list] == ["property"]


def modules() -> list[Path]:
    """The core's files, as they are in the tree."""
    return sorted((ROOT / CORE).rglob("*.py"))


def dotted(path: Path) -> str:
    """What a module of the core is called in reports: `rules.timers`."""
    return ".".join(path.relative_to(ROOT / CORE).with_suffix("").parts)
