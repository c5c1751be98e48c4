"""Chromium for the tests of `kubectl pp ui`: found on PATH, or installed where that asks nobody."""

import os
import shutil
import subprocess

from e2e.paths import REPO

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
MISSING = "no Chromium is on PATH (Debian: apt-get install chromium)"


def program() -> str | None:
    """Where it is."""
    return next((found for name in NAMES if (found := shutil.which(name))), None)


def provide() -> str:
    """Install Debian's package as root if there is none; says where it is, or what is missing."""
    if program() is None and os.geteuid() == 0 and shutil.which("apt-get"):
        subprocess.run([REPO / "scripts/apt-install", "chromium"], check=False)
    found = program()
    return f"chromium: {found}" if found else f"{MISSING}: the tests of the page are skipped"
