"""Finds messages that end the process, by processing them in a child first (docs/adr/0026).

Python cannot end its own endless loop, and nothing survives a crash in C. When two owners in a row have
ended before they were past the same part of the log, the next one has each message processed by a copy
of itself first. If the copy ends, uses up its time or stands still, the message is passed over.
"""

import asyncio
import hashlib
import logging
import mmap
import os
import re
import resource
import signal
import warnings
from collections.abc import Awaitable, Callable, Sequence
from typing import NoReturn

from prometheus_client import Counter

from uploadpp.core.commands import Notice
from uploadpp.pipeline import fault_event_texts
from uploadpp.pipeline.acks import AckTracker
from uploadpp.wire.stream_message import StreamMessage

log = logging.getLogger(__name__)

REHEARSE_AFTER = 2
"""This many owners in a row must have ended."""
CHUNK = 500
"""Number of messages that one child processes."""
CPU_SECONDS = 3.0
"""More than any message may take; the largest take a tenth of a second."""
STILL_SECONDS = 10.0
"""A child that waits for something is ended after this time; processing a message waits for nothing."""
ORPHAN_SECONDS = 120
LOOK_SECONDS = 0.01
GREEDY_KB = 256 * 1024
MOST_BYTES = 2 * GREEDY_KB * 1024
"""Memory that a child may take beyond its parent's."""
MOST_FILES = 65_536
_EVENT_TYPE = re.compile(rb'"eventtype":"(events\.\w{1,64})"')
HEAD_BYTES = 4096

Process = Callable[[StreamMessage], None]
Rehearse = Callable[[Sequence[StreamMessage], Process, Callable[[], None]], Awaitable[int | None]]
"""Finds the first message that a process does not survive; the last argument is called while it waits."""


async def rehearse(
    messages: Sequence[StreamMessage], process: Process, waiting: Callable[[], None]
) -> int | None:
    """The index of the first message that ends a copy of this process; None when all can be processed.

    A copy can also be ended by chance, so a message must do it twice.
    """
    found = await _first_end(messages, process, waiting)
    if found is None:
        return None
    again = await _first_end(messages[: found + 1], process, waiting)
    return found if again == found else None


async def _first_end(
    messages: Sequence[StreamMessage], process: Process, waiting: Callable[[], None]
) -> int | None:
    with mmap.mmap(-1, mmap.PAGESIZE) as progress:
        loop = asyncio.get_running_loop()
        try:
            with warnings.catch_warnings():
                # The child takes no lock that another thread may hold, and never returns.
                warnings.simplefilter("ignore", DeprecationWarning)
                child = os.fork()
        except OSError as error:
            log.warning("cannot test messages in a copy of the process: %s", error)
            return None
        if child == 0:
            asyncio._set_running_loop(loop)  # noqa: SLF001 -- never run again, but asked for
            _play(messages, process, progress)
        try:
            survived = await _outcome(child, progress, waiting)
        except BaseException:
            _end(child)
            raise
        at = _position(progress)
        return None if survived and at == len(messages) else at


def _position(progress: mmap.mmap) -> int:
    return int.from_bytes(progress[:8], "little")


async def _outcome(child: int, progress: mmap.mmap, waiting: Callable[[], None]) -> bool:
    """Whether the child has come to its end. Looks are counted, so our own pauses are not held against it."""
    still, at = 0, -1
    while True:
        pid, status = os.waitpid(child, os.WNOHANG)  # noqa: ASYNC222 -- it does not wait
        if pid:
            return os.waitstatus_to_exitcode(status) == 0
        still = still + 1 if at == _position(progress) else 0
        at = _position(progress)
        if still * LOOK_SECONDS >= STILL_SECONDS:
            _end(child)
            return False
        waiting()
        await asyncio.sleep(LOOK_SECONDS)


def _end(child: int) -> None:
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)


def _play(messages: Sequence[StreamMessage], process: Process, progress: mmap.mmap) -> NoReturn:
    """The child: sends nothing, writes nothing, and ends."""
    code = 1
    try:
        signal.set_wakeup_fd(-1)
        for each in (signal.SIGTERM, signal.SIGINT, signal.SIGPROF, signal.SIGALRM):
            signal.signal(each, signal.SIG_DFL)
        signal.alarm(ORPHAN_SECONDS)
        logging.disable()
        os.closerange(3, MOST_FILES)  # an orphan must keep no port
        _bound_memory()
        for number, message in enumerate(messages):
            progress[:8] = number.to_bytes(8, "little")
            signal.setitimer(signal.ITIMER_PROF, CPU_SECONDS)
            before = _most_kb()
            process(message)
            if _most_kb() - before > GREEDY_KB:
                break
        else:
            progress[:8] = len(messages).to_bytes(8, "little")
            code = 0
    finally:
        os._exit(code)


def _most_kb() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def _bound_memory() -> None:
    try:
        with open("/proc/self/statm") as statm:  # noqa: PTH123 -- pathlib costs more, and nothing is read twice
            pages = int(statm.read().split()[0])
        most = pages * mmap.PAGESIZE + MOST_BYTES
        _, hard = resource.getrlimit(resource.RLIMIT_AS)
        resource.setrlimit(resource.RLIMIT_AS, (most if hard < 0 else min(most, hard), hard))
    except OSError:
        pass  # not on Linux: then only time is bounded


class Rehearsal:
    """A replay in which each message is rehearsed before it is processed."""

    def __init__(
        self,
        run: Rehearse,
        process: Process,
        acks: AckTracker,
        counter: Counter,
        tell: Callable[[Notice], None],
    ) -> None:
        self._run = run
        self._process = process
        self._acks = acks
        self._counter = counter
        self._tell = tell
        self._waiting: list[StreamMessage] = []
        self._order = asyncio.Lock()
        self.is_over = False
        """Whether the replay has ended: no message waits for those that follow."""
        self.last = 0
        """The sequence of the last message that was skipped."""

    async def take(self, raw: StreamMessage, heard: Callable[[], None]) -> None:
        """Process a message, perhaps together with those that follow; all when it is the last one."""
        async with self._order:
            self._waiting.append(raw)
            if self.is_over or raw.pending == 0 or len(self._waiting) >= CHUNK:
                await self._process_waiting(heard)

    async def finish(self, heard: Callable[[], None]) -> None:
        """End the replay. The last message may never come, because the stream has removed it."""
        async with self._order:
            await self._process_waiting(heard)
            self.is_over = True

    async def _process_waiting(self, heard: Callable[[], None]) -> None:
        messages, self._waiting = self._waiting, []
        while messages:
            found = await self._run(messages, self._process, heard)
            sound = messages if found is None else messages[:found]
            for each in sound:
                self._process(each)
            if found is None:
                return
            self._set_aside(messages[found])
            messages = messages[found + 1 :]

    def _set_aside(self, raw: StreamMessage) -> None:
        self._acks.release(self._acks.add(raw.sequence, raw.delivered))
        self._counter.inc()
        self.last = raw.sequence
        kind = _EVENT_TYPE.search(raw.data[:HEAD_BYTES])
        extra = {
            "sequence": raw.sequence,
            "bytes": len(raw.data),
            "sha256": hashlib.sha256(raw.data).hexdigest(),
            "type": kind[1].decode() if kind is not None else "unknown",
        }
        log.error(fault_event_texts.SET_ASIDE, extra=extra)
        self._tell(fault_event_texts.message_set_aside(extra))
