"""Files of users go with the process that worked on them, however it ends."""

import os
import signal
import subprocess
import sys
from pathlib import Path

from uploadpp.steps.scratch import Scratch, remove_stale

HOLD = """\
import sys, time
from pathlib import Path
from uploadpp.steps.scratch import Scratch
scratch = Scratch(None, Path(sys.argv[1]))
with scratch.folder() as folder:
    (folder / "file").write_text("a user's file")
    print(folder, flush=True)
    time.sleep(600)
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


def test_a_folder_goes_whatever_is_in_it(tmp_path: Path) -> None:
    scratch = Scratch(None, tmp_path)
    with scratch.folder() as folder:
        deep = folder / "a" / "b"
        deep.mkdir(parents=True)
        (deep / "file").touch()
        (folder / "link").symlink_to(tmp_path)
        deep.chmod(0)
        (folder / "a").chmod(0)
    assert sorted(path.name for path in scratch.path.iterdir()) == ["lock"]
    scratch.close()
    assert list(tmp_path.iterdir()) == []
