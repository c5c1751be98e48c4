"""What the documentation says is held by a test is held by one."""

import ast
import re
import tomllib
from collections import Counter
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FINDINGS = 43
FINDING_TEST = re.compile(r"((?:_f\d\d)+)_")


def names_in(path: Path) -> set[str]:
    """The names of the test functions in a file."""
    found = ast.walk(ast.parse(path.read_text()))
    functions = (each for each in found if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef))
    return {each.name for each in functions if each.name.startswith("test_")}


@cache
def all_tests() -> dict[Path, set[str]]:
    """Each file of tests with its test functions."""
    return {path: names_in(path) for path in (ROOT / "tests").rglob("test_*.py")}


def tables(page: str) -> list[list[list[str]]]:
    """The cells of each of a page's tables, without their heads."""
    text = (ROOT / "docs" / page).read_text()
    found = re.findall(r"^\|.*\n\|[-|]+\n((?:\|.*\n?)*)", text, re.MULTILINE)
    return [
        [[cell.strip() for cell in line.strip("|").split("|")] for line in body.splitlines()]
        for body in found
    ]


def rows(page: str) -> list[list[str]]:
    """The cells of a page's first table, without its head."""
    return tables(page)[0]


def test_every_finding_is_listed_with_its_tests() -> None:
    table = rows("findings.md")
    assert [row[0] for row in table] == [str(number) for number in range(1, FINDINGS + 1)]
    known = set.union(*all_tests().values())
    for number, theirs, ours, held in table:
        named = set(re.findall(r"`(test_\w+)`", held))
        assert theirs, number
        assert ours, number
        assert named, number
        assert named <= known, number
        own = {test for test in known if int(number) in numbers(test)}
        assert own <= named, "a test named after a finding that its row does not name"


def test_every_field_case_names_tests_that_exist() -> None:
    known = set.union(*all_tests().values())
    for row in tables("findings.md")[2]:
        case, before, now, held = row
        named = set(re.findall(r"`(test_\w+)`", held))
        assert re.fullmatch(r"[A-K]\d*[a-z]?\+?|S\d[a-z]?\+?", case), case
        assert before, case
        assert now, case
        assert named, case
        assert named <= known, (case, named - known)


def twice(keys: list[frozenset[str]]) -> list[list[str]]:
    """The keys that come more than once: a merge has kept an entry in an earlier wording, too."""
    return [sorted(key) for key, count in Counter(keys).items() if count > 1]


def test_no_field_case_is_listed_twice() -> None:
    cases = [(row[0], re.findall(r"`(test_\w+)`", row[3])) for row in tables("findings.md")[2]]
    assert twice([frozenset((case, *named)) for case, named in cases if len(named) > 1]) == []


def test_no_failure_is_listed_twice() -> None:
    failures = [row[0] for table in tables("failure-modes.md") for row in table]
    assert twice([frozenset((failure,)) for failure in failures]) == []


def test_no_change_is_listed_twice() -> None:
    changes = re.findall(r"^- .*?(?=^[-#]|\Z)", (ROOT / "CHANGELOG.md").read_text(), re.DOTALL | re.MULTILINE)
    names = [frozenset(re.findall(r"`([^`]+)`", re.sub(r"\s+", " ", change))) for change in changes]
    assert twice([each for each in names if len(each) > 2]) == []


def test_the_threat_model_names_tests_that_exist() -> None:
    known = set.union(*all_tests().values())
    attacks = [row for table in tables("security.md")[1:] for row in table]
    assert len(attacks) > 20
    for row in attacks:
        named = set(re.findall(r"`(test_\w+)`", row[-1]))
        assert named, row
        assert named <= known, (row, named - known)


def numbers(test: str) -> set[int]:
    """The findings a test is named after."""
    match = FINDING_TEST.match(test.removeprefix("test"))
    return {int(each) for each in re.findall(r"f(\d\d)", match[1])} if match else set()


@pytest.mark.parametrize("row", rows("guarantees.md"), ids=lambda row: row[0][:40])
def test_every_guarantee_names_tests_that_exist(row: list[str]) -> None:
    named = re.findall(r"`([^`]+)`", row[1])
    assert named
    for each in named:
        path, _, test = each.partition("::")
        assert ROOT / path in all_tests(), each
        assert not test or test in all_tests()[ROOT / path], each


def test_every_way_to_install_names_what_there_is() -> None:
    """One table; the tests of chart, plugin, packages and steps try the ways themselves."""
    page = (ROOT / "docs" / "install.md").read_text()
    table = page.split("## Every way to install\n\n", 1)[1].split("\n\n")[0]
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"make (\w+)", table):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target
    with (ROOT / "pyproject.toml").open("rb") as file:
        assert tomllib.load(file)["project"]["requires-python"] == ">=3.11"
    assert 'requires-python = ">=3.9"' in (ROOT / "operator/kubectl_pp/wheel.toml").read_text()
    for way in (
        "helm install",
        "crds/",
        "uv tool install",
        "pipx install",
        "krew install",
        "curl -L",
        "pip install",
    ):
        assert way in table, way
    for package in re.findall(r"dist/(\w+)-\*\.whl", table):
        assert (ROOT / "operator" / package).is_dir()
    for package in re.findall(r"install ([a-z-]+)`", table):
        assert package in {"uploadpp", "kubectl-pp"}


@pytest.mark.parametrize("page", ["docs/glossary.md", "CONTRIBUTING.md"])
def test_files_and_names_that_a_page_sends_readers_to_exist(page: str) -> None:
    """A path is one of the operator, the plugin or the tree; a `name` in a path is defined there."""
    text = (ROOT / page).read_text()
    bases = (ROOT / "operator" / "uploadpp", ROOT / "operator", ROOT)
    named = set(re.findall(r"`((?:\w+/)+\w+\.py)`", text))
    lost = [each for each in named if not any((base / each).exists() for base in bases)]
    assert lost == []
    defined = re.findall(r"`(\w+)` in `((?:\w+/)+\w+\.py)`", text)
    assert defined
    for name, path in defined:
        (source,) = [(base / path).read_text() for base in bases if (base / path).exists()]
        assert re.search(rf"^(?:def|class) {name}\b", source, re.MULTILINE), f"{path} has no {name}"
