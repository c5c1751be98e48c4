"""A cache that cannot be written to: what is said, and by whom."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from e2e.cluster import binaries
from e2e.paths import REPO, CacheUnwritableError, cache_folder

REMEDY = "set XDG_CACHE_HOME to a folder that you may write to"


@pytest.fixture(params=["a file", "read-only"])
def home(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A home folder in which no cache can be made, also by root."""
    found = Path("/proc/self")
    if request.param == "a file":
        found = tmp_path / "home"
        found.touch()
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", str(found))
    return found


@pytest.mark.parametrize("command", ["e2e.cluster.binaries kubectl", "e2e.dev up", "e2e.demo", ""])
def test_programs_say_what_to_do(home: Path, command: str) -> None:
    program = [sys.executable, "-m", *command.split()] if command else [str(REPO / "scripts" / "find-uv")]
    done = subprocess.run(program, cwd=REPO, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"cannot write {home}/.cache/uploadpp")
    assert line.endswith(f"; {REMEDY}")
    assert "directory" in line, "the reason"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write there")
def test_a_folder_of_somebody_else_is_found_before_it_is_used(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "uploadpp").mkdir(mode=0o500)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(CacheUnwritableError, match="Permission denied"):
        cache_folder()


@pytest.mark.usefixtures("home")
def test_what_is_there_already_needs_no_cache() -> None:
    """Looking for a program makes no folder."""
    binaries.available("kubectl")


def test_a_folder_is_made_and_left_empty(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "new"))
    assert cache_folder("a", "b") == tmp_path / "new" / "uploadpp" / "a" / "b"
    assert list(cache_folder("a", "b").iterdir()) == []
