"""The clock of the process."""

import time

from uploadpp.core.model import Millis


def wall_clock() -> Millis:
    """The time of day in ms."""
    return Millis(time.time_ns() // 1_000_000)
