"""Asking the storage: several absences end an upload, and no other answer does."""

import asyncio
from collections.abc import Callable

import pytest

from uploadpp.core.evolve import evolve
from uploadpp.core.inputs import Absent, Input
from uploadpp.core.states import Stage
from uploadpp.pipeline.lost_uploads import ENOUGH, LostUploads, Questions
from uploadpp.pipeline.tracked_upload import TrackedUpload
from uploadpp.testing.events import UPLOAD, arrival, message
from uploadpp.testing.pipelines import CONFIG, NOW, KeptEvents, PipelineBench


class Storage:
    """Answers one question after another, the last answer again and again."""

    def __init__(self, *answers: int | None, has_read: Callable[[int], bool] = lambda _: True) -> None:
        self.answers = list(answers)
        self.urls: list[str] = []
        bus = KeptEvents()
        self.bench = PipelineBench(CONFIG, bus, lambda: NOW)
        self.bench.act()
        self.bench.read(1, message("BytesReceived", arrival()))
        bus.on_stored[0](2)
        tracked = self.tracked
        tracked.upload = evolve(tracked.upload, stage=Stage.RUNNING, stalled_at=NOW)
        self.lost = LostUploads(self.bench.shared, Questions(self.ask, 0.001), has_read)
        self.told: list[Input] = []

    @property
    def tracked(self) -> TrackedUpload:
        return self.bench.tracked(UPLOAD)

    async def ask(self, url: str) -> int | None:
        self.urls.append(url)
        return self.answers[0] if len(self.answers) == 1 else self.answers.pop(0)

    def apply(self, tracked: TrackedUpload, event: Input) -> None:
        assert tracked is self.tracked
        self.told.append(event)

    async def until(self, asked: int) -> None:
        """Let it ask so often."""
        running = asyncio.create_task(self.lost.run(self.bench.uploads, self.apply))
        async with asyncio.timeout(10):
            while len(self.urls) < asked and not running.done():  # noqa: ASYNC110 -- nothing tells
                await asyncio.sleep(0.001)
        await asyncio.sleep(0)
        running.cancel()


@pytest.fixture(autouse=True)
def doubtful(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every upload looks lost: which do is decided, and tested, in the core."""
    monkeypatch.setattr("uploadpp.pipeline.lost_uploads.is_doubtful", lambda _: True)


async def test_only_several_absences_in_a_row_count_as_lasting() -> None:
    storage = Storage(404, 410, 200, 404)
    await storage.until(asked=3 + ENOUGH + 1)
    told = [event.lasting for event in storage.told if isinstance(event, Absent)]
    assert told[: 2 + ENOUGH] == [False, False, *[False] * (ENOUGH - 1), True]
    assert set(storage.urls) == {"https://storage.test/data/1"}


@pytest.mark.parametrize("answer", [200, 206, 401, 403, 500, None])
async def test_no_other_answer_says_anything(answer: int | None) -> None:
    storage = Storage(answer)
    await storage.until(asked=2)
    assert storage.told == []


async def test_what_the_log_says_comes_first() -> None:
    storage = Storage(404, has_read=lambda _: False)
    await storage.until(asked=3)
    assert storage.told == []


async def test_nobody_asks_about_what_is_gone() -> None:
    storage = Storage(404)
    storage.lost.look(storage.tracked)
    assert len(storage.lost) == 1
    tracked = storage.tracked
    storage.bench.uploads.forget(tracked)
    running = asyncio.create_task(storage.lost.run(storage.bench.uploads, storage.apply))
    async with asyncio.timeout(10):
        while len(storage.lost):  # noqa: ASYNC110 -- nothing tells
            await asyncio.sleep(0.001)
    running.cancel()
    assert storage.urls == []
