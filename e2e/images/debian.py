"""Root file systems of Debian packages, for images that have no other base."""

import os
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path

from e2e.cluster.progress import run_slowly

SUITE = "bookworm"
PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

# Ends with us, and then nothing stays mounted.
ALONE = [
    "setpriv",
    "--pdeathsig",
    "KILL",
    "unshare",
    "--mount",
    "--pid",
    "--fork",
    "--kill-child",
    "--mount-proc",
]

_LEFT_OUT = ("./dev/*", "./var/cache/apt/*", "./var/lib/apt/lists/*", "./var/log/*", "./usr/share/doc/*")


def make_root(root: Path, packages: Sequence[str], what: str, *, log: Path) -> None:
    """Install packages, and what they need, into a new folder; `what` is said meanwhile."""
    include = f"--include={','.join(packages)}"
    debootstrap = ["debootstrap", "--variant=minbase", include, SUITE, str(root)]
    run_slowly(what, [*ALONE, *debootstrap], log=log, cwd=root.parent, env=os.environ)


def write_root(layer: Path, root: Path, *, left_out: Iterable[str] = ()) -> None:
    """A layer of the whole folder."""
    _tar(layer, root, *(f"--exclude={each}" for each in (*_LEFT_OUT, *left_out)), ".")


def write_packages(layer: Path, root: Path, packages: Sequence[str], patterns: Sequence[str] = ()) -> None:
    """A layer of the files of some packages, and of what matches patterns."""
    query = ["chroot", str(root), "dpkg-query", "--listfiles", *packages]
    listed = subprocess.run(query, check=True, capture_output=True, text=True).stdout.split("\n")
    files = {name.lstrip("/") for name in listed if name.startswith("/") and not (root / name[1:]).is_dir()}
    files |= {str(path.relative_to(root)) for pattern in patterns for path in root.glob(pattern)}
    names = layer.with_suffix(".names")
    names.write_text("\n".join(sorted(files)))
    _tar(layer, root, "--exclude=usr/share/*", f"--files-from={names}")


def _tar(layer: Path, root: Path, *words: str) -> None:
    tar = ["tar", "--sort=name", "--numeric-owner", "--mtime=@0", f"--directory={root}"]
    subprocess.run([*tar, f"--file={layer}", "--create", *words], check=True)
