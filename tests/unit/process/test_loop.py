"""The loop that everything runs on, and what it mends of Python."""

import asyncio
import sys
from collections.abc import Iterator

import pytest

from uploadpp.process.loop import keep_cancellations, run


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    before = asyncio.wait_for
    keep_cancellations()
    yield
    asyncio.wait_for = before


async def test_a_cancellation_that_comes_with_the_result_is_not_lost() -> None:
    answer = asyncio.get_running_loop().create_future()
    waiting = asyncio.create_task(asyncio.wait_for(answer, 60))
    await asyncio.sleep(0)
    answer.set_result("an answer of NATS")
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting


async def test_nor_is_it_with_what_is_still_to_be_awaited() -> None:
    started = asyncio.Event()

    async def work() -> str:
        started.set()
        await asyncio.sleep(0)
        return "done"

    waiting = asyncio.create_task(asyncio.wait_for(work(), 60))
    await started.wait()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting


async def test_results_errors_and_limits_are_as_ever() -> None:
    async def fails() -> None:
        raise OSError("refused")

    assert await asyncio.wait_for(asyncio.sleep(0, "done"), 60) == "done"
    assert await asyncio.wait_for(asyncio.sleep(0, "done"), None) == "done"
    with pytest.raises(OSError, match="refused"):
        await asyncio.wait_for(fails(), 60)
    never = asyncio.get_running_loop().create_future()
    for seconds in (0.01, 0, -1):
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.shield(never), seconds)


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="this Python loses none")
def test_every_loop_of_ours_has_it() -> None:
    asyncio.wait_for = original = object()  # type: ignore[assignment]
    assert run(asyncio.sleep(0, "done")) == "done"
    assert asyncio.wait_for is not original
