"""`@step`: an async function as a step that runs as a process of its own."""

import inspect
import sys
from collections.abc import Callable
from typing import NoReturn

from uploadpp.core.model import DELAY_STEP, FINISHED_STEP
from uploadpp.process.setting_types import read_steps
from uploadpp.steps.judge import Work
from uploadpp.steps.upload import Upload
from uploadpp.steps.verdict import Verdict

CONCURRENCY = 8
TIMEOUT_SECONDS = 600.0
MAX_NAME = 63


def _is_name(name: str) -> bool:
    """Whether POSTPROCESSING_STEPS can list a step of this name; else nobody would ever start it."""
    try:
        return 0 < len(name) <= MAX_NAME and read_steps(f"{name},") == [name]
    except ValueError:
        return False


class Step:
    """A step: call it with an upload to try it, `run()` it to serve."""

    def __init__(self, name: str, work: Work, concurrency: int, timeout: float | None) -> None:
        """Check the name and the numbers.

        Raises:
            ValueError: one of them cannot be used.
            TypeError: the function is not async.
        """
        if not _is_name(name):
            raise ValueError(
                f"a step's name is a word of 1 to {MAX_NAME} characters without spaces, commas or "
                f"quotation marks: {name!r}"
            )
        if name in {DELAY_STEP, FINISHED_STEP}:
            raise ValueError(f"{name!r} is a word of the operator's own")
        if concurrency < 1 or (timeout is not None and timeout <= 0):
            raise ValueError("concurrency and timeout must be positive")
        if not inspect.iscoroutinefunction(work):
            raise TypeError(
                f"the function of step {name!r} must be async; see asyncio.to_thread for what blocks"
            )
        self.name = name
        self.work = work
        self.concurrency = concurrency
        self.timeout_seconds = timeout

    async def __call__(self, upload: Upload) -> Verdict:
        """What the function says about an upload."""
        return await self.work(upload)

    def run(self, arguments: list[str] | None = None) -> NoReturn:
        """Serve until SIGTERM, configured by flags and the environment; see `--help`."""
        from uploadpp.steps.program import main  # noqa: PLC0415 -- it needs this module

        sys.exit(main(self, arguments))


def step(
    name: str, *, concurrency: int = CONCURRENCY, timeout: float | None = TIMEOUT_SECONDS
) -> Callable[[Work], Step]:
    """Make a step of an async function.

    `concurrency` is how many uploads one process works on at once, `timeout` how many seconds one
    may take before it counts as a retry; None is forever.
    """
    return lambda work: Step(name, work, concurrency, timeout)
