"""Guard: small files. No file with code over 400 lines."""

import subprocess
import sys
from pathlib import Path

LONGEST = 400


def problems(root: Path) -> list[str]:
    """What is too long, in words."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.py", "*.js", "*.css"],  # noqa: S607  # git is on PATH
        cwd=root,
        capture_output=True,
        text=True,
        check=True,
    )
    files = [name for name in listed.stdout.splitlines() if (root / name).exists()]
    lengths = {name: len((root / name).read_text().splitlines()) for name in files}
    return [f"{name}: {n} lines, at most {LONGEST}" for name, n in lengths.items() if n > LONGEST]


if __name__ == "__main__":
    found = problems(Path(__file__).resolve().parent.parent)
    print(*found, sep="\n", end="\n" if found else "")
    sys.exit(bool(found))
