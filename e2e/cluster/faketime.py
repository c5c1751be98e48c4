"""libfaketime, which gives a process a clock that tests set; installed where that asks nobody."""

import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from e2e.paths import REPO

NAME = "libfaketime.so.1"
MISSING = "no libfaketime is here (Debian: apt-get install faketime)"


def library() -> Path | None:
    """Where it is."""
    folders = [
        *Path("/usr/lib").glob("*/faketime"),
        Path("/usr/lib/faketime"),
        Path("/usr/local/lib/faketime"),
    ]
    return next((folder / NAME for folder in folders if (folder / NAME).exists()), None)


def provide() -> str:
    """Install Debian's package as root if there is none; says where it is, or what is missing."""
    if library() is None and os.geteuid() == 0 and shutil.which("apt-get"):
        subprocess.run([REPO / "scripts/apt-install", "faketime"], check=False)
    found = library()
    return f"libfaketime: {found}" if found else f"{MISSING}: the tests of clocks are skipped"


class Clock:
    """The clock of a process, which can be set while it runs; the monotonic clock goes on as it is."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self.set(0)

    def set(self, seconds: int) -> None:
        """Have it differ from the real clock by so many seconds."""
        draft = self._file.with_suffix(".new")
        draft.write_text(f"{seconds:+d}s\n")
        draft.rename(self._file)

    def environment(self) -> Mapping[str, str]:
        """The variables of a process that has this clock."""
        return {
            "LD_PRELOAD": str(library()),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }
