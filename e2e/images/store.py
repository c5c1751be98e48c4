"""Where images are kept once they are made."""

import fcntl
from collections.abc import Callable
from pathlib import Path

from e2e.paths import cache_dir


def kept(name: str, version: str, make: Callable[[Path], object]) -> Path:
    """The archive of that name and version, made unless it is there; earlier versions go."""
    folder = cache_dir() / "images"
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / f"{name}-{version}.tar"
    with (folder / f".{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not target.exists():
            make(target)
            for old in folder.glob(f"{name}-*.tar"):
                if old != target:
                    old.unlink()
    return target
