"""The images of the end-to-end tests: Debian's Python as a base, the operator on it, NATS, and pause."""

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

from e2e.cluster.binaries import resolve
from e2e.cluster.natsversions import program
from e2e.cluster.progress import run_slowly
from e2e.cluster.tools import TOOLS
from e2e.images.archive import Image, write_archive, write_layer
from e2e.images.debian import ALONE, PATH, SUITE, make_root, write_root
from e2e.images.store import kept
from e2e.node import machine
from e2e.node.settings import PAUSE
from e2e.paths import REPO

OPERATOR = "docker.io/local/upload-postprocessing:e2e"
NATS = "docker.io/local/nats:e2e"

_RECIPE = 1  # counts up when what follows makes another base
_PACKAGES = ("python3-pip", "ca-certificates")
_SOURCES = ("Dockerfile", "LICENSE", "requirements-runtime.lock", "operator/stand-in", "operator/uploadpp")
# How this machine reaches a package index is nothing that the image may remember.
_OF_THIS_MACHINE = (Path("/etc/ssl/certs/ca-certificates.crt"), Path("/etc/pip.conf"))


def pause_image() -> Path:
    """What holds the namespaces of a Pod."""
    return _of_one_program(PAUSE, resolve("pause").path, TOOLS["pause"].pinned)


def nats_image() -> Path:
    """The nats-server of the tests."""
    server = program()
    version = hashlib.sha256(server.read_bytes()).hexdigest()[:12]
    return _of_one_program(NATS, server, version)


def operator_image() -> Path:
    """The operator's, by the Dockerfile: with docker if it answers, else with buildah on our own base."""
    return kept("operator", _fingerprint(), _with_docker if _docker_answers() else _with_buildah)


def _of_one_program(name: str, program: Path, version: str) -> Path:
    def make(target: Path, work: Path) -> None:
        path = f"/{program.name.partition('-v')[0]}"
        layer = write_layer(work / "layer.tar", {path: program})
        write_archive(target, Image(name, [layer], {"Entrypoint": [path]}))

    return kept(name.rpartition("/")[2].partition(":")[0], version, make)


def _fingerprint() -> str:
    """Of everything that the Dockerfile copies, and the Dockerfile."""
    digest = hashlib.sha256(str(_RECIPE).encode())
    for source in _SOURCES:
        root = REPO / source
        for path in sorted(root.rglob("*.py")) if root.is_dir() else [root]:
            digest.update(str(path.relative_to(REPO)).encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:12]


def _docker_answers() -> bool:
    if shutil.which("docker") is None:
        return False
    return subprocess.run(["docker", "info"], check=False, capture_output=True, timeout=20).returncode == 0


def _with_docker(target: Path, work: Path) -> None:
    _slowly("building the image with docker", ["docker", "build", f"--tag={OPERATOR}", "."], target)
    draft = work / "image.tar"
    subprocess.run(["docker", "save", f"--output={draft}", OPERATOR], check=True)
    draft.rename(target)


def _with_buildah(target: Path, work: Path) -> None:
    """Without a daemon and without containers: its steps run in a chroot."""
    machine.check({"buildah": "buildah", "debootstrap": "debootstrap"})
    base = kept("base", f"{SUITE}-{_RECIPE}", _make_base)
    draft = work / "image.tar"
    buildah = ["buildah", f"--root={work}/root", f"--runroot={work}/run", "--storage-driver=overlay"]
    mounts = [f"--volume={path}:{path}:ro" for path in _OF_THIS_MACHINE if path.exists()]
    build = ["build", "--isolation=chroot", "--network=host", "--quiet", *mounts]
    build += [f"--build-arg=BASE=docker-archive:{base}", f"--tag={OPERATOR}", "."]
    push = ["push", "--quiet", OPERATOR, f"docker-archive:{draft}:{OPERATOR}"]
    _slowly("building the image with buildah (1 min)", [*ALONE, *buildah, *build], target)
    _slowly("writing its archive", [*ALONE, *buildah, *push], target)
    draft.rename(target)


def _make_base(target: Path, work: Path) -> None:
    root, layer = work / "root", work / "layer.tar"
    what = f"making a base image of Debian {SUITE} with Python (1 min, once)"
    make_root(root, _PACKAGES, what, log=target.with_name("build.log"))
    write_root(layer, root)
    image = Image(f"docker.io/local/python:{SUITE}", [layer], {"Cmd": ["python3"], "Env": [PATH]})
    write_archive(target, image)


def _slowly(what: str, command: list[str], target: Path) -> None:
    run_slowly(what, command, log=target.with_name("build.log"), cwd=REPO, env=os.environ)
