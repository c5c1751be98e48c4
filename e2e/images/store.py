"""Where images are kept once they are made."""

import fcntl
import shutil
from collections.abc import Callable
from pathlib import Path

from e2e.paths import cache_folder

Make = Callable[[Path, Path], object]
"""Makes an archive; the second path is a folder for whatever it needs meanwhile."""


def kept(name: str, version: str, make: Make) -> Path:
    """The archive of that name and version, made unless it is there; earlier versions go."""
    folder = cache_folder("images")
    target, work = folder / f"{name}-{version}.tar", folder / f".{name}.work"
    with (folder / f".{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not target.exists():
            shutil.rmtree(work, ignore_errors=True)  # of one who was killed
            work.mkdir()
            try:
                make(target, work)
            finally:
                shutil.rmtree(work, ignore_errors=True)
            for old in folder.glob(f"{name}-*.tar"):
                if old != target:
                    old.unlink()
    return target
