"""Watches the event loop from a thread: how long it stood still at most, and where it stood.

While one message, resource or file takes long, no lease is renewed and no probe answered, and
afterwards nothing says what it was. The loop beats several times a second; the thread sees when
it is late and logs the stack of the loop's thread, without the values of variables, which may be
secrets. A single call into C that keeps the interpreter to itself is logged once it has returned.
"""

import asyncio
import logging
import sys
import threading
import time
import traceback
from collections.abc import Callable

from prometheus_client import CollectorRegistry, Gauge, Histogram

log = logging.getLogger(__name__)

BEAT_SECONDS = 0.1
STALL_SECONDS = 1.0
"""After a stall of this length, the stack is logged."""
QUIET_SECONDS = 60.0
"""Minimum time between two stacks in the log."""
BUCKETS = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)


class StallMetrics:
    """What /metrics says of the loop."""

    def __init__(self, registry: CollectorRegistry, prefix: str = "uploadpp_loop") -> None:
        self.longest = Gauge(
            f"{prefix}_longest_stall_seconds",
            "Longest time since the start that one callback blocked the event loop.",
            registry=registry,
        )
        self.tasks = Gauge(f"{prefix}_tasks", "Tasks of the event loop.", registry=registry)
        self.stalls = Histogram(
            f"{prefix}_stall_seconds",
            "Time that one callback blocked the event loop, if 0.1 s or longer.",
            buckets=BUCKETS,
            registry=registry,
        )


class StallWatch:
    """Watches the loop it is started in, until it is stopped."""

    def __init__(
        self,
        metrics: StallMetrics,
        doing: Callable[[], str] = str,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`doing` says what is being processed, such as a sequence of the stream; called from the thread."""
        self._metrics = metrics
        self._doing = doing
        self._clock = clock
        self._beat_at = clock()
        self._told_of = float("-inf")
        self._quiet_until = float("-inf")
        self._longest = 0.0
        self._stopped = threading.Event()
        self._loop_thread = 0
        self._timer: asyncio.TimerHandle | None = None
        self._thread = threading.Thread(target=self._watch, name="stall-watch", daemon=True)

    def start(self) -> None:
        """Begin; called in the loop's thread."""
        self._loop_thread = threading.get_ident()
        self._beat_at = self._clock()
        loop = asyncio.get_running_loop()
        self._metrics.tasks.set_function(lambda: len(asyncio.all_tasks(loop)))
        self._timer = loop.call_later(BEAT_SECONDS, self._beat)
        self._thread.start()

    def stop(self) -> None:
        """End."""
        self._stopped.set()
        if self._timer is not None:
            self._timer.cancel()
        self._thread.join()

    def _beat(self) -> None:
        now = self._clock()
        late = now - self._beat_at - BEAT_SECONDS
        self._beat_at = now
        if late >= BUCKETS[0]:
            self._metrics.stalls.observe(late)
        if late > self._longest:
            self._longest = late
            self._metrics.longest.set(late)
        self._timer = asyncio.get_running_loop().call_later(BEAT_SECONDS, self._beat)

    def _watch(self) -> None:
        while not self._stopped.wait(STALL_SECONDS / 4):
            self.look()

    def look(self) -> None:
        """Log where the loop stands if it has stood still for long; once for each stall."""
        beat_at, now = self._beat_at, self._clock()
        if now - beat_at < STALL_SECONDS or beat_at == self._told_of or now < self._quiet_until:
            return
        self._told_of, self._quiet_until = beat_at, now + QUIET_SECONDS
        frame = sys._current_frames().get(self._loop_thread)  # noqa: SLF001 -- there is no other way
        where = "".join(traceback.format_stack(frame)).rstrip() if frame is not None else "unknown"
        text = "the event loop has been blocked for %.1f s"
        extra = {"processing": self._doing()}
        record = log.makeRecord(
            log.name, logging.WARNING, __file__, 0, text, (now - beat_at,), None, extra=extra, sinfo=where
        )
        log.handle(record)
