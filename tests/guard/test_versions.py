"""The versions that the documentation names are those that are tested."""

import re
from pathlib import Path

import pytest

from e2e.cluster.natsversions import NEWEST, OLDEST
from e2e.cluster.tools import TOOLS

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = ["docs/compatibility.md", "README.md"]


def versions(of: str, document: str) -> tuple[str, str]:
    """Oldest and newest, as the document's table says."""
    text = (ROOT / document).read_text()
    match = re.search(rf"^\| {re.escape(of)} \| (\S+) \| (\S+) \|", text, re.MULTILINE)
    assert match is not None
    return match[1], match[2]


@pytest.mark.parametrize("document", DOCUMENTS)
def test_nats(document: str) -> None:
    assert versions("NATS server with JetStream", document) == (OLDEST, NEWEST)


@pytest.mark.parametrize("document", DOCUMENTS)
def test_kubernetes(document: str) -> None:
    tool = TOOLS["kube-apiserver"]
    oldest = ".".join(map(str, tool.minimum[:2]))
    assert versions("Kubernetes", document) == (oldest, tool.pinned.removeprefix("v"))
