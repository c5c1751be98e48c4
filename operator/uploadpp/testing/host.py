"""A machine on which one operator process runs: its loop, its clock, its end.

Every effect passes a *boundary*: the places where a crash can tear the operator's work in
two. They are numbered, so a run can be repeated with a crash at each of them.
"""

import asyncio
from collections.abc import Callable
from random import Random

from uploadpp.core.model import Millis
from uploadpp.testing.stream import millis
from uploadpp.testing.trace import Trace
from uploadpp.testing.virtual_loop import VirtualScheduler

SHORT_SECONDS = 0.001


class SimulatedHost:
    """One process and the machine around it."""

    def __init__(self, name: str, kernel: VirtualScheduler, trace: Trace, random: Random) -> None:
        self.name = name
        self.kernel = kernel
        self.trace = trace
        self.random = random
        self.loop = kernel.new_loop()
        self.loop.name = name
        self.boundaries = 0
        self.crash_at: int | None = None
        self.on_crash: Callable[[], None] = lambda: None
        self.pause_at: int | None = None
        self.on_pause: Callable[[], None] = lambda: None
        self.jump = 0.0
        """How far its wall clock is off, in seconds."""
        self.lag = SHORT_SECONDS
        """How long its network takes for one way, in seconds, on average."""

    @property
    def alive(self) -> bool:
        """Whether the process runs."""
        return not self.loop.dead

    def clock(self) -> Millis:
        """The wall clock."""
        return Millis(millis(self.kernel.now + self.jump))

    def monotonic(self) -> float:
        """The monotonic clock."""
        return self.kernel.now

    def delay(self) -> float:
        """How long the next packet takes."""
        return self.lag * self.random.uniform(0.5, 1.5)

    def boundary(self, what: str) -> None:
        """An effect is about to happen, or has just happened.

        Raises:
            asyncio.CancelledError: the process was killed here, or earlier.
        """
        if self.alive:
            self.boundaries += 1
            if self.boundaries == self.pause_at:
                self.trace.add(self.name, f"PAUSED {what} (boundary {self.boundaries})")
                self.loop.pause()
                self.on_pause()
            if self.boundaries != self.crash_at:
                return
            self.trace.add(self.name, f"KILLED {what} (boundary {self.boundaries})")
            self.kill()
        raise asyncio.CancelledError

    def kill(self) -> None:
        """End the process as SIGKILL does."""
        if self.alive:
            self.loop.kill()
            self.on_crash()

    async def travel(self) -> None:
        """Wait for one way through the network."""
        await asyncio.sleep(self.delay())
        if not self.alive:
            raise asyncio.CancelledError
