"""A clamd of our own: its own configuration, socket and database, no system service, no update."""

import os
import shutil
import socket
import subprocess
from collections.abc import Mapping
from pathlib import Path

from e2e.cluster.instance import Instance
from e2e.cluster.progress import say
from e2e.cluster.service import Service
from e2e.demo.steps.scanners import EICAR_SIGNATURE, eicar
from e2e.paths import cache_dir

_PACKAGE = "clamav-daemon"
_TIMEOUT = 120.0
_CONFIG = """\
LocalSocket {socket}
DatabaseDirectory {database}
Foreground yes
MaxThreads 2
SelfCheck 0
StreamMaxLength 25M
"""


class ClamavUnavailableError(RuntimeError):
    """clamd cannot be had on this machine; the message says why."""


class ClamdServer(Service):
    """One clamd that knows one virus: the EICAR test file."""

    port_names = ()

    def __init__(self, instance: Instance, *settings: str) -> None:
        """`settings` are further lines of clamd.conf."""
        super().__init__(instance, "clamd")
        self._settings = settings
        self._program, self._libraries = find_clamd()
        self.socket = self.data / "clamd.sock"

    def argv(self) -> list[str]:
        """The command line; the files it names are written here."""
        database = self.data / "database"
        database.mkdir(parents=True, exist_ok=True)
        (database / "demo.ndb").write_text(f"{EICAR_SIGNATURE}:0:0:{eicar().hex()}\n")
        config = self.data / "clamd.conf"
        lines = [_CONFIG.format(socket=self.socket, database=database), *self._settings, ""]
        config.write_text("\n".join(lines))
        return [str(self._program), f"--config-file={config}"]

    def environment(self) -> Mapping[str, str]:
        """Ours, with the unpacked libraries."""
        return {**os.environ, "LD_LIBRARY_PATH": self._libraries} if self._libraries else os.environ

    def ready(self) -> bool:
        """Whether it has loaded its database."""
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(2)
            client.connect(str(self.socket))
            client.sendall(b"zPING\0")
            return client.recv(16).startswith(b"PONG")


def find_clamd() -> tuple[Path, str]:
    """The program and the folders of its libraries: installed, or unpacked from Debian's packages.

    The packages are only unpacked into the user's cache: nothing is installed, no service starts, and it
    needs no root as long as the package lists are there.

    Raises:
        ClamavUnavailableError: neither way works here.
    """
    installed = shutil.which("clamd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
    if installed:
        return Path(installed), ""
    folder = cache_dir() / "clamav"
    if not (folder / "complete").exists():
        _unpack(folder)
    libraries = sorted({str(path.parent) for path in folder.glob("usr/lib/**/*.so*")})
    return folder / "usr/sbin/clamd", ":".join(libraries)


def _unpack(folder: Path) -> None:
    if not (shutil.which("apt-get") and shutil.which("dpkg-deb")):
        raise ClamavUnavailableError(
            "clamd is not installed, and it can be fetched on Debian and Ubuntu only"
        )
    say(f"==> fetching Debian's {_PACKAGE} (7 MB, into the cache only)")
    shutil.rmtree(folder, ignore_errors=True)
    archives = folder / "archives"
    archives.mkdir(parents=True)
    _run("apt-get", "download", *_missing_packages(), cwd=archives)
    for archive in archives.glob("*.deb"):
        _run("dpkg-deb", "--extract", str(archive), str(folder))
    shutil.rmtree(archives)
    (folder / "complete").touch()


def _missing_packages() -> list[str]:
    """The package and what it needs that this machine has not; what would be upgraded stays as it is."""
    plan_command = ("apt-get", "install", "--simulate", "--no-install-recommends", _PACKAGE)
    try:
        plan = _run(*plan_command)
    except ClamavUnavailableError:
        if os.geteuid() != 0:
            raise
        _run("apt-get", "update")  # a fresh image has no package lists
        plan = _run(*plan_command)
    words = [line.split() for line in plan.splitlines()]
    missing = [line[1] for line in words if line[:1] == ["Inst"] and not line[2].startswith("[")]
    if not missing:
        raise ClamavUnavailableError(f"apt has no {_PACKAGE}")
    return missing


def _run(*command: str, cwd: Path | None = None) -> str:
    try:
        done = subprocess.run(
            command,
            check=True,
            capture_output=True,
            text=True,
            timeout=_TIMEOUT,
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            env={**os.environ, "LC_ALL": "C"},
        )
    except (OSError, subprocess.SubprocessError) as error:
        output = getattr(error, "stderr", None) or str(error)
        raise ClamavUnavailableError(f"{command[0]}: {output.strip().splitlines()[-1]}") from error
    return done.stdout
