"""Every example of docs/policies.md is a policy without a mistake, and does what the page says."""

import re
from typing import Any

import pytest
import yaml

from e2e.paths import REPO
from uploadpp.api import API_VERSION, POLICY_KIND
from uploadpp.core.config import Config
from uploadpp.policies.expression import compile_expression
from uploadpp.policies.facts import Facts, named
from uploadpp.policies.policy import read_policy
from uploadpp.policies.policy_set import PolicySet
from uploadpp.policies.subset import MAX_DEPTH, MAX_EXPRESSION, MAX_PATTERN, METHODS, VARIABLES

PAGE = (REPO / "docs/policies.md").read_text()
CHART = yaml.safe_load((REPO / "charts/upload-postprocessing/Chart.yaml").read_text())
SHOWN = yaml.safe_load(CHART["annotations"]["artifacthub.io/crdsExamples"])
EXAMPLES = [yaml.safe_load(text) for text in re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)]
EXAMPLES += [each for each in SHOWN if each["kind"] == POLICY_KIND]
NAME = re.compile(r"`([^` ]*)(?: ([0-9]+))?`")


def rows(head: str) -> list[list[str]]:
    body = PAGE.split(head, 1)[1].split("\n\n", 1)[0].splitlines()[2:]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", row.strip("|"))] for row in body]


EXPRESSIONS = rows("| expression | matches | does not match |")


def test_the_page_has_examples() -> None:
    assert len(EXAMPLES) == 5
    assert len(EXPRESSIONS) == 10


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda each: each["metadata"]["name"])
def test_an_example_is_a_policy_without_mistakes(example: dict[str, Any]) -> None:
    assert (example["apiVersion"], example["kind"]) == (API_VERSION, POLICY_KIND)
    policy = read_policy(example, Config())
    assert [str(problem) for problem in policy.problems if not problem.is_warning] == []
    assert policy.name == example["metadata"]["name"]


@pytest.mark.parametrize("row", EXPRESSIONS, ids=lambda row: row[0])
def test_an_expression_says_what_the_page_says(row: list[str]) -> None:
    expression = compile_expression(row[0].strip("`").replace("\\|", "|"))
    for cell, expected in ((row[1], True), (row[2], False)):
        for name, size in NAME.findall(cell):
            assert expression.matches(named(name, size=int(size or 0))) is expected, name
    if "201 characters" in row[1]:
        assert expression.matches(named("x" * 201))


def test_the_first_example_decides_as_it_is_described() -> None:
    policies = PolicySet([read_policy(EXAMPLES[0], Config())])

    def rule(facts: Facts) -> str:
        choice = policies.choose(facts).choice
        return choice.ref.rule if choice else ""

    assert rule(named("Trip.MP4", size=2 << 30)) == "big-videos"
    assert rule(named("Trip.MP4", size=2)) == ""
    assert rule(named("setup.exe ")) == "programs"
    assert rule(named("a.pdf", space_id="0a4f1b0e-1d7c-4c57-9c0a-7a4f7f8d3c11")) == "accounting"


def test_the_page_names_all_variables_functions_and_limits() -> None:
    assert [row[0] for row in rows("| variable | type | what it is |")] == [f"`{name}`" for name in VARIABLES]
    for method in METHODS:
        assert f"`{method}`" in PAGE
    for limit in (
        f"at most {MAX_EXPRESSION} characters",
        f"up to {MAX_DEPTH} deep",
        f"at most {MAX_PATTERN} ch",
    ):
        assert limit in PAGE
