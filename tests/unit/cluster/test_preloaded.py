"""A fork of what has loaded a program's modules is a process like one that was started."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from e2e.cluster import preloaded
from e2e.cluster.preloaded import Child, Preloaded
from e2e.cluster.waiting import wait_until

LOADED = """
import os, sys
print("loaded", flush=True) if "FORK" in os.environ else None
"""
MAIN = """
import os, sys, time
def main():
    variables = sorted(set(os.environ))
    print(*sys.argv, os.getcwd(), os.environ["FORK"], variables, os.getsid(0) == os.getpid(), flush=True)
    if os.environ["FORK"] == "waits":
        time.sleep(60)
    return 3
"""
Start = Callable[[str], Child]


@pytest.fixture
def program(tmp_path: Path) -> Iterator[Preloaded]:
    (tmp_path / "toy").mkdir()
    (tmp_path / "toy" / "__init__.py").touch()
    (tmp_path / "toy" / "__main__.py").write_text(MAIN)
    (tmp_path / "toy" / "parts.py").write_text(LOADED)
    program = Preloaded((sys.executable, "-m", "toy", "run"), "toy.parts", {"PYTHONPATH": str(tmp_path)})
    yield program
    program.close()


@pytest.fixture
def start(program: Preloaded, tmp_path: Path) -> Start:
    def start(fork: str) -> Child:
        environment = {"PYTHONPATH": str(tmp_path), "FORK": fork}
        return program.fork(environment, tmp_path / "toy", tmp_path / "log")

    return start


def test_it_has_a_session_a_folder_an_environment_a_log_and_an_exit_status(
    start: Start, tmp_path: Path
) -> None:
    assert [start(fork).wait(20) for fork in ("a", "b")] == [3, 3]
    variables = "['FORK', 'PYTHONPATH']"
    said = [f"toy run {tmp_path}/toy {fork} {variables} True" for fork in ("a", "b")]
    assert (tmp_path / "log").read_text().splitlines() == said, "and the modules were loaded once"


def test_it_can_be_killed(start: Start) -> None:
    child = start("waits")
    with pytest.raises(subprocess.TimeoutExpired):
        child.wait(0.05)
    os.kill(child.pid, signal.SIGKILL)
    assert [child.wait(20), child.wait()] == [-signal.SIGKILL] * 2
    assert start("a").wait(20) == 3


def test_it_ends_when_what_has_forked_it_ends(start: Start, tmp_path: Path) -> None:
    child = start("waits")
    assert wait_until((tmp_path / "log").exists, 20)
    parent = int(Path(f"/proc/{child.pid}/stat").read_text().rpartition(")")[2].split()[1])
    os.kill(parent, signal.SIGKILL)
    assert wait_until(lambda: not Path(f"/proc/{child.pid}/cwd").exists(), 20)
    with pytest.raises((ChildProcessError, BrokenPipeError)):
        start("a")


@pytest.mark.parametrize(
    ("words", "variables", "suits"),
    [
        ("run", {"FORK": "x"}, True),
        ("run --flag", {}, False),
        ("run", {"LD_PRELOAD": "libfaketime.so.1"}, False),
        ("run", {"PYTHONUTF8": "1"}, False),
        ("run", {"LC_ALL": "C"}, False),
    ],
)
def test_it_stands_in_for_a_start_that_would_do_the_same(
    program: Preloaded,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    words: str,
    variables: dict[str, str],
    suits: bool,  # noqa: FBT001 -- a column of the table
) -> None:
    monkeypatch.setattr(preloaded, "_ENABLED", [program])
    argv = [sys.executable, "-m", "toy", *words.split()]
    environment = {"PYTHONPATH": str(tmp_path), "FORK": "a", **variables}
    child = preloaded.spawn(argv, environment, tmp_path, tmp_path / "log")
    assert (child is not None) == suits
    if child is not None:
        assert child.wait(20) == 3
