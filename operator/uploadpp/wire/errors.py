"""Why the log cannot be read any further."""

from datetime import datetime


class LogLostError(Exception):
    """The consumer cannot be read any further; start over."""


class TailLostError(LogLostError):
    """The stream no longer holds what it gave us: it acknowledged before it was on disk (invariant 2.6).

    `lost_after` is when the last message that we know of was stored.
    """

    def __init__(self, lost_after: datetime) -> None:
        super().__init__("the stream has lost messages that were already read")
        self.lost_after = lost_after
