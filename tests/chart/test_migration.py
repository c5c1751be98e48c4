"""The migration pages: their values are taken by chart and operator, and no example stalls an upload."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from e2e.paths import REPO
from tests.chart.rendering import environment, render
from uploadpp import __version__, standin
from uploadpp.process.configuration import read_settings
from uploadpp.process.operator_config import core_config

DOCS = REPO / "docs"
PAGES = sorted(DOCS.glob("migrate-*.md"))
OURS = "# values.yaml of upload-postprocessing"


def blocks(page: Path, language: str) -> list[str]:
    """The blocks of code in a language."""
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)


OUR_VALUES = [
    (page.name, block.splitlines()[0].removeprefix(OURS).strip(", ") or "plain", block)
    for page in PAGES
    for block in blocks(page, "yaml")
    if block.startswith(OURS)
]


@pytest.mark.parametrize(
    ("title", "block"),
    [(title, block) for _, title, block in OUR_VALUES],
    ids=[f"{page}-{title}" for page, title, _ in OUR_VALUES],
)
def test_the_values_work_and_list_only_steps_that_are_served(title: str, block: str) -> None:
    values: dict[str, Any] = yaml.safe_load(block)
    config = core_config(read_settings({}, environment(render(values))))
    served = ["virusscan"] if "virus scanner" in title else []
    assert [step.name for step in config.steps] == served


def test_each_page_begins_without_steps() -> None:
    """Whoever copies the first block has no upload that waits for a service."""
    first = {page: title for page, title, _ in reversed(OUR_VALUES)}
    assert first == dict.fromkeys((page.name for page in PAGES), "plain")


def test_the_stand_in_is_of_the_version_of_the_chart() -> None:
    values = yaml.safe_load((REPO / "charts/upload-postprocessing/values.yaml").read_text())
    pages = [page for page in PAGES if f"services:\n  {standin.SERVICE}:\n    image:" in page.read_text()]
    assert len(pages) == 2
    for page in pages:
        (block,) = [each for each in blocks(page, "yaml") if "services:" in each]
        image = yaml.safe_load(block)["services"][standin.SERVICE]["image"]
        assert image == {"repository": values["image"]["repository"], "tag": __version__}


@pytest.mark.parametrize("page", PAGES, ids=[page.name for page in PAGES])
def test_each_page_has_a_check_and_a_way_back(page: Path) -> None:
    text = page.read_text()
    assert text.index("install") < text.index("Switch the legacy service off") < text.index("The way back")
    commands = "\n".join(blocks(page, "sh"))
    needed = (
        "kubectl pp doctor",
        "helm test",
        "sessions --restart",
        "handBack.enabled=true",
        "handBack.enabled=false",
    )
    for each in needed:
        assert each in commands
    assert f"({page.name})" in (DOCS / "migration.md").read_text()


ADOPTING = DOCS / "adopting.md"
CHANGES = ("helm install ", "helm upgrade ", "docker compose up ")
LOOKS = ("kubectl -n ", "kubectl pp ", "helm test ", "docker compose exec ")


def commands(page: Path) -> list[str]:
    """What is typed, one after the other; a command and what is run if it fails are one."""
    found = re.findall(r"^ *```sh\n(.*?)^ *```", page.read_text(), re.MULTILINE | re.DOTALL)
    typed = re.sub(r"(\|\||\\)\n +", r"\1 ", "\n".join(found))
    return [line.strip() for line in typed.splitlines() if line.strip() and not line.strip().startswith("#")]


@pytest.mark.parametrize("page", [*PAGES, ADOPTING], ids=lambda page: page.name)
def test_whoever_waits_is_told_what_is_missing(page: Path) -> None:
    """Each wait has an end, and says then why; each change has a look after it."""
    typed = commands(page)
    assert sum(each.startswith(CHANGES) for each in typed) >= 4
    for each in typed:
        words = each.split(" || ")[0]
        if re.search(r"rollout status| wait --for", words):
            assert "--timeout=" in words, each
        if re.search(r"rollout status| wait --for| --wait\b", words):
            assert re.search(r" \|\| kubectl -n \S+ (logs|get events) ", each), each
    for each, following in zip(typed, [*typed[1:], ""], strict=True):
        assert not each.startswith(CHANGES) or "||" in each or following.startswith(LOOKS), each
