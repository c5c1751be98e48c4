"""One set of servers and everything it leaves on the machine, in one folder.

The folder outlives a `kill -9` of whoever made it. It says who that was, so the next start of anything
here can tell a leftover from something in use, and it lists the processes, so a leftover can be ended.
"""

import atexit
import fcntl
import json
import secrets
import shutil
import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any, Self

from e2e.cluster.identity import ProcessIdentity
from e2e.cluster.preloaded import Child
from e2e.cluster.waiting import wait_until
from e2e.paths import cache_folder

_KILL_TIMEOUT = 10.0


def run_dir() -> Path:
    """The folder of all instances of this user."""
    return cache_folder("run", mode=0o700)


@contextmanager
def _exclusive() -> Iterator[None]:
    """Only one process at a time makes or reaps instances."""
    with (run_dir() / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


class Instance:
    """A folder for data, logs and records of processes. Make one with `temporary` or `named`."""

    def __init__(self, folder: Path, *, detached: bool) -> None:
        self.folder = folder
        self.detached = detached
        self.logs = folder / "logs"
        self._children: dict[str, Child] = {}

    @classmethod
    def temporary(cls, kind: str) -> Self:
        """An instance that ends with this process, at the latest when the next one starts."""
        owner = {"process": asdict(ProcessIdentity.current())}
        instance = cls._open(f"{kind}-{secrets.token_hex(4)}", owner, detached=False)
        atexit.register(instance.close)
        return instance

    @classmethod
    def named(cls, name: str, home: Path) -> Self:
        """An instance that outlives this process; opened again by name, reaped when `home` is gone."""
        return cls._open(name, {"home": str(home)}, detached=True)

    @classmethod
    def _open(cls, name: str, owner: dict[str, Any], *, detached: bool) -> Self:
        reap_leftovers()
        instance = cls(run_dir() / name, detached=detached)
        with _exclusive():
            instance.logs.mkdir(mode=0o700, parents=True, exist_ok=True)
            instance.save("owner", owner)
        return instance

    def save(self, name: str, content: dict[str, Any]) -> None:
        """Keep a small record in the folder; it is there whole or not at all."""
        path = self.folder / f"{name}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_suffix(".new")
        draft.write_text(json.dumps(content))
        draft.rename(path)

    def load(self, name: str) -> dict[str, Any] | None:
        """A record that was saved, by this process or an earlier one."""
        with suppress(OSError, ValueError):
            content: dict[str, Any] = json.loads((self.folder / f"{name}.json").read_text())
            return content
        return None

    def record(self, name: str, child: Child) -> None:
        """Remember a process that was just started."""
        self._children[name] = child
        identity = ProcessIdentity.of(child.pid)
        if identity is not None:
            self.save(f"processes/{name}", asdict(identity))

    def collect(self, name: str) -> None:
        """Wait for a child that was told to end, so that no zombie stays."""
        child = self._children.pop(name, None)
        if child is not None:
            child.wait()

    def process(self, name: str) -> ProcessIdentity | None:
        """The recorded process of that name, if it still runs."""
        record = self.load(f"processes/{name}")
        if record is None:
            return None
        identity = ProcessIdentity(**record)
        return identity if identity.alive() else None

    def processes(self) -> dict[str, ProcessIdentity]:
        """All recorded processes that still run."""
        names = [path.stem for path in (self.folder / "processes").glob("*.json")]
        return {name: identity for name in names if (identity := self.process(name))}

    def on_reap(self, command: Sequence[str]) -> None:
        """A command that must run before the folder goes: for what is not a process, such as a container."""
        self.save("on-reap", {"command": list(command)})

    def close(self) -> None:
        """End every process that was started here and remove the folder."""
        processes = list(self.processes().values())
        for process in processes:
            process.send(signal.SIGKILL)  # their data goes as well, so there is nothing to save
        wait_until(lambda: not any(process.alive() for process in processes), _KILL_TIMEOUT)
        for name in list(self._children):
            self.collect(name)
        last = self.load("on-reap")
        if last is not None:
            with suppress(FileNotFoundError):  # of a program that has gone, with what it made
                subprocess.run(last["command"], check=False, capture_output=True, stdin=subprocess.DEVNULL)
        shutil.rmtree(self.folder, ignore_errors=True)
        atexit.unregister(self.close)

    def abandoned(self) -> bool:
        """Whether nobody is left who could want it."""
        owner = self.load("owner") or {}
        if "process" in owner:
            return not ProcessIdentity(**owner["process"]).alive()
        return not Path(owner.get("home", "/nonexistent")).exists()


def reap_leftovers() -> list[str]:
    """End and remove the instances whose owner died; returns their names."""
    reaped = []
    with _exclusive():
        for folder in sorted(path for path in run_dir().iterdir() if path.is_dir()):
            instance = Instance(folder, detached=True)
            if instance.abandoned():
                instance.close()
                reaped.append(folder.name)
    return reaped
