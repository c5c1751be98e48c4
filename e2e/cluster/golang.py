"""Building the pinned Go programs, with whatever Go there is on the machine."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

from e2e.cluster.progress import run_slowly
from e2e.cluster.tools import Tool
from e2e.paths import REPO, cache_folder

TOOLCHAIN = "go1.26.8"  # what we build with when the Go found is older than go.mod asks for
_WANTED = (1, 26)
_SELF_UPGRADING = (1, 21)  # from here on the go command can fetch another toolchain

SHORT_LIFE = {"GOGC": "off", "GOMEMLIMIT": "100MiB"}
"""Variables for a program that soon ends: until it uses much memory, it need not look for garbage."""


class GoUnavailableError(RuntimeError):
    """There is no Go to build with; the message says what to install."""


def build(tool: Tool, target: Path) -> None:
    """Build the tool and put it there, whole or not at all."""
    assert tool.module is not None  # noqa: S101  # the caller asks only for tools that have one
    environment = {**_environment(), "CGO_ENABLED": "0"}
    go = _find_go(environment)
    draft = target.with_name(f".{target.name}.{os.getpid()}")
    command = [
        go,
        "build",
        "-trimpath",
        "-buildvcs=false",
        "-ldflags",
        ldflags(tool),
        f"-tags={tool.tags}",
        "-o",
        str(draft),
        tool.package,
    ]
    try:
        run_slowly(
            f"building {tool.name} {tool.pinned} ({tool.minutes:g} min the first time, then seconds)",
            command,
            log=target.with_name(f"{target.name}.build.log"),
            cwd=tool.module,
            env=environment,
        )
        draft.rename(target)
    finally:
        draft.unlink(missing_ok=True)


def module_folder(tool: Tool) -> Path:
    """The files of the module that the tool is built from, fetched if they are not there."""
    environment = _environment()
    command = [_find_go(environment), "mod", "download", "-json", tool.pinned_by]
    done = subprocess.run(
        command, check=True, capture_output=True, text=True, cwd=tool.module, env=environment
    )
    return Path(json.loads(done.stdout)["Dir"])


def _environment() -> dict[str, str]:
    """Variables of Go, which keeps modules in the home folder where nothing else is said."""
    found = dict(os.environ)
    if "GOPATH" not in found and not os.access(Path.home(), os.W_OK):
        found["GOPATH"] = str(cache_folder("go"))
    return found


def ldflags(tool: Tool) -> str:
    """Linker flags: small, and the program tells its version, which it does not know otherwise."""
    flags = ["-s", "-w"]
    if tool.stamp.startswith("k8s.io/"):
        major, minor, _ = tool.pinned.lstrip("v").split(".")
        values = {"gitVersion": tool.pinned, "gitMajor": major, "gitMinor": minor}
        flags += [f"-X {tool.stamp}.{name}={value}" for name, value in values.items()]
    elif tool.stamp:
        flags.append(f"-X {tool.stamp}={tool.pinned}")
    return " ".join(flags)


def _find_go(environment: dict[str, str]) -> str:
    """A go command that can build; may set GOTOOLCHAIN, or install Go on a Debian machine as root."""
    go = shutil.which("go")
    if go is None and os.geteuid() == 0 and shutil.which("apt-get"):
        subprocess.run([REPO / "scripts" / "apt-install", "golang-go", "ca-certificates"], check=True)
        go = shutil.which("go")
    if go is None:
        raise GoUnavailableError(_advice("there is none"))
    version = _go_version(go)
    if version >= _WANTED:
        return go
    if version >= _SELF_UPGRADING:
        environment["GOTOOLCHAIN"] = TOOLCHAIN
        return go
    return _fetch_toolchain(go, version)


def _go_version(go: str) -> tuple[int, int]:
    done = subprocess.run([go, "version"], capture_output=True, text=True, check=True, cwd="/")
    match = re.search(r"go(\d+)\.(\d+)", done.stdout)
    return (int(match[1]), int(match[2])) if match else (0, 0)


def _fetch_toolchain(go: str, version: tuple[int, int]) -> str:
    """An old Go cannot switch toolchains, but a toolchain is a module, and modules it can fetch."""
    machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(os.uname().machine, os.uname().machine)
    module = f"golang.org/toolchain@v0.0.1-{TOOLCHAIN}.linux-{machine}"
    store = cache_folder("go-toolchain")
    try:
        run_slowly(
            f"fetching {TOOLCHAIN} with the Go {version[0]}.{version[1]} found (1 min)",
            [go, "mod", "download", "-modcacherw", module],
            log=store / "download.log",
            cwd=store,
            env={**os.environ, "GOMODCACHE": str(store), "GOFLAGS": "", "GO111MODULE": "on"},
        )
    except RuntimeError as error:
        raise GoUnavailableError(_advice(f"only {version[0]}.{version[1]} is there, {error}")) from error
    root = store / module
    for program in [*(root / "bin").iterdir(), *(root / "pkg" / "tool").rglob("*")]:
        if program.is_file():
            program.chmod(0o755)  # module archives carry no permissions
    return str(root / "bin" / "go")


def _advice(problem: str) -> str:
    return (
        f"Go {_WANTED[0]}.{_WANTED[1]} or newer is needed to build the control plane ({problem}). "
        "Install it, or set KUBEBUILDER_ASSETS to a folder with etcd, kube-apiserver and kubectl."
    )
