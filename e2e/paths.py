"""Where things are on this machine."""

import os
import tempfile
from pathlib import Path

REPO = Path(__file__).resolve().parent.parent


def cache_dir() -> Path:
    """The project's folder in the user's cache: built binaries and running instances."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "uploadpp"


class CacheUnwritableError(RuntimeError):
    """Nothing can be kept on this machine; the message says what to do."""


def cache_folder(*names: str, mode: int = 0o777) -> Path:
    """A folder in the cache that is there and can be written to.

    Raises:
        CacheUnwritableError: it cannot.
    """
    folder = cache_dir().joinpath(*names)
    try:
        folder.mkdir(mode=mode, parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):  # root may write everywhere but to what is read-only
            pass
    except OSError as error:
        raise CacheUnwritableError(
            f"cannot write {folder}: {error.strerror}; set XDG_CACHE_HOME to a folder that you may write to"
        ) from error
    return folder
