"""Starts a Python program without the time that it takes to load its modules.

Loading takes a second of processor time, and the tests start the operator many hundred times. So one process
loads the modules, and each start is a fork of it, with a session, an environment, a folder and a log of its
own. What differs from an ordinary start: the modules are loaded with the environment of that process, and all
forks order their sets of strings alike. Only tests use it (`enable`).

This file is also the program of that process: `python preloaded.py MODULE MAIN`.
"""

import ctypes
import gc
import importlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

_PR_SET_PDEATHSIG = 1
_POLL_SECONDS = 0.02
_ENABLED: list["Preloaded"] = []


class Child(Protocol):
    """A process that was started here; also `subprocess.Popen`."""

    @property
    def pid(self) -> int:
        """Its process id."""

    def wait(self, timeout: float | None = None) -> int:
        """Its exit status once it has ended, as of `subprocess.Popen`."""


class ForkedChild:
    """A fork. Until it is waited for, it stays a zombie, like any child."""

    def __init__(self, preloaded: "Preloaded", pid: int) -> None:
        self.pid = pid
        self._preloaded = preloaded
        self._status: int | None = None

    def wait(self, timeout: float | None = None) -> int:
        """Its exit status; raises subprocess.TimeoutExpired after so many seconds."""
        deadline = None if timeout is None else time.monotonic() + timeout
        while self._status is None:  # it can be asked for once only
            self._status = self._preloaded.poll(self.pid)
            if self._status is None:
                if deadline is not None and time.monotonic() > deadline:
                    raise subprocess.TimeoutExpired(str(self.pid), timeout or 0)
                time.sleep(_POLL_SECONDS)
        return self._status


class Preloaded:
    """The process that has loaded the modules; started when the first fork is asked for.

    `words` is the beginning of the command lines that it stands in for, such as `python -m uploadpp run`, and
    `environment` that of the process.
    """

    def __init__(self, words: Sequence[str], module: str, environment: Mapping[str, str]) -> None:
        self.words = list(words)
        self._module = module
        self._environment = dict(environment)
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()

    def suits(self, argv: Sequence[str], environment: Mapping[str, str]) -> bool:
        """Whether a fork does the same: what Python and the linker read at a start does not differ."""
        return list(argv) == self.words and _at_start(environment) == _at_start(self._environment)

    def fork(self, environment: Mapping[str, str], folder: Path, log: Path) -> Child:
        """Start the program. Of threads that end before the tests do, none may be the first to call this."""
        log.touch()  # readers find it at once, as after an ordinary start
        request = {"environment": dict(environment), "folder": str(folder), "log": str(log)}
        pid: int = self._ask({"start": request})
        return ForkedChild(self, pid)

    def poll(self, pid: int) -> int | None:
        """The exit status of a fork; None while it runs."""
        status: int | None = self._ask({"poll": pid})
        return status

    def close(self) -> None:
        """End the process, and with it its forks."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()

    def _ask(self, request: dict[str, Any]) -> Any:  # noqa: ANN401 -- what JSON may hold
        with self._lock:
            process = self._process = self._process or self._launch()
            assert process.stdin is not None  # noqa: S101 -- both are pipes
            assert process.stdout is not None  # noqa: S101
            process.stdin.write(json.dumps(request).encode() + b"\n")
            process.stdin.flush()
            answer = process.stdout.readline()
        if not answer:
            raise ChildProcessError(f"what loads {self._module} has ended: {process.wait()}")
        return json.loads(answer)

    def _launch(self) -> subprocess.Popen[bytes]:
        argv = [sys.executable, __file__, self.words[-2], self._module, self.words[-1]]
        return subprocess.Popen(
            ending_with_us(argv),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=self._environment,
            start_new_session=True,  # Ctrl-C is for us
        )


def ending_with_us(argv: Sequence[str]) -> list[str]:
    """The command, killed by the kernel when the thread that has started it ends, where that is possible."""
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", "KILL", *argv] if setpriv else list(argv)


def enable(preloaded: Preloaded) -> None:
    """Let `spawn` use it, in this process only."""
    _ENABLED.append(preloaded)


def disable() -> None:
    """Close what was enabled."""
    while _ENABLED:
        _ENABLED.pop().close()


def spawn(argv: Sequence[str], environment: Mapping[str, str], folder: Path, log: Path) -> Child | None:
    """A fork that does what `argv` says, if one may stand in for it."""
    suits = (each for each in _ENABLED if each.suits(argv, environment))
    preloaded = next(suits, None)
    return preloaded.fork(environment, folder, log) if preloaded else None


def _at_start(environment: Mapping[str, str]) -> dict[str, str]:
    names = ("PYTHON", "LD_", "LC_", "LANG")
    return {name: value for name, value in environment.items() if name.startswith(names)}


def _serve(package: str, module: str, command: str) -> None:
    """Load the modules, then fork for each request until the requests end."""
    main = importlib.import_module(f"{package}.__main__").main
    importlib.import_module(module)
    libc = ctypes.CDLL(None)
    gc.collect()
    gc.freeze()
    us = os.getpid()
    for line in sys.stdin.buffer:
        request = json.loads(line)
        if "poll" in request:
            ended, status = os.waitpid(request["poll"], os.WNOHANG)
            _answer(os.waitstatus_to_exitcode(status) if ended else None)
            continue
        pid = os.fork()
        if pid == 0:
            libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
            if os.getppid() == us:
                _become(request["start"])
                sys.argv[:] = [package, command]
                sys.exit(main())
            os._exit(1)
        _answer(pid)


def _answer(answer: object) -> None:
    os.write(1, json.dumps(answer).encode() + b"\n")


def _become(start: Mapping[str, Any]) -> None:
    os.setsid()
    os.chdir(start["folder"])
    files = [
        os.open(os.devnull, os.O_RDONLY),
        os.open(start["log"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666),
    ]
    for number, file in zip((0, 1, 2), (files[0], files[1], files[1]), strict=True):
        os.dup2(file, number)
    for file in files:
        os.close(file)
    os.environ.clear()
    os.environ.update(start["environment"])
    time.tzset()


if __name__ == "__main__":
    _serve(*sys.argv[1:])
