"""What the node image shares with the control plane has one version, so that it is built once."""

import re
from pathlib import Path

from e2e.paths import REPO

LINE = re.compile(r"^\t(\S+) (v\S+)", re.MULTILINE)


def pins(folder: str) -> dict[str, str]:
    text = Path(REPO, "e2e", folder, "go.mod").read_text()
    return dict(LINE.findall(text))


def test_shared_modules_have_the_versions_of_the_control_plane() -> None:
    ours, theirs = pins("kind"), pins("controlplane")
    assert ours["k8s.io/kubernetes"] == theirs["k8s.io/kubernetes"]
    assert {name: version for name, version in ours.items() if theirs.get(name, version) != version} == {}
