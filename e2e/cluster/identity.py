"""Which process a pid meant when it was written down.

A pid alone is not an identity: the kernel hands it out again. Together with the start time and the boot
id it is, and a pidfd keeps it from changing hands between the check and the signal.
"""

import os
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import Self

_STATE, _START_TIME = 0, 19  # positions in /proc/PID/stat counted after the command name


@dataclass(frozen=True)
class ProcessIdentity:
    """A process of this machine, never a later one with the same pid."""

    pid: int
    started: int
    boot: str

    @classmethod
    def of(cls, pid: int) -> Self | None:
        """The process that has this pid now; None if there is none or only its zombie."""
        try:
            stat = Path(f"/proc/{pid}/stat").read_text()
        except OSError:
            return None
        fields = stat.rpartition(")")[2].split()
        if fields[_STATE] in "ZX":
            return None
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return cls(pid, int(fields[_START_TIME]), boot)

    @classmethod
    def current(cls) -> Self:
        """This very process."""
        identity = cls.of(os.getpid())
        assert identity is not None  # noqa: S101  # we are running
        return identity

    def alive(self) -> bool:
        """Whether it still runs."""
        return self.of(self.pid) == self

    def send(self, sig: signal.Signals) -> bool:
        """Send a signal; False if the process is gone."""
        try:
            handle = os.pidfd_open(self.pid)
        except ProcessLookupError:
            return False
        try:
            if not self.alive():
                return False
            signal.pidfd_send_signal(handle, sig)
        except ProcessLookupError:
            return False
        finally:
            os.close(handle)
        return True
