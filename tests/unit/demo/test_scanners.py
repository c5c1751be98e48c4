"""The EICAR test file is nowhere in the repository."""

from pathlib import Path

from e2e.demo.steps.scanners import eicar
from e2e.paths import REPO


def test_virus_scanners_leave_the_repository_alone() -> None:
    folders = (REPO / name for name in ("e2e", "tests", "operator", "docs"))
    sources = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    assert not [path for path in sources if eicar() in path.read_bytes()]
    assert eicar() not in Path(REPO / "README.md").read_bytes()
