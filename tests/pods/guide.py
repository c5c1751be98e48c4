"""What docs/install.md tells people to do, read from there."""

import re
import shlex
from typing import Any

import yaml

from e2e.cluster.helm import CHART
from e2e.paths import REPO

_GUIDE = (REPO / "docs" / "install.md").read_text()
_INSTALL = _GUIDE.split("\n## 2. Install\n")[1].split("\n## ")[0]


def values() -> dict[str, Any]:
    """The values.yaml that it shows."""
    found: dict[str, Any] = yaml.safe_load(_block("yaml"))
    return found


def commands() -> list[list[str]]:
    """Its commands, with this working copy's chart in the place of the published one."""
    text = _block("sh").replace("\\\n", " ")
    published = r"oci://\S+/upload-postprocessing\b"
    assert len(re.findall(published, text)) == 1
    return [shlex.split(line) for line in re.sub(published, str(CHART), text).splitlines()]


def _block(language: str) -> str:
    """The first block of code in that language."""
    found = re.search(rf"^```{language}\n(.*?)^```", _INSTALL, re.MULTILINE | re.DOTALL)
    assert found is not None
    return found[1]
