"""Messages that the stream has removed before they were read: by its limits, a purge, or one by one.

Uploads that were announced in them are unknown, and answers in them are lost. The operator cannot repair
that, so it reports it: in the log, as an Event, and by a counter.
"""

import logging
from collections.abc import Callable
from time import monotonic

from prometheus_client import Counter

from uploadpp.core.commands import Notice
from uploadpp.pipeline import fault_event_texts

log = logging.getLogger(__name__)

QUIET_SECONDS = 60.0
"""A stream that is too small loses messages again and again; they are counted, and said so often."""


class Missed:
    """Tells of them."""

    def __init__(self, counter: Counter, tell: Callable[[Notice], None]) -> None:
        self._counter = counter
        self._tell = tell
        self._untold = 0
        self._quiet_until = float("-inf")

    def __call__(self, first: int, last: int) -> None:
        """The messages from one sequence to another are gone."""
        count = last - first + 1
        self._counter.inc(count)
        self._untold += count
        now = monotonic()
        if now < self._quiet_until:
            return
        self._quiet_until = now + QUIET_SECONDS
        count, self._untold = self._untold, 0
        notice = fault_event_texts.messages_missed(count, first, last)
        log.error(notice.message)
        self._tell(notice)
