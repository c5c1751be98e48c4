"""SIGINT and SIGTERM end a command by KeyboardInterrupt, each interruption once."""

from __future__ import annotations

import signal
import time

SAME_SECONDS = 0.2
"""What comes so soon after a signal belongs to it: `timeout` sends one to a command, then to its group."""


class Interrupts:
    """Those of this process."""

    def __init__(self) -> None:
        self.raised = False
        """Whether one was raised. It may hit inside a lock or a clean-up and come out as another error."""
        self._at: float | None = None

    def listen(self) -> None:
        """Raise them from now on. What is ignored, as under nohup, stays so."""
        self.raised, self._at = False, None
        for number in (signal.SIGINT, signal.SIGTERM):
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, self._raise)

    def rest(self) -> None:
        """Let no signal change the exit status, which is known.

        Python gives signals their default effect while it exits, and the second of two would end it.
        """
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)

    def note(self) -> bool:
        """A signal came; returns whether it is a new interruption."""
        now = time.monotonic()
        new = self._at is None or now - self._at > SAME_SECONDS
        self._at = now if new else self._at
        return new

    def _raise(self, *_: object) -> None:
        if self.note():
            self.raised = True
            raise KeyboardInterrupt


INTERRUPTS = Interrupts()
