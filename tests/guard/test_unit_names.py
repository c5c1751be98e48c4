"""A unit test is found by the name of what it tests: `test_MODULE.py`, or `test_MODULE_topic.py`."""

from functools import cache
from pathlib import Path

import pytest

from e2e.paths import REPO

UNIT = REPO / "tests" / "unit"
SOURCES = {
    "kubectl_pp": ("operator/kubectl_pp",),
    "cluster": ("e2e/cluster",),
    "demo": ("e2e/demo",),
    "images": ("e2e/images",),
    "kind": ("e2e/kind",),
    "node": ("e2e/node",),
    "": ("operator/uploadpp", "e2e", "bench"),
}
"""Which folders the tests of a folder are about. Every other folder has the name of one of `uploadpp`."""
EXCEPTIONS = {
    "core/test_findings.py": "what docs/findings.md lists",
    "test_findings.py": "what docs/findings.md lists",
    "core/test_vocabulary.py": "the words of all modules of the core, which others rely on",
    "kubectl_pp/test_windows.py": "what of all modules is different there",
    "test_bounded_time.py": "the regular expressions of all modules",
}


@cache
def modules(folder: str) -> set[str]:
    """The names of modules and packages that tests of a folder may have."""
    found = set()
    for source in SOURCES.get(folder, (f"operator/uploadpp/{folder}",)):
        top = REPO / source
        assert top.is_dir(), f"tests/unit/{folder} is not about a folder"
        found |= {path.stem for path in top.rglob("*.py")}
        found |= {path.parent.name for path in top.rglob("__init__.py")}
    return found - {"__init__", "__main__"}


@pytest.mark.parametrize(
    "path", sorted(UNIT.rglob("test_*.py")), ids=lambda path: str(path.relative_to(UNIT))
)
def test_a_unit_test_has_the_name_of_a_module(path: Path) -> None:
    relative = path.relative_to(UNIT)
    if str(relative) in EXCEPTIONS:
        return
    folder = "" if len(relative.parts) == 1 else relative.parts[0]
    name = path.stem.removeprefix("test_")
    assert any(name == each or name.startswith(f"{each}_") for each in modules(folder))


def test_each_exception_is_there() -> None:
    assert [each for each in EXCEPTIONS if not (UNIT / each).is_file()] == []
