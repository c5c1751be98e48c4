"""The oldest Python that the plugin runs on: 3.9, as macOS and RHEL 9 have it.

CPython 3.9 where there is one; else PyPy, which Debian 12 has in that version.
"""

import os
import shutil
import subprocess
from pathlib import Path

from e2e.paths import REPO

OLDEST = "3.9"


def find() -> Path | None:
    """The interpreter; None when there is none."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"), "versions")
    names = [shutil.which(f"python{OLDEST}"), *pyenv.glob(f"{OLDEST}.*/bin/python3"), shutil.which("pypy3")]
    return next((Path(name) for name in names if name and _version(Path(name)) == OLDEST), None)


def provide() -> str:
    """Install one where that can be done, and say which it is."""
    found = find()
    if found is None and os.geteuid() == 0 and shutil.which("apt-get"):
        subprocess.run([REPO / "scripts" / "apt-install", "pypy3"], check=False)
        found = find()
    return (
        f"python {OLDEST}: {found}" if found else f"there is no Python {OLDEST} here; its tests are skipped"
    )


def _version(path: Path) -> str:
    code = "import sys; print('%d.%d' % sys.version_info[:2])"
    done = subprocess.run([path, "-c", code], capture_output=True, text=True, check=False, timeout=30)
    return done.stdout.strip()
