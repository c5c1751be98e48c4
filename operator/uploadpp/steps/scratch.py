"""Folders for the files of uploads: each user's file is gone when its work ends, also after a kill -9.

A process holds a lock on its folder. What nobody holds a lock on was left by one that was killed.
"""

import asyncio
import contextlib
import fcntl
import logging
import os
import re
import secrets
import stat
import sys
import tempfile
import weakref
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path

log = logging.getLogger(__name__)

PREFIX = "uploadpp-step-"
_UNLOCKED_PREFIX = ".uploadpp-new-"
_NAME = re.compile(r"(?:uploadpp-step-|\.uploadpp-new-)[A-Za-z0-9_]{8}")
_LOCK = "lock"
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class Scratch:
    """The folder of a process; removed with it, or by the next one."""

    def __init__(self, owner: int | None = None, parent: Path | None = None) -> None:
        """Make the folder; it gets its name when it is locked. `owner` is who may use what is in it.

        Raises:
            OSError: there is no place for it.
        """
        parent = parent or Path(tempfile.gettempdir())
        self._owner = owner
        made = _make(parent)
        while made is None:
            made = _make(parent)
        lock, self.path = made
        self._close = weakref.finalize(self, _close, lock, self.path)

    @property
    def intact(self) -> bool:
        """Whether folder and lock are there; without the lock no later process removes the folder."""
        return (self.path / _LOCK).is_file()

    @asynccontextmanager
    async def folder(self) -> AsyncGenerator[Path]:
        """An empty folder that is removed at the end, whatever is in it, and while others go on."""
        path = Path(tempfile.mkdtemp(dir=self.path))
        if self._owner is not None:
            self.path.chmod(0o711)  # the name of a folder in it cannot be guessed
            os.chown(path, self._owner, -1)
        try:
            yield path
        finally:
            await asyncio.to_thread(remove, path)

    def close(self) -> None:
        """Remove everything."""
        self._close()


def _make(parent: Path) -> tuple[int, Path] | None:
    """A new folder and the descriptor of its lock; None when it was removed before it was locked.

    Raises:
        OSError: there is no place for it.
    """
    fresh = Path(tempfile.mkdtemp(prefix=_UNLOCKED_PREFIX, dir=parent))
    lock = os.open(fresh / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX)
    try:
        return lock, fresh.rename(parent / f"{PREFIX}{fresh.name.removeprefix(_UNLOCKED_PREFIX)}")
    except FileNotFoundError:  # another process that starts has locked it first, and removed it as stale
        os.close(lock)
        return None


def _close(lock: int, path: Path) -> None:
    remove(path)
    os.close(lock)


def remove(path: Path) -> None:
    """Remove a folder, whatever a command has made of it: unreadable, a link, or nested without end."""
    with contextlib.suppress(OSError):
        if not stat.S_ISDIR(path.lstat().st_mode):
            path.unlink()
            return
        top = _open_folder(str(path))
        try:
            _empty(top)
        finally:
            os.close(top)
        path.rmdir()


def _open_folder(name: str, parent: int | None = None) -> int:
    descriptor = None
    with contextlib.suppress(OSError):
        descriptor = os.open(name, _FOLDER, dir_fd=parent)
    if descriptor is None:  # a command may have made it unreadable
        _make_readable(name, parent)
        return os.open(name, _FOLDER, dir_fd=parent)
    os.fchmod(descriptor, 0o700)
    return descriptor


def _make_readable(name: str, parent: int | None) -> None:
    """Change the folder itself: another command may put a link in its place at any moment.

    Raises:
        OSError: it is not a folder, or not ours.
    """
    if sys.platform != "linux":
        return  # there is no way to change a folder and never what a link leads to
    place = os.open(name, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
    try:
        os.chmod(f"/proc/self/fd/{place}", 0o700)  # noqa: PTH101 -- a descriptor of this kind takes no fchmod
    finally:
        os.close(place)


def _empty(top: int) -> None:
    """Remove all that is in a folder.

    Folders in folders are moved to the top first. So no call goes as deep as they are nested, which is deeper
    than Python can go or a path can be long, and no more than two folders are open.
    """
    new = (f".{secrets.token_hex(8)}-{number}" for number in count())
    while names := os.listdir(top):
        gone = [_take_out(top, name, new) for name in names]
        if not any(gone):
            return


def _take_out(top: int, name: str, new: Iterator[str]) -> bool:
    """Remove a file, or a folder with its files; whether something has changed."""
    with contextlib.suppress(OSError):
        if stat.S_ISDIR(os.lstat(name, dir_fd=top).st_mode):
            return _unpack(top, name, new)
    with contextlib.suppress(OSError):  # also what has become a link since we looked
        os.unlink(name, dir_fd=top)
        return True
    return False


def _unpack(top: int, name: str, new: Iterator[str]) -> bool:
    """Remove a folder with its files, and move its folders to the top; whether something has changed.

    Raises:
        OSError: it cannot be opened, or is not a folder any more.
    """
    folder = _open_folder(name, top)
    changed = False
    try:
        for each in os.listdir(folder):  # noqa: PTH208 -- it has a descriptor and no path
            with contextlib.suppress(OSError):
                if stat.S_ISDIR(os.lstat(each, dir_fd=folder).st_mode):
                    _move(each, folder, next(new), top)
                else:
                    os.unlink(each, dir_fd=folder)
                changed = True
    finally:
        os.close(folder)
    with contextlib.suppress(OSError):
        os.rmdir(name, dir_fd=top)
        return True
    return changed


def _move(name: str, source: int, new: str, top: int) -> None:
    try:
        os.rename(name, new, src_dir_fd=source, dst_dir_fd=top)
    except PermissionError:  # nobody but root moves a folder that may not be written
        _make_readable(name, source)
        os.rename(name, new, src_dir_fd=source, dst_dir_fd=top)


def remove_stale(parent: Path | None = None) -> int:
    """Remove the folders that killed processes of ours have left; returns how many.

    Only folders of our user with a name of our making are touched, and none that a process holds.
    """
    removed = 0
    with contextlib.suppress(OSError):
        parent = parent or Path(tempfile.gettempdir())
        removed = sum(_remove_if_stale(path) for path in list(parent.iterdir()) if _NAME.fullmatch(path.name))
    if removed:
        log.info("removed folders left behind by a killed process", extra={"folders": removed})
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
