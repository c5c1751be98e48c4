"""The files for k9s: their form, and that what they call exists."""

import re
from typing import Any

import yaml

from e2e.cluster.tools import TOOLS
from e2e.paths import REPO
from kubectl_pp.catalog import BY_NAME
from uploadpp.api import CRD_NAME, PLURAL

FOLDER = REPO / "docs/k9s"
CRD = REPO / "crds" / f"{CRD_NAME}.yaml"
FIELDS = {
    "shortCut",
    "override",
    "description",
    "confirm",
    "dangerous",
    "scopes",
    "command",
    "background",
    "args",
}
"""Of a plugin; its schema in k9s names no other but overwriteOutput, and asks for those of REQUIRED."""
REQUIRED = {"shortCut", "description", "scopes", "command"}


def read(name: str) -> Any:  # noqa: ANN401 -- YAML
    return yaml.safe_load((FOLDER / name).read_text())


def test_plugins_call_verbs_that_exist() -> None:
    plugins = read("plugins.yaml")["plugins"]
    for name, plugin in plugins.items():
        assert plugin.keys() <= FIELDS
        assert plugin.keys() >= REQUIRED
        assert plugin["scopes"] == [PLURAL]
        words = " ".join([plugin["command"], *map(str, plugin["args"])])
        verb = re.search(r"(?:kubectl )?pp (\w+)", words)
        assert verb is not None
        assert verb[1] in BY_NAME
        assert name == f"pp-{verb[1]}"
        for flag in ("$NAME", "-n $NAMESPACE", "--context $CONTEXT"):
            assert flag in words
        changes = verb[1] in {"resume", "restart", "cancel"}
        assert plugin.get("confirm", False) is plugin.get("dangerous", False) is changes
    keys = [plugin["shortCut"] for plugin in plugins.values()]
    assert len(set(keys)) == len(keys)
    page = (REPO / "docs/k9s.md").read_text()
    assert all(f"| {key} |" in page for key in keys)


def test_columns_are_those_of_the_crd() -> None:
    (view,) = read("views.yaml")["views"].items()
    crd = yaml.safe_load(CRD.read_text())
    (version,) = crd["spec"]["versions"]
    assert view[0] == f"{crd['spec']['group']}/{version['name']}/{crd['spec']['names']['plural']}"
    known = {column["name"].upper() for column in version["additionalPrinterColumns"]}
    assert set(view[1]["columns"]) <= known | {"NAME", "NAMESPACE"}
    assert view[1]["sortColumn"].partition(":")[0] in view[1]["columns"]


def test_the_page_names_the_version_that_tests_build() -> None:
    """tests/plugin/test_k9s.py presses the keys in it."""
    named = re.search(r"with k9s (\d+\.\d+\.\d+)\.", (REPO / "docs/k9s.md").read_text())
    assert named
    assert TOOLS["k9s"].pinned == f"v{named[1]}"
