"""A terminal of a test's own, for what behaves differently on one."""

import fcntl
import os
import pty
import re
import select
import signal
import struct
import termios
import time

from tests.plugin.conftest import Plugin

ROWS = 24


class Terminal:
    """A command on a terminal of its own."""

    def __init__(self, pp: Plugin, *command: str, columns: int, term: str = "xterm") -> None:
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, columns, 0, 0))
            os.execvpe(command[0], command, {**pp.environment, "TERM": term})  # noqa: S606 -- a child
        self.seen = ""

    def until(self, pattern: str) -> None:
        """Read on until the text has appeared."""
        deadline = time.monotonic() + 40
        while not re.search(pattern, self.seen):
            assert time.monotonic() < deadline, self.seen[-3000:]
            if select.select([self.fd], [], [], 0.1)[0]:
                self.seen += os.read(self.fd, 65536).decode(errors="replace")

    def type(self, text: str) -> None:
        """Press keys."""
        os.write(self.fd, text.encode())

    def kill(self) -> None:
        """End the command, whatever it is doing."""
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        os.close(self.fd)

    def interrupt(self) -> int:
        """Press Ctrl-C; returns the exit code."""
        os.write(self.fd, b"\x03")
        return self.end()

    def end(self) -> int:
        """Read on until the command ends; returns the exit code."""
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
