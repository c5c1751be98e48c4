"""The versions that the documentation names are those that are tested."""

import re
from pathlib import Path

from e2e.cluster.natsversions import NEWEST, OLDEST
from e2e.cluster.tools import TOOLS

ROOT = Path(__file__).resolve().parents[2]
TABLE = (ROOT / "docs" / "compatibility.md").read_text()


def versions(of: str) -> tuple[str, str]:
    """Oldest and newest, as the table says."""
    match = re.search(rf"^\| {re.escape(of)} \| (\S+) \| (\S+) \|", TABLE, re.MULTILINE)
    assert match is not None
    return match[1], match[2]


def test_nats() -> None:
    assert versions("NATS server with JetStream") == (OLDEST, NEWEST)


def test_kubernetes() -> None:
    tool = TOOLS["kube-apiserver"]
    oldest = ".".join(map(str, tool.minimum[:2]))
    assert versions("Kubernetes") == (oldest, tool.pinned.removeprefix("v"))


def test_the_readme_says_it() -> None:
    text = (ROOT / "README.md").read_text()
    assert f"NATS {OLDEST} to {NEWEST}" in text
    assert "docs/compatibility.md" in text
