"""The processes of a command: found and ended, also those that have left its process group.

A command works on one user's file, and what it leaves behind would see the next user's. On Linux
orphans become children of the step (PR_SET_CHILD_SUBREAPER), so nothing that a command starts can
hide: whatever hangs below the step, and belongs to no other command that still runs, is ended.
Elsewhere only the process group is.
"""

import asyncio
import contextlib
import ctypes
import logging
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

log = logging.getLogger(__name__)

MARK = "UPLOADPP_STEP_JOB"
"""In the environment of a command; tells whose a process is that has left its group."""
GRACE_SECONDS = 2.0
KILL_SECONDS = 5.0
LOOK_SECONDS = 0.02
_PROC = Path("/proc")
_PR_SET_DUMPABLE, _PR_SET_CHILD_SUBREAPER = 4, 36


def _prctl(option: int, value: int) -> bool:
    if sys.platform != "linux":
        return False
    with contextlib.suppress(OSError, AttributeError):
        return bool(ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0) == 0)
    return False


def hide_from_children() -> bool:
    """Keep processes of the same user from reading our memory and environment; False where none can.

    A process that may trace any other (CAP_SYS_PTRACE, root outside of a container) still can.
    """
    return _prctl(_PR_SET_DUMPABLE, 0)


class _Process(NamedTuple):
    pid: int
    parent: int
    group: int
    session: int


class Family:
    """One command and everything it starts."""

    _running: "set[Family]" = set()  # noqa: RUF012 -- of the whole process, as its children are

    def __init__(self) -> None:
        _prctl(_PR_SET_CHILD_SUBREAPER, 1)
        self.mark = secrets.token_hex(16)
        self._process: subprocess.Popen[bytes] | None = None
        self._before = {each.pid for each in _processes() if each.parent == os.getpid()}
        self._running.add(self)

    def adopt(self, process: "subprocess.Popen[bytes]") -> None:
        """Take the command; it must be the leader of a session of its own."""
        self._process = process

    async def wait(self) -> int:
        """The exit status of the command itself; what it has started may go on."""
        process = self._process
        if process is None:
            raise RuntimeError("there is no command yet")
        await _exited(process)
        return process.wait()

    async def end(self) -> None:
        """End everything, first politely if the command itself still runs; once is enough.

        Being cancelled does not stop it.
        """
        if self not in self._running:
            return
        ending = asyncio.ensure_future(self._end())
        try:
            await asyncio.shield(ending)
        except asyncio.CancelledError:
            await asyncio.wait({ending})
            raise

    async def _end(self) -> None:
        process = self._process
        try:
            if process is not None and process.poll() is None:
                _signal_group(process.pid, signal.SIGTERM)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(GRACE_SECONDS):
                        await _exited(process)
            await self._kill()
        finally:
            self._running.discard(self)

    async def _kill(self) -> None:
        deadline = time.monotonic() + KILL_SECONDS
        if self._process is not None:
            _signal_group(self._process.pid, signal.SIGKILL)
        while left := self._left():
            for each in left:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(each.pid, signal.SIGKILL)
            for each in left:
                self._reap(each)
            if time.monotonic() > deadline:
                log.warning("cannot stop all processes of a command", extra={"processes": len(left)})
                return
            await asyncio.sleep(LOOK_SECONDS)

    def _reap(self, process: _Process) -> None:
        if self._process is not None and process.pid == self._process.pid:
            self._process.poll()
        elif process.parent == os.getpid():
            with contextlib.suppress(ChildProcessError):
                os.waitpid(process.pid, os.WNOHANG)

    def _left(self) -> list[_Process]:
        """What is ours and still there, dead but not waited for included."""
        found = _processes()
        by_parent: dict[int, list[_Process]] = {}
        for each in found:
            by_parent.setdefault(each.parent, []).append(each)
        todo = [each for each in by_parent.get(os.getpid(), []) if self._owns(each)]
        left = []
        while todo:
            each = todo.pop()
            left.append(each)
            todo += by_parent.get(each.pid, [])
        return left

    def _owns(self, child: _Process) -> bool:
        """Whether a child of the step is the command, or was left behind by it."""
        mark = _mark_of(child.pid)
        if self._is_of(child, mark):
            return True
        others = self._running - {self}
        return child.pid not in self._before and not any(other._is_of(child, mark) for other in others)  # noqa: SLF001

    def _is_of(self, child: _Process, mark: str) -> bool:
        leader = self._process.pid if self._process is not None else 0
        return mark == self.mark or (leader > 0 and leader in {child.pid, child.group, child.session})


def _signal_group(leader: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, number)


async def _exited(process: "subprocess.Popen[bytes]") -> None:
    """Wait for the end of a process, even if others still hold its pipes."""
    try:
        descriptor = os.pidfd_open(process.pid)
    except (AttributeError, OSError):  # an old kernel, or not Linux
        while process.poll() is None:  # noqa: ASYNC110 -- nothing tells us
            await asyncio.sleep(LOOK_SECONDS)
        return
    loop, ended = asyncio.get_running_loop(), asyncio.Event()
    try:
        loop.add_reader(descriptor, ended.set)
        await ended.wait()
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)


def _processes() -> list[_Process]:
    return list(_read_processes())


def _read_processes() -> Iterator[_Process]:
    with contextlib.suppress(OSError):  # not Linux
        for name in os.listdir(_PROC):  # noqa: PTH208 -- many, and only their names matter
            if not name.isdecimal():
                continue
            with contextlib.suppress(OSError, ValueError, IndexError):
                fields = (_PROC / name / "stat").read_bytes().rpartition(b")")[2].split()
                parent, group, session = (int(field) for field in fields[1:4])
                yield _Process(int(name), parent, group, session)


def _mark_of(pid: int) -> str:
    with contextlib.suppress(OSError):
        for variable in (_PROC / str(pid) / "environ").read_bytes().split(b"\0"):
            name, _, value = variable.partition(b"=")
            if name == MARK.encode():
                return value.decode(errors="replace")
    return ""
