"""Folders for the files of uploads: each user's file is gone when its work ends, also after a kill -9.

A process holds a lock on its folder. What nobody holds a lock on was left by one that was killed.
"""

import contextlib
import fcntl
import logging
import os
import re
import shutil
import stat
import tempfile
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

log = logging.getLogger(__name__)

PREFIX = "uploadpp-step-"
_UNLOCKED_PREFIX = ".uploadpp-new-"
_NAME = re.compile(r"(?:uploadpp-step-|\.uploadpp-new-)[A-Za-z0-9_]{8}")
_LOCK = "lock"


class Scratch:
    """The folder of a process; removed with it, or by the next one."""

    def __init__(self, owner: int | None = None, parent: Path | None = None) -> None:
        """Make the folder; it gets its name when it is locked. `owner` is who may use what is in it.

        Raises:
            OSError: there is no place for it.
        """
        parent = parent or Path(tempfile.gettempdir())
        self._owner = owner
        fresh = Path(tempfile.mkdtemp(prefix=_UNLOCKED_PREFIX, dir=parent))
        lock = os.open(fresh / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(lock, fcntl.LOCK_EX)
        self.path = fresh.rename(parent / f"{PREFIX}{fresh.name.removeprefix(_UNLOCKED_PREFIX)}")
        self._close = weakref.finalize(self, _close, lock, self.path)

    @property
    def intact(self) -> bool:
        """Whether folder and lock are there; without the lock no later process removes the folder."""
        return (self.path / _LOCK).is_file()

    @contextmanager
    def folder(self) -> Iterator[Path]:
        """An empty folder that is removed at the end, whatever is in it."""
        path = Path(tempfile.mkdtemp(dir=self.path))
        if self._owner is not None:
            self.path.chmod(0o711)  # the name of a folder in it cannot be guessed
            os.chown(path, self._owner, -1)
        try:
            yield path
        finally:
            remove(path)

    def close(self) -> None:
        """Remove everything."""
        self._close()


def _close(lock: int, path: Path) -> None:
    remove(path)
    os.close(lock)


def remove(path: Path) -> None:
    """Remove a folder, also what a command has made unreadable."""

    def retry(_: object, name: str, __: object) -> None:
        with contextlib.suppress(OSError):
            Path(name).parent.chmod(0o700)
            entry = Path(name)
            if entry.is_dir() and not entry.is_symlink():
                entry.chmod(0o700)
                shutil.rmtree(entry, ignore_errors=True)
            else:
                entry.unlink()

    shutil.rmtree(path, onerror=retry)
    if path.exists():
        shutil.rmtree(path, ignore_errors=True)


def remove_stale(parent: Path | None = None) -> int:
    """Remove the folders that killed processes of ours have left; returns how many.

    Only folders of our user with a name of our making are touched, and none that a process holds.
    """
    removed = 0
    with contextlib.suppress(OSError):
        parent = parent or Path(tempfile.gettempdir())
        removed = sum(_remove_if_stale(path) for path in list(parent.iterdir()) if _NAME.fullmatch(path.name))
    if removed:
        log.info("removed folders that a killed process had left", extra={"folders": removed})
    return removed


def _remove_if_stale(path: Path) -> bool:
    try:
        status = path.lstat()
        if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid():
            return False
        lock = os.open(path / _LOCK, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return False  # not ours, or not complete
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False  # its process lives
    else:
        remove(path)
        return True
    finally:
        os.close(lock)
