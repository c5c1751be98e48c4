"""Every page is found and every link leads somewhere, on GitHub and on the site of `make docs`."""

import posixpath
import re
import runpy
import subprocess
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from e2e.paths import REPO

DOCS = REPO / "docs"
LINK = re.compile(r"\[(?:[^][]|\[[^][]*\])*\]\(([^)\s]+)\)")
PAGES = {path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md")}
DECISIONS = {page for page in PAGES if re.match(r"adr/\d", page)}
HOOK = runpy.run_path(str(REPO / "scripts" / "site_hook.py"))


class Loader(yaml.SafeLoader):
    """Reads mkdocs.yml without the Python objects that it names."""


Loader.add_multi_constructor("tag:yaml.org,2002:python/", lambda *_: None)


def tracked() -> list[str]:
    found = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=REPO,
        capture_output=True,
        text=True,
        check=True,
    )
    return found.stdout.splitlines()


FILES = frozenset(name for name in tracked() if (REPO / name).is_file())
FOLDERS = frozenset(parent.as_posix() for name in FILES for parent in Path(name).parents)
TEXTS = sorted(name for name in FILES if name.endswith(".md"))


def prose(text: str) -> str:
    """A page without its blocks of code, and without code in its lines."""
    return re.sub(r"`[^`\n]*`", "`", re.sub(r"^( *)```.*?^\1```", "", text, flags=re.MULTILINE | re.DOTALL))


@cache
def anchors(name: str) -> frozenset[str]:
    """The anchors of a page, as GitHub makes them."""
    text = re.sub(r"^( *)```.*?^\1```", "", (REPO / name).read_text(), flags=re.MULTILINE | re.DOTALL)
    seen: dict[str, int] = {}
    found = set(re.findall(r'<a id="([^"]+)"', text))
    for title in re.findall(r"^#{1,6} +(.+?)(?: #+)?$", text, re.MULTILINE):
        plain = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", title)
        slug = re.sub(r"[^\w\- ]", "", plain.strip().lower()).replace(" ", "-")
        count = seen[slug] = seen.get(slug, -1) + 1
        found.add(f"{slug}-{count}" if count else slug)
    return frozenset(found)


def in_nav(entry: Any) -> set[str]:  # noqa: ANN401 -- as YAML nests it
    if isinstance(entry, str):
        return {entry}
    return set().union(*(in_nav(each) for each in (entry.values() if isinstance(entry, dict) else entry)))


def test_every_page_is_in_the_navigation() -> None:
    settings = yaml.load((REPO / "mkdocs.yml").read_text(), Loader)  # noqa: S506 -- a safe one
    assert in_nav(settings["nav"]) == PAGES - DECISIONS, "add the page to `nav` in mkdocs.yml"


def test_a_page_asks_nobody_for_anything() -> None:
    settings = yaml.load((REPO / "mkdocs.yml").read_text(), Loader)  # noqa: S506 -- a safe one
    assert settings["theme"]["font"] is False, "fonts would come from Google"
    assert "repo_url" not in settings, "each page would ask GitHub for stars"


@pytest.mark.parametrize(
    ("index", "pages"),
    [("README.md", PAGES - DECISIONS - {"README.md"}), ("adr/README.md", DECISIONS)],
    ids=["docs", "decisions"],
)
def test_every_page_is_in_the_index_of_its_folder(index: str, pages: set[str]) -> None:
    folder = posixpath.dirname(index)
    links = LINK.findall((DOCS / index).read_text())
    found = {posixpath.normpath(posixpath.join(folder, link.partition("#")[0])) for link in links}
    assert pages - found == set(), f"name the page in docs/{index}"


@pytest.mark.parametrize("name", TEXTS)
def test_links_lead_somewhere(name: str) -> None:
    for link in LINK.findall(prose((REPO / name).read_text())):
        target, _, anchor = link.partition("#")
        if re.match(r"[a-z]+:", target):
            continue
        path = posixpath.normpath(posixpath.join(posixpath.dirname(name), target)) if target else name
        assert path in FILES or path in FOLDERS, link
        if anchor and path.endswith(".md"):
            assert anchor in anchors(path), link


def rewritten(line: str, page: str = "install.md") -> str:
    done = HOOK["on_page_markdown"](line, page=SimpleNamespace(file=SimpleNamespace(src_uri=page)))
    return str(done)


@pytest.mark.parametrize(
    ("page", "link", "leads_to"),
    [
        ("install.md", "steps.md#x", "steps.md#x"),
        ("adr/0001-x.md", "../steps.md", "../steps.md"),
        (
            "install.md",
            "../SECURITY.md",
            "https://github.com/uploadpp/upload-postprocessing/blob/main/SECURITY.md",
        ),
        (
            "adr/0001-x.md",
            "../../examples/step",
            "https://github.com/uploadpp/upload-postprocessing/tree/main/examples/step",
        ),
        (
            "steps.md",
            "../charts/x/README.md#a-b",
            "https://github.com/uploadpp/upload-postprocessing/blob/main/charts/x/README.md#a-b",
        ),
        ("steps.md", "https://example.com/../x", "https://example.com/../x"),
    ],
)
def test_links_out_of_the_site_lead_to_the_repository(page: str, link: str, leads_to: str) -> None:
    assert rewritten(f"a [b]({link}) c", page) == f"a [b]({leads_to}) c"


def test_what_belongs_to_an_item_is_indented_for_the_site() -> None:
    text = "1. one\n\n   ```sh\n   [a](../b)\n   ```\n2. two\n   more\n\nend\n   kept"
    assert rewritten(text) == "1. one\n\n    ```sh\n    [a](../b)\n    ```\n2. two\n    more\n\nend\n   kept"


@pytest.mark.parametrize(
    ("html", "loads"),
    [
        ('<script src="https://unpkg.com/x.js">', True),
        ("<img alt=x src='//example.com/x.png'>", True),
        ('<link rel="stylesheet" href="https://fonts.example/css">', True),
        ("@import url(https://example.com/x.css)", True),
        ("a{background:url('https://example.com/x')}", True),
        ('<a href="https://example.com">', False),
        ('<link rel="canonical" href="https://example.com">', False),
        ('<script src="assets/x.js">', False),
    ],
)
def test_what_a_page_loads_from_elsewhere_is_noticed(html: str, *, loads: bool) -> None:
    assert bool(HOOK["_LOADED"].search(html)) is loads
