"""Writes docs/kubectl-pp.md from the plugin's own help."""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "operator"))

from kubectl_pp.help import document  # noqa: E402 -- found through the path just set

if __name__ == "__main__":
    (ROOT / "docs/kubectl-pp.md").write_text(document())
