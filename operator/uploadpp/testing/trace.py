"""What happened in a run, in words and in order."""

import asyncio
import logging
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from uploadpp.testing.virtual_loop import Loop, VirtualScheduler


@dataclass(slots=True)
class Trace:
    """Numbered lines: when, who, what."""

    kernel: VirtualScheduler
    lines: list[tuple[float, str, str]] = field(default_factory=list)

    def add(self, actor: str, what: str) -> None:
        """Note something."""
        self.lines.append((self.kernel.now, actor, what))

    def text(self) -> str:
        """All lines, for a person."""
        width = max((len(actor) for _, actor, _ in self.lines), default=0)
        return "\n".join(
            f"{number:5d}  {at:10.4f} s  {actor:<{width}}  {what}"
            for number, (at, actor, what) in enumerate(self.lines, 1)
        )


class TraceHandler(logging.Handler):
    """Puts the operator's own warnings into the trace; an error with a traceback fails the run."""

    def __init__(self, trace: Trace) -> None:
        super().__init__(logging.WARNING)
        self._trace = trace

    def emit(self, record: logging.LogRecord) -> None:
        """Note a line of the log."""
        loop = asyncio.get_running_loop()
        actor = loop.name if isinstance(loop, Loop) else "log"
        text = record.getMessage()
        if record.exc_info:
            last = "".join(traceback.format_exception(record.exc_info[1])[-2:]).strip()
            text = f"{text}: {last}"
            self._trace.kernel.failures.append(text)
        self._trace.add(actor, f"logs: {text}")


@contextmanager
def logged_in(trace: Trace) -> Iterator[None]:
    """Have what the operator logs in a trace, and nowhere else."""
    logger = logging.getLogger("uploadpp")
    handler, level, propagate = TraceHandler(trace), logger.level, logger.propagate
    logger.addHandler(handler)
    logger.setLevel(logging.WARNING)
    logger.propagate = False
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
        logger.propagate = propagate
