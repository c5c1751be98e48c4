"""Finds etcd, kube-apiserver, kubectl and helm, or makes them.

In this order: `KUBEBUILDER_ASSETS`, this project's virtual environment, PATH, what was fetched or built
before, the archive published for tests of controllers, a build from the pinned Go modules.
`python -m e2e.cluster.binaries [NAME…]` does it ahead of time and says where each came from.
"""

import fcntl
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from e2e.cluster import chromium, envtest, faketime, golang, natsversions, oldpython
from e2e.cluster.progress import say
from e2e.cluster.tools import TOOLS, Tool
from e2e.paths import cache_dir, cache_folder

_HEARTBEAT = 15.0


class BinaryUnavailableError(RuntimeError):
    """A program could be neither found nor made; the message says what to do."""


@dataclass(frozen=True)
class Binary:
    """A program on this machine and where it came from."""

    name: str
    path: Path
    source: str


@cache
def resolve(name: str) -> Binary:
    """The program of that name, built if there is no other way.

    Raises:
        BinaryUnavailableError: it cannot be had here.
    """
    tool = TOOLS[name]
    found = available(name)
    if found is not None:
        return found
    with _one_at_a_time(tool):
        found = _first(tool, (_from_cache, _from_envtest, _from_build))
    if found is None:
        raise BinaryUnavailableError(f"{name} {_dotted(tool)} or newer is needed: put it on PATH")
    return found


def available(name: str) -> Binary | None:
    """The program of that name if it is here; None if it would have to be built or downloaded."""
    return _first(TOOLS[name], (_from_assets, _from_venv, _from_path, _from_cache))


def _first(tool: Tool, sources: tuple[Callable[[Tool], Binary | None], ...]) -> Binary | None:
    return next((found for source in sources if (found := source(tool))), None)


def _from_assets(tool: Tool) -> Binary | None:
    """What the caller names is taken as it is."""
    folder = os.environ.get("KUBEBUILDER_ASSETS")
    path = Path(folder or "/nonexistent", tool.name)
    return Binary(tool.name, path, "KUBEBUILDER_ASSETS") if os.access(path, os.X_OK) else None


def _from_venv(tool: Tool) -> Binary | None:
    return _usable(tool, Path(sys.prefix, "bin", tool.name), "virtual environment")


def _from_path(tool: Tool) -> Binary | None:
    path = shutil.which(tool.name)
    return _usable(tool, Path(path), "PATH") if path else None


def _from_cache(tool: Tool) -> Binary | None:
    if tool.in_envtest and os.access(_envtest_folder() / tool.name, os.X_OK):
        return Binary(tool.name, _envtest_folder() / tool.name, "downloaded before")
    if tool.module is not None and os.access(_built(tool), os.X_OK):
        return Binary(tool.name, _built(tool), f"built before from {tool.module.name}/go.mod")
    return None


def _from_envtest(tool: Tool) -> Binary | None:
    if tool.in_envtest and envtest.fetch(_envtest_folder()):
        return Binary(tool.name, _envtest_folder() / tool.name, "downloaded")
    return None


def _from_build(tool: Tool) -> Binary | None:
    if tool.module is None:
        return None
    try:
        golang.build(tool, _built(tool))
    except golang.GoUnavailableError as error:
        raise BinaryUnavailableError(str(error)) from error
    return Binary(tool.name, _built(tool), f"built from {tool.module.name}/go.mod")


def _usable(tool: Tool, path: Path, source: str) -> Binary | None:
    if not os.access(path, os.X_OK):
        return None
    version = tool.version_of(path)
    return Binary(tool.name, path, source) if version and version >= tool.minimum else None


def _built(tool: Tool) -> Path:
    return _bin_folder() / f"{tool.name}-{tool.pinned}"


def _envtest_folder() -> Path:
    """Named after the pin: a new pin looks for a new archive."""
    return _bin_folder() / f"envtest-{TOOLS['kube-apiserver'].pinned}"


def _bin_folder() -> Path:
    return cache_dir() / "bin"


def _dotted(tool: Tool) -> str:
    return ".".join(map(str, tool.minimum))


@contextmanager
def _one_at_a_time(tool: Tool) -> Iterator[None]:
    """Two processes that need the same program build it once."""
    started = time.monotonic()
    told = 0.0
    with (cache_folder("bin") / ".lock").open("w") as lock:
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= told + _HEARTBEAT:
                    told = time.monotonic()
                    say(f"==> waiting {told - started:.0f} s for another process that makes {tool.name}")
                time.sleep(0.2)
        yield


_NOT_PROGRAMS_OF_GO: dict[str, Callable[[], object]] = {
    "chromium": chromium.provide,
    "faketime": faketime.provide,
    "python-oldest": oldpython.provide,
}


def main(names: list[str]) -> int:
    """Resolve the named programs, or the ones that every use of this project needs."""
    try:
        cache_folder()  # whoever needs programs also needs a place for what they write
        for name in names or ["etcd", "kube-apiserver", "kubectl"]:
            if name == "nats-server-oldest":
                print(f"nats-server {natsversions.OLDEST}: {natsversions.program(natsversions.OLDEST)}")
                continue
            if name in _NOT_PROGRAMS_OF_GO:
                print(_NOT_PROGRAMS_OF_GO[name]())
                continue
            binary = resolve(name)
            version = TOOLS[name].version_of(binary.path)
            number = ".".join(map(str, version)) if version else "unknown version"
            print(f"{name} {number}: {binary.path} ({binary.source})")
    except (BinaryUnavailableError, FileNotFoundError, RuntimeError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
