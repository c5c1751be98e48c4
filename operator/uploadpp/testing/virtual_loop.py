"""Virtual time: one queue of callbacks for the whole world, in an order that a seed repeats.

Each simulated process has an event loop of its own on top of the queue, so that one can be
killed or paused while the others run on.
"""

import asyncio
import heapq
from asyncio import events
from collections import deque
from collections.abc import Callable, Coroutine
from contextvars import Context, copy_context
from typing import Any, cast

MAX_CALLBACKS = 600_000
BURIALS = 20
"""A process that is killed gets so many rounds of cancellation to let go of its tasks."""


class RunawayError(Exception):
    """The simulated world never comes to rest."""


class Handle:
    """A callback in the queue: asyncio's without what is for debugging, which is a third of a run."""

    __slots__ = ("_args", "_call", "_context", "_when", "cancelled", "loop")

    def __init__(
        self,
        loop: "Loop",
        when: float,
        call: Callable[..., object],
        args: tuple[object, ...],
        context: Context | None,
    ) -> None:
        self.loop = loop
        self.cancelled = False
        self._when = when
        self._call = call
        self._args = args
        self._context = copy_context() if context is None else context

    def when(self) -> float:
        """When it is due, in seconds since the start of the run."""
        return self._when

    def cancel(self) -> None:
        """Have it skipped when its time comes."""
        self.cancelled = True

    def run(self) -> None:
        """Call; what nobody catches is for the exception handler, as in asyncio."""
        try:
            self._context.run(self._call, *self._args)
        except (SystemExit, KeyboardInterrupt):
            raise
        except BaseException as error:  # noqa: BLE001 -- as in asyncio
            self.loop.call_exception_handler({"message": f"in {self._call!r}", "exception": error})


class VirtualScheduler:
    """The clock (seconds since the start of the run) and everything that is still to happen."""

    def __init__(self) -> None:
        self.now = 0.0
        self.ready: deque[Handle] = deque()
        self._timers: list[tuple[float, int, Handle]] = []
        self._count = 0
        self._callbacks = 0
        self._running: Loop | None = None
        self.failures: list[str] = []
        self.world = self.new_loop()
        self._context = copy_context()

    def new_loop(self) -> "Loop":
        """An event loop for one process."""
        return Loop(self)  # type: ignore[abstract]  # sockets, threads and signals have no place here

    def after(self, seconds: float, call: Callable[..., object], *args: object) -> None:
        """Have the world do something later."""
        self.world.call_at(self.now + seconds, call, *args, context=self._context)

    def add_timer(self, handle: Handle) -> None:
        """Put a timer in the queue."""
        self._count += 1
        heapq.heappush(self._timers, (handle.when(), self._count, handle))

    def run_until(self, end: float) -> None:
        """Let everything happen that is due by `end`.

        Raises:
            RunawayError: it does not stop.
        """
        ready, timers = self.ready, self._timers
        try:
            while True:
                while ready:
                    handle = ready.popleft()
                    if not handle.cancelled:
                        self._run(handle)
                if not timers or timers[0][0] > end:
                    break
                at, _, timer = heapq.heappop(timers)
                if timer.cancelled:
                    continue
                self.now = max(self.now, at)
                ready.append(timer)
        finally:
            self._running = None
            events._set_running_loop(None)  # noqa: SLF001 -- what a loop is for
        self.now = max(self.now, end)

    def _run(self, handle: Handle) -> None:
        loop = handle.loop
        if loop.dead:
            return
        if loop.paused:
            loop.backlog.append(handle)
            return
        self._callbacks += 1
        if self._callbacks > MAX_CALLBACKS:
            raise RunawayError(f"{MAX_CALLBACKS} callbacks in one run")
        if loop is not self._running:
            self._running = loop
            events._set_running_loop(loop)  # noqa: SLF001 -- what a loop is for
        handle.run()


class Loop(asyncio.AbstractEventLoop):
    """The event loop of one process."""

    def __init__(self, kernel: VirtualScheduler) -> None:
        self._kernel = kernel
        self.name = "world"
        self.dead = False
        self.paused = False
        self.backlog: deque[Handle] = deque()
        self._tasks: dict[asyncio.Task[Any], None] = {}

    # -- what asyncio asks of a loop ------------------------------------------------------

    def time(self) -> float:
        """Seconds since the start of the run."""
        return self._kernel.now

    def call_soon(
        self, callback: Callable[..., object], *args: object, context: Context | None = None
    ) -> asyncio.Handle:
        """Call in this very moment, after what is due already."""
        handle = Handle(self, 0.0, callback, args, context)
        (self.backlog if self.dead else self._kernel.ready).append(handle)
        return cast("asyncio.Handle", handle)

    def call_at(
        self, when: float, callback: Callable[..., object], *args: object, context: Context | None = None
    ) -> asyncio.TimerHandle:
        """Call at a time."""
        handle = Handle(self, when, callback, args, context)
        self._kernel.add_timer(handle)
        return cast("asyncio.TimerHandle", handle)

    def call_later(
        self, delay: float, callback: Callable[..., object], *args: object, context: Context | None = None
    ) -> asyncio.TimerHandle:
        """Call after a while."""
        return self.call_at(self._kernel.now + delay, callback, *args, context=context)

    def create_future(self) -> asyncio.Future[Any]:
        """A future of this loop."""
        return asyncio.Future(loop=self)

    def create_task(self, coro: Coroutine[Any, Any, Any], **_: Any) -> asyncio.Task[Any]:  # type: ignore[override]  # noqa: ANN401 -- asyncio's
        """Run a coroutine."""
        task: asyncio.Task[Any] = asyncio.Task(coro, loop=self)
        self._tasks[task] = None
        task.add_done_callback(self._tasks.pop)
        return task

    def get_debug(self) -> bool:
        """Never."""
        return False

    def is_closed(self) -> bool:
        """Never."""
        return False

    def is_running(self) -> bool:
        """While it lives."""
        return not self.dead

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """An exception nobody caught is a failure of the run, except in a process that dies."""
        if not self.dead:
            self._kernel.failures.append(f"{context.get('message')}: {context.get('exception')!r}")

    # -- what can happen to a process -----------------------------------------------------

    def pause(self) -> None:
        """Stop it, as SIGSTOP or a frozen machine does: what comes meanwhile waits."""
        self.paused = True

    def resume(self) -> None:
        """Let it go on, with everything that came meanwhile."""
        self.paused = False
        self._kernel.ready.extend(self.backlog)
        self.backlog.clear()

    def kill(self) -> None:
        """End it, as SIGKILL does: nothing of it runs any more. Its last rites come from outside."""
        if self.dead:
            return
        self.dead = True
        ready = self._kernel.ready
        for handle in list(ready):
            if handle.loop is self:
                ready.remove(handle)
                self.backlog.append(handle)
        self._kernel.after(0.0, self._bury)

    def _bury(self) -> None:
        """Throw its tasks away; its doubles let nothing out, so this is only cleaning."""
        running = events._get_running_loop()  # noqa: SLF001
        events._set_running_loop(self)  # noqa: SLF001
        try:
            for _ in range(BURIALS):
                self._run_backlog()
                for task in list(self._tasks):
                    task.cancel()
            self._run_backlog()
        finally:
            events._set_running_loop(running)  # noqa: SLF001
        if self._tasks:
            self._kernel.failures.append(f"tasks that cannot be cancelled: {self._tasks}")

    def _run_backlog(self) -> None:
        while self.backlog:
            handle = self.backlog.popleft()
            if not handle.cancelled:
                handle.run()
