"""What every step service does: listen for its step, answer with an outcome, acknowledge.

The answer is PostprocessingStepFinished. PostprocessingFinished, which some documentation names,
would go straight to the storage and release the file past all remaining steps.
"""

import asyncio
import logging
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import nats

from e2e.demo.wire import Event, consume, publish

READY = "waiting for work"
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Answer:
    """How a step ended: `continue`, `delete`, `abort` or `retry`, and what else is known."""

    outcome: str
    result: Mapping[str, Any] | None = None


Work = Callable[[Event], Awaitable[Answer]]


@asynccontextmanager
async def serving(nats_url: str, step: str, work: Work) -> AsyncIterator[None]:
    """Answer the step's starts for as long as the block runs."""
    client = await nats.connect(nats_url, name=step, max_reconnect_attempts=-1)
    js = client.jetstream()

    async def on_event(event: Event) -> None:
        start = event.payload
        if event.type != "StartPostprocessingStep" or start.get("StepToStart") != step:
            return
        answer = await work(event)
        _log.info("%s: %s", start["Filename"], answer.outcome)
        finished = {
            "UploadID": start["UploadID"],
            "ExecutingUser": start.get("ExecutingUser"),
            "Filename": start["Filename"],
            "FinishedStep": step,
            "Result": answer.result,
            # Services in Go cannot decode anything but null here.
            "Error": None,
            "Outcome": answer.outcome,
            "Timestamp": None,
        }
        await publish(js, "PostprocessingStepFinished", finished, event.context())

    try:
        await consume(js, step, on_event)
        yield
    finally:
        await client.close()


async def serve_forever(nats_url: str, step: str, work: Work) -> None:
    """Run as a process of its own until SIGTERM or SIGINT.

    STEP_PACE makes every piece of work take so many seconds longer, for people who want to watch.
    """
    pace = float(os.environ.get("STEP_PACE") or 0)
    stop = asyncio.Event()
    for sig in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(sig, stop.set)

    async def work_slowly(event: Event) -> Answer:
        await asyncio.sleep(pace)
        return await work(event)

    async with serving(nats_url, step, work_slowly):
        _log.info(READY)
        await stop.wait()


def set_up_logging() -> None:
    """Log to stderr."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
