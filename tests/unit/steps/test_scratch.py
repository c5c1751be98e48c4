"""Files of users go with the process that worked on them, however it ends."""

import fcntl
import os
import signal
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from uploadpp.steps.scratch import Scratch, remove_stale

HOLD = """\
import asyncio, sys, time
from pathlib import Path
from uploadpp.steps.scratch import Scratch
async def hold(scratch):
    async with scratch.folder() as folder:
        (folder / "file").write_text("a user's file")
        print(folder, flush=True)
        time.sleep(600)
asyncio.run(hold(Scratch(None, Path(sys.argv[1]))))
"""


def test_what_a_killed_process_left_is_removed_by_the_next(tmp_path: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    folder = Path(process.stdout.readline().strip())
    assert remove_stale(tmp_path) == 0  # its process lives
    assert (folder / "file").exists()
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    assert (folder / "file").exists()
    assert remove_stale(tmp_path) == 1
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_another_process_takes_for_stale_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two processes start at once: one looks for stale folders before the other has locked its own."""
    lock = fcntl.flock
    removed: list[int] = []

    def slowly(descriptor: int, operation: int) -> None:
        if not removed and not operation & fcntl.LOCK_NB:
            removed.append(0)
            removed[0] = remove_stale(tmp_path)
        lock(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", slowly)
    scratch = Scratch(None, tmp_path)
    assert removed == [1]
    assert scratch.intact
    assert remove_stale(tmp_path) == 0


def test_only_our_own_is_removed(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "lock").touch()
    (tmp_path / "uploadpp-step-abcdefgh").symlink_to(outside)
    for name in ("uploadpp-step-", "uploadpp-step-abc", "uploadpp-step-abcdefgh.d", "other-abcdefgh"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "lock").touch()
    (tmp_path / "uploadpp-step-00000000").mkdir()  # without a lock: not complete
    strangers = tmp_path / "uploadpp-step-11111111"
    strangers.mkdir()
    (strangers / "lock").symlink_to(outside / "lock")
    if os.geteuid() == 0:
        foreign = tmp_path / "uploadpp-step-22222222"
        foreign.mkdir()
        (foreign / "lock").touch()
        os.chown(foreign, 12345, 12345)
    before = sorted(tmp_path.iterdir())
    assert remove_stale(tmp_path) == 0
    assert sorted(tmp_path.iterdir()) == before
    assert remove_stale(tmp_path / "nowhere") == 0


async def test_a_folder_goes_whatever_is_in_it(tmp_path: Path) -> None:
    scratch = Scratch(None, tmp_path)
    async with scratch.folder() as folder:
        deep = folder / "a" / "b"
        deep.mkdir(parents=True)
        (deep / "file").touch()
        (folder / "link").symlink_to(tmp_path)
        deep.chmod(0)
        (folder / "a").chmod(0)
    assert sorted(path.name for path in scratch.path.iterdir()) == ["lock"]
    scratch.close()
    assert not any(tmp_path.iterdir())  # noqa: ASYNC240 -- nothing else runs in this loop


async def test_s4_folders_nested_without_end_go_as_well(tmp_path: Path) -> None:
    """Deeper than Python goes and longer than a path may be: a program that unpacks archives makes such."""
    scratch = Scratch(None, tmp_path)
    async with scratch.folder() as folder:
        inner = os.open(folder, os.O_RDONLY)
        for depth in range(2000):
            os.mkdir("folder", dir_fd=inner)
            os.close(os.open("file", os.O_CREAT | os.O_WRONLY, dir_fd=inner))
            outer, inner = inner, os.open("folder", os.O_RDONLY, dir_fd=inner)
            if depth % 100 == 0:
                os.fchmod(inner, 0)
            os.close(outer)
        os.close(inner)
    assert sorted(path.name for path in scratch.path.iterdir()) == ["lock"]
    scratch.close()


async def test_s4_a_link_in_place_of_the_folder_leads_nowhere(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir(mode=0o750)
    (outside / "file").touch()
    scratch = Scratch(None, tmp_path)
    async with scratch.folder() as folder:
        folder.rmdir()
        folder.symlink_to(outside)
    assert sorted(path.name for path in scratch.path.iterdir()) == ["lock"]
    assert (outside / "file").exists()
    assert outside.stat().st_mode & 0o777 == 0o750
    scratch.close()


@pytest.mark.skipif(sys.platform != "linux", reason="other systems leave such a folder as it is")
async def test_s4_a_link_that_takes_the_place_of_a_folder_changes_nothing_outside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another command of the same user can do that while the folder is removed; the step may be root."""
    outside = tmp_path / "outside"
    outside.write_text("not of the step")
    outside.chmod(0o644)
    scratch, look = Scratch(None, tmp_path), os.lstat

    def look_and_swap(name: str, *, dir_fd: int | None = None) -> os.stat_result:
        found = look(name, dir_fd=dir_fd)
        if name == "bait" and stat.S_ISDIR(found.st_mode):
            os.rmdir(name, dir_fd=dir_fd)
            os.symlink(outside, name, dir_fd=dir_fd)
        return found

    monkeypatch.setattr(os, "lstat", look_and_swap)
    async with scratch.folder() as folder:
        (folder / "bait").mkdir()
    assert outside.stat().st_mode & 0o777 == 0o644
    assert sorted(path.name for path in scratch.path.iterdir()) == ["lock"]
    scratch.close()


AS_SOMEBODY = """\
import os, sys
from pathlib import Path
from uploadpp.steps.scratch import remove
os.setgid(65534)
os.setuid(65534)
path = Path(sys.argv[1], "mine")
(path / "a" / "b").mkdir(parents=True)
(path / "a" / "file").touch()
for each in (path / "a" / "b", path / "a", path):
    each.chmod(0)
remove(path)
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can change users, and reads every folder")
def test_s4_an_unreadable_folder_goes_where_the_step_is_not_root() -> None:
    with tempfile.TemporaryDirectory() as parent:  # of pytest's own folders others see nothing
        Path(parent).chmod(0o777)
        subprocess.run([sys.executable, "-c", AS_SOMEBODY, parent], check=True)
        assert not any(Path(parent).iterdir())
