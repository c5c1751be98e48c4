"""Notices that the server which we are connected to is cut off from the others of its cluster.

Such a server keeps its clients, and its consumers send heartbeats for a while. But nothing that needs the
other servers is answered: nothing is read or stored, although the rest of the cluster works.
"""

import time
from collections.abc import Callable

LEAVE_SECONDS = 12.0
"""How long JetStream may answer nothing. The servers elect new leaders in 4 to 9 seconds."""
SHOWN_SECONDS = 4.0
UNAVAILABLE_CODE = 10008
"""What a server answers that does not reach most of the others."""


class Silence:
    """How long JetStream has answered nothing that it was asked on this connection."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._since: float | None = None

    @property
    def seconds(self) -> float:
        """Seconds since the first request without an answer; 0 if the last one was answered."""
        return self._clock() - self._since if self._since is not None else 0.0

    def answered(self) -> None:
        """JetStream has answered, or there is a new connection."""
        self._since = None

    def unanswered(self) -> None:
        """A request had no answer, or the server has said that it does not reach the others."""
        if self._since is None:
            self._since = self._clock()
