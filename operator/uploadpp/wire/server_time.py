"""The time by the clock of NATS, which gives every message of the stream its time.

The operator compares its own time with those of messages: for pauses, timeouts and delays. The clock of its
machine may be wrong, and may be set at any moment. Then an upload would wait for an hour, or lose its retries
at once. So the operator counts on from the last time that NATS has told it.

    leader of the stream    its time      our clock since the start    difference
    first answer            12:00:00.0            100.2 s              11:58:19.8
    second answer           12:00:30.0            130.1 s              11:58:19.9    the greater one counts
    now                                           132.1 s              11:58:19.9 + 132.1 s = 12:00:32.0

An answer is older than its arrival, never younger, so the greatest of some differences is the nearest to the
truth. Differences are forgotten after a while, in case NATS's own clock is set back.
"""

import logging
import time
from collections.abc import Callable
from datetime import datetime

from uploadpp.core.model import Millis

log = logging.getLogger(__name__)

KEPT_SECONDS = 60.0
"""A difference counts at least so long, and at most twice as long while others come."""
MOST_WRONG_SECONDS = 366 * 86_400.0
"""A time that differs more from the clock of this machine is not believed: nothing else is certain then."""
WRONG_SECONDS = 5.0
"""From here on, a person is told that the clock of the machine is wrong."""
_NONE = float("-inf")


def _since_boot() -> float:
    """Seconds on a clock that nobody sets, and that counts on while the machine sleeps where there is one."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


class ServerTime:
    """What one client knows of it. Until NATS has answered, it is the clock of this machine."""

    def __init__(
        self, wall: Callable[[], float] = time.time, monotonic: Callable[[], float] = _since_boot
    ) -> None:
        self._wall = wall
        self._monotonic = monotonic
        self._older = self._newer = _NONE
        self._since = _NONE
        self._told = 0.0

    def __call__(self) -> Millis:
        """The time in ms."""
        difference = max(self._older, self._newer)
        seconds = self._wall() if difference == _NONE else self._monotonic() + difference
        return Millis(int(seconds * 1000))

    def heard(self, at: str) -> None:
        """An answer has just come which NATS gave at this time (RFC 3339, in UTC)."""
        moment = datetime.fromisoformat(at).timestamp()
        now = self._monotonic()
        if abs(moment - self._wall()) > MOST_WRONG_SECONDS:
            return
        if now - self._since >= KEPT_SECONDS:
            self._older, self._newer, self._since = self._newer, _NONE, now
        self._newer = max(self._newer, moment - now)
        self._tell(max(self._older, self._newer) + now - self._wall())

    def _tell(self, ahead: float) -> None:
        if abs(ahead - self._told) <= WRONG_SECONDS:
            return
        self._told = ahead if abs(ahead) > WRONG_SECONDS else 0.0
        if not self._told:
            log.info("the clock of this machine and that of NATS agree again")
            return
        log.warning(
            "the clock of this machine is %.0f s %s that of NATS, which counts for uploads. Set the clocks "
            "of the nodes, for example with chrony",
            abs(ahead),
            "behind" if ahead > 0 else "ahead of",
        )
