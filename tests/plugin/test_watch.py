"""`watch` on a terminal: a frame that fits, redrawn in place, and left behind at the end."""

import fcntl
import os
import pty
import re
import select
import struct
import termios
import time

import pytest

from tests.plugin.conftest import Plugin
from tests.plugin.resources import Writer, at

ROWS = 24
LEAVE = "\x1b[?1049l"


class Terminal:
    """A command on a terminal of its own."""

    def __init__(self, pp: Plugin, *words: str, columns: int) -> None:
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            time.sleep(0.2)  # until the size below is set
            os.execvpe("kubectl", ["kubectl", "pp", *words], {**pp.environment, "TERM": "xterm"})  # noqa: S606 -- a child
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, columns, 0, 0))
        self.seen = ""

    def until(self, pattern: str) -> None:
        """Read on until the text has appeared."""
        deadline = time.monotonic() + 40
        while not re.search(pattern, self.seen):
            assert time.monotonic() < deadline, self.seen[-3000:]
            if select.select([self.fd], [], [], 0.1)[0]:
                self.seen += os.read(self.fd, 65536).decode(errors="replace")

    def interrupt(self) -> int:
        """Press Ctrl-C; returns the exit code."""
        os.write(self.fd, b"\x03")
        while True:
            try:
                chunk = os.read(self.fd, 65536)
            except OSError:  # the terminal is gone with its last process
                break
            if not chunk:
                break
            self.seen += chunk.decode(errors="replace")
        os.close(self.fd)
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


@pytest.mark.parametrize("columns", [60, 80, 120])
def test_the_board(pp: Plugin, writer: Writer, columns: int) -> None:
    writer.put_all([at(f"upload-{i:03}", ago_minutes=5) for i in range(300)])
    board = Terminal(pp, "watch", columns=columns)
    board.until(r"300 in postprocessing: 300 Running")
    writer.set_status("upload-000", {**writer.get("upload-000")["status"], "currentStep": "policies"})
    board.until("policies")
    assert board.interrupt() == 0
    frames, _, last = board.seen.rpartition(LEAVE)
    assert frames.startswith("\x1b[?1049h")
    lines = re.sub(r"\x1b\[[\d;]*m", "", last).replace("\r", "").splitlines()
    assert len(lines) < ROWS
    assert max(map(len, lines)) <= columns
    assert lines[3].split()[:3] == ["NAME", "STATE", "STEP"]
    assert sum("Running" in line for line in lines[4:]) > 10
    assert re.search(r"… and 2\d\d more", lines[-1])
    frame_count = frames.count("\x1b[?2026h")
    assert len(frames) < frame_count * columns * ROWS * 2  # unchanged lines are not sent again


def test_one_upload_until_it_ends(pp: Plugin, writer: Writer) -> None:
    writer.put(at("some", ago_minutes=5))
    watching = Terminal(pp, "watch", "some", columns=80)
    watching.until("What you can do")
    status = writer.get("some")["status"]
    over = [{**c, "reason": "Completed", "status": "True"} for c in status["conditions"]]
    writer.set_status("some", {**status, "conditions": over})
    watching.until(re.escape(LEAVE) + r"(?s:.*)Completed")
    watching.interrupt()
