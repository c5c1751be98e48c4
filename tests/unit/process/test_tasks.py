"""Tasks end within bounded time, also those that do not listen at once."""

import asyncio

import pytest

from uploadpp.process import tasks
from uploadpp.process.tasks import end_tasks


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tasks, "FIRST_SECONDS", 0.05)
    monkeypatch.setattr(tasks, "AGAIN_SECONDS", 0.05)


class Stubborn:
    """Goes on in spite of so many cancellations."""

    def __init__(self, times: int) -> None:
        self._times = times
        self.over = asyncio.Event()

    async def run(self) -> None:
        while not self.over.is_set():
            try:
                await self.over.wait()
            except asyncio.CancelledError:
                self._times -= 1
                if self._times < 0:
                    raise


async def started(*works: Stubborn) -> list[asyncio.Task[None]]:
    running = [asyncio.create_task(each.run()) for each in works]
    await asyncio.sleep(0)
    return running


async def test_one_that_drops_a_cancellation_is_cancelled_again(caplog: pytest.LogCaptureFixture) -> None:
    running = await started(Stubborn(0), Stubborn(1), Stubborn(3))
    await end_tasks(running)
    assert all(each.cancelled() for each in running)
    assert caplog.records == []


async def test_one_that_never_ends_is_named_and_left(caplog: pytest.LogCaptureFixture) -> None:
    stubborn = Stubborn(1000)
    running = await started(Stubborn(0), stubborn)
    await end_tasks(running)
    assert [each.done() for each in running] == [True, False]
    assert ["Stubborn.run" in each.getMessage() for each in caplog.records] == [True]
    stubborn.over.set()
    await running[1]


async def test_what_has_failed_is_not_raised_again() -> None:
    async def fail() -> None:
        raise RuntimeError("said elsewhere")

    failed = asyncio.create_task(fail())
    await asyncio.sleep(0)
    await end_tasks([failed])
    assert failed.done()


async def test_s2_work_that_fails_begins_anew_and_is_named(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tasks, "PAUSE_SECONDS", 0)
    begun: list[int] = []

    async def work() -> None:
        begun.append(1)
        if len(begun) < 3:
            raise KeyError("whatever")
        await asyncio.Event().wait()

    task = asyncio.create_task(tasks.never_ending(work))
    async with asyncio.timeout(5):
        while len(begun) < 3:  # noqa: ASYNC110
            await asyncio.sleep(0)
    assert not task.done()
    assert caplog.text.count("will be restarted") == 2
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_work_that_is_done_is_not_begun_again() -> None:
    begun: list[int] = []

    async def work() -> None:
        begun.append(1)

    await tasks.never_ending(work)
    assert begun == [1]
