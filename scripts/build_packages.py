"""Builds the packages for pip and uv: `uploadpp` (operator, steps) and `kubectl-pp` (the plugin alone)."""

import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "operator"))

from plugin_sources import ROOT, sources

from uploadpp import __version__

TEMPLATE = ROOT / "operator/kubectl_pp/wheel.toml"


def build(target: Path) -> None:
    """Write a wheel and an archive of sources of each."""
    target.mkdir(parents=True, exist_ok=True)
    _hatch(ROOT, target)
    with tempfile.TemporaryDirectory() as folder:
        stage = Path(folder)
        for name, content in sources().items():
            path = stage / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        (stage / "pyproject.toml").write_text(TEMPLATE.read_text().replace("@VERSION@", __version__))
        (stage / "README.md").write_bytes((ROOT / "docs/kubectl-pp.md").read_bytes())
        (stage / "LICENSE").write_bytes((ROOT / "LICENSE").read_bytes())
        _hatch(stage, target)


def _hatch(folder: Path, target: Path) -> None:
    command = [sys.executable, "-m", "hatchling", "build", "--directory", str(target.resolve())]
    subprocess.run(  # noqa: S603 -- our own folders
        command, cwd=folder, check=True, stdout=subprocess.DEVNULL
    )


if __name__ == "__main__":
    build(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "dist")
