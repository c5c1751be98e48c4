"""Nothing that a command starts outlives it or looks into the step; with real processes."""

import asyncio
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

from uploadpp.process.configuration import read_model
from uploadpp.steps import Continue, Retry, Upload, Verdict
from uploadpp.steps.command import Command, CommandOptions

NUMBERS = count(1)
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="other systems end the process group only")


def zombies() -> set[str]:
    """Our children that have ended and that nobody has waited for."""
    found = set()
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if fields[1] == str(os.getpid()) and fields[0] == "Z":
            found.add(path.parent.name)
    return found


@pytest.fixture
def mark() -> Iterator[str]:
    """A length of sleep that no other process has."""
    text = f"{70_000 + os.getpid()}.{next(NUMBERS):03}"
    yield text
    for pid in pids(text):
        os.kill(pid, 9)


def pids(mark: str) -> list[int]:
    """All processes with this word in their command line."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if mark.encode() in (folder / "cmdline").read_bytes():
                found.append(int(folder.name))
        except OSError:
            continue
    return found


async def run(script: str, **flags: object) -> Verdict:
    quoted = script.replace("'", "'\\''")
    options = read_model(CommandOptions, {"exec": f"sh -c '{quoted}'", **flags}, {})
    return await Command(options).check(Upload.of(b"hello"))


LEFT_BEHIND = [
    "(sleep {0}) & echo done; exit 0",
    "sleep {0} >/dev/null 2>&1 & echo done",
    "(trap '' TERM HUP INT; sleep {0}; sleep {0}) & echo done",
    "setsid sleep {0} & echo done",
    "setsid --fork sleep {0}; echo done",
    "(setsid sh -c 'sleep {0} & sleep {0} & wait' &) ; echo done",
    "env -i setsid --fork /bin/sh -c 'trap \"\" TERM; sleep {0}' >/dev/null 2>&1; echo done",
    "(env -i /bin/sh -c '(setsid sleep {0} >/dev/null &) & setsid sleep {0} &' &) ; sleep 0.2; echo done",
    "setsid sh -c 'while :; do (sleep {0} &) ; sleep 0.01; done' & sleep 0.2; echo done",
]


@pytest.mark.parametrize("script", LEFT_BEHIND)
async def test_what_a_command_leaves_behind_ends_with_it(script: str, mark: str) -> None:
    async with asyncio.timeout(20):  # not the time of the sleep: who holds the output is not waited for
        verdict = await run(script.format(mark))
    assert (type(verdict), verdict.message) == (Continue, "done")
    assert pids(mark) == []


@pytest.mark.parametrize("script", LEFT_BEHIND)
async def test_so_it_does_when_the_time_is_over(script: str, mark: str) -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(1):
            await run(
                f"{script.format(mark)}; exec sleep {mark}" if "exit 0" not in script else f"sleep {mark}"
            )
    assert pids(mark) == []


async def test_nothing_is_left_to_be_waited_for(mark: str) -> None:
    """A step runs for months: what ends must not stay in the table of processes."""
    before = zombies()
    await run(f"for i in 1 2 3; do (setsid sleep 0.01 &); done; setsid --fork sleep {mark}; sleep 0.2")
    assert zombies() <= before


async def test_eight_at_once_end_their_own_and_nobody_elses(mark: str) -> None:
    """Each has processes outside of its group, which must live as long as it does."""
    script = "setsid sleep {0} & child=$!; sleep 0.{1}; kill -0 $child && echo alive; setsid --fork sleep {0}"
    verdicts = await asyncio.gather(*(run(script.format(mark, number + 1)) for number in range(8)))
    assert [verdict.message for verdict in verdicts] == ["alive"] * 8
    assert pids(mark) == []


async def test_a_process_of_somebody_else_is_left_alone(mark: str) -> None:
    other = await asyncio.create_subprocess_exec("sleep", mark, start_new_session=True)
    await run("true")
    assert pids(mark) == [other.pid]
    other.kill()
    await other.wait()


async def test_a_command_that_cannot_be_started_leaves_nothing(tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_text("#!/no/such/interpreter\n")
    program.chmod(0o755)
    with pytest.raises(FileNotFoundError):
        await Command(read_model(CommandOptions, {"exec": str(program)}, {})).check(Upload.of(b"x"))


LOOK = """\
import os, subprocess, sys
from uploadpp.steps.children import hide_from_children
if sys.argv[1] == "hidden":
    assert hide_from_children()
look = "cat /proc/$PPID/environ /proc/$PPID/maps | grep -c -a made-up-password"
print(subprocess.run(["sh", "-c", look], capture_output=True, text=True).stdout)
"""


@pytest.mark.skipif(shutil.which("setpriv") is None or os.geteuid() != 0, reason="needs root and setpriv")
@pytest.mark.parametrize(("how", "found"), [("plain", "1"), ("hidden", "0")])
def test_a_command_cannot_read_the_environment_of_the_step(how: str, found: str) -> None:
    """The same user, without the capability to trace others, as in a Pod."""
    environment = {**os.environ, "OCIS_EVENTS_AUTH_PASSWORD": "made-up-password"}
    done = subprocess.run(
        ["setpriv", "--bounding-set=-all", sys.executable, "-c", LOOK, how],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == found


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can change users")
async def test_a_command_can_run_as_another_user(tmp_path: Path) -> None:
    secret = tmp_path / "nats.creds"
    secret.write_text("seed")
    secret.chmod(0o600)
    script = f"id -u; id -G; cat {{path}}; cat {secret} 2>/dev/null; touch $TMPDIR/x && echo :ok"
    verdict = await run(f"({script}) | tr \\\\n ,", user="65534:65534")
    assert verdict.message == "65534,65534,hello:ok,"


async def test_a_command_that_fails_is_ended_too(mark: str) -> None:
    verdict = await run(f"setsid sleep {mark} & kill -9 $$")
    assert isinstance(verdict, Retry)
    assert pids(mark) == []
