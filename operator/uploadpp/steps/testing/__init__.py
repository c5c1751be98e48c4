r"""Tests of a step: an upload goes through the service that a step is in production, without a NATS.

    delivery = deliver(no_programs, b"\x7fELF…")
    assert delivery.outcome == "delete"

What answers is the code that serves events: its time-out, its checks of a verdict, its downloads, its
acknowledgements. Only the stream and its consumer are in memory; the bytes come from a server on loopback.
"""

import asyncio
from pathlib import Path

from uploadpp.steps.decorator import Step
from uploadpp.steps.download import Limits
from uploadpp.steps.testing.alone import run_alone
from uploadpp.steps.testing.bench import Bench, Sent
from uploadpp.steps.testing.delivery import Delivery, Event, NotAnsweredError
from uploadpp.steps.testing.loopback import Download
from uploadpp.steps.upload import Upload

__all__ = ["Bench", "Delivery", "Download", "Event", "NotAnsweredError", "Sent", "deliver", "deliver_async"]


async def deliver_async(  # noqa: PLR0913 -- each is a case that a step has to live with
    step: Step,
    upload: Upload | bytes | Path | str,
    *,
    timeout: float | None = None,  # noqa: ASYNC109 -- the step's
    download: Download = Download.WHOLE,
    redelivered: bool = False,
    copies: int = 1,
    terminate_after: float | None = None,
    drain: float = 0.0,
    max_size: int | None = None,
) -> Delivery:
    """Deliver an upload to a step, and wait for what comes of it; for async tests.

    Args:
        step: what `@step` has made.
        upload: the bytes, the path of a file, or an `Upload.of(…)` with name, user and whatever else matters.
        timeout: seconds that the step may take, 0 for no limit; the step's own by default.
        download: how the bytes reach the step; see `Download` for what can go wrong.
        redelivered: whether the start was delivered before, as after a crash; the upload says so.
        copies: how often the same event is delivered at once; the function is called once.
        terminate_after: seconds after the function was called when the process is told to stop (SIGTERM).
        drain: seconds that the function then has to end. Without an end the work is given back.
        max_size: the most bytes of a file, as `--max-size` says.

    Raises:
        OSError: the file cannot be looked at.
        ValueError: the download cannot be broken like that.
    """
    async with Bench(step, timeout=timeout, drain=drain, limits=Limits(max_size=max_size)) as bench:
        sent = bench.send(upload, download=download, redelivered=redelivered)
        for _ in range(copies - 1):
            sent.deliver_again()
        if terminate_after is not None:
            await sent.begun()
            await asyncio.sleep(terminate_after)
            await bench.stop()
        return await sent.delivery()


def deliver(  # noqa: PLR0913
    step: Step,
    upload: Upload | bytes | Path | str,
    *,
    timeout: float | None = None,
    download: Download = Download.WHOLE,
    redelivered: bool = False,
    copies: int = 1,
    terminate_after: float | None = None,
    drain: float = 0.0,
    max_size: int | None = None,
) -> Delivery:
    """As `deliver_async`, for tests that are not async.

    Raises:
        RuntimeError: it is called by an async function; `await deliver_async(…)` there.
        OSError: the file cannot be looked at.
        ValueError: the download cannot be broken like that.
    """
    work = deliver_async(
        step,
        upload,
        timeout=timeout,
        download=download,
        redelivered=redelivered,
        copies=copies,
        terminate_after=terminate_after,
        drain=drain,
        max_size=max_size,
    )
    return run_alone(work)[0]
