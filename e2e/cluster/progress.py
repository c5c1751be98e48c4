"""Long steps tell that they still go on."""

import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

_HEARTBEAT = 15.0


def say(line: str) -> None:
    """One line to the person who waits; stderr, so that output stays clean."""
    print(line, file=sys.stderr, flush=True)


def run_slowly(what: str, command: Sequence[str], *, log: Path, cwd: Path, env: Mapping[str, str]) -> None:
    """Run a long command with a heartbeat; its output goes to the log, the end of which is shown on failure.

    Raises:
        RuntimeError: the command failed.
    """
    say(f"==> {what}")
    started = time.monotonic()
    with (
        log.open("wb") as output,
        subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, cwd=cwd, env=env
        ) as process,
    ):
        try:
            while True:
                try:
                    status = process.wait(_HEARTBEAT)
                    break
                except subprocess.TimeoutExpired:
                    say(f"    still at it after {time.monotonic() - started:.0f} s")
        except BaseException:
            process.kill()
            raise
    if status != 0:
        tail = "\n".join(log.read_text(errors="replace").splitlines()[-30:])
        raise RuntimeError(f"{what} failed with status {status}:\n{tail}")
    say(f"    done after {time.monotonic() - started:.0f} s")
