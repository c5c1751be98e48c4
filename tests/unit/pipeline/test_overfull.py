"""Making room in the window: only what says something wrong is removed, and in the order of the log."""

from typing import Any, cast

import pytest

from uploadpp.core.inputs import CleanUpload
from uploadpp.kube.errors import ApiError, Refusal, RefusedError
from uploadpp.kube.store import Stored
from uploadpp.pipeline.overfull import Overfull
from uploadpp.pipeline.tracked_upload import Refused
from uploadpp.testing.events import arrival, message
from uploadpp.testing.pipelines import CONFIG, NOW, STREAM, KeptEvents, PipelineBench

NAMES = ("a", "b", "c")


class Desk:
    """Three uploads with resources that have ended, and whose ends are refused."""

    def __init__(self, window: int) -> None:
        self.removed: list[str] = []
        self.refuses: ApiError | None = None
        self.bus = KeptEvents()
        self.bench = PipelineBench(CONFIG, self.bus, lambda: NOW)
        self.bench.acks.start(STREAM, 0, window)
        self.bench.act()
        for number, name in enumerate(NAMES, start=1):
            self.bench.read(number, message("BytesReceived", arrival(UploadID=f'"{name}"')))
            self.bus.on_stored[-1](100 + number)
            tracked = self.bench.tracked(name)
            tracked.stored = Stored(f"uid-{name}", "1", 1)
            self.bench.applier.on_input(tracked, CleanUpload())
            tracked.refused = Refused(Refusal.POLICY, 3)
        self.overfull = Overfull(self.bench.uploads, self.bench.acks, cast("Any", self))

    async def delete(self, name: str, uid: str, version: str = "") -> None:
        del uid, version
        if self.refuses is not None:
            raise self.refuses
        self.removed.append(name)

    async def look(self) -> None:
        if self.overfull.is_half_full:
            await self.overfull._make_room()


@pytest.mark.parametrize(
    ("window", "removed"), [(100, []), (6, ["a"]), (4, ["a", "b"]), (2, ["a", "b", "c"])]
)
async def test_no_more_is_removed_than_room_is_needed(window: int, removed: list[str]) -> None:
    desk = Desk(window)
    await desk.look()
    assert desk.removed == removed
    assert desk.bench.acks.ack_floor == len(removed)


async def test_nothing_is_removed_behind_an_upload_that_is_right() -> None:
    desk = Desk(2)
    desk.bench.tracked("b").refused = None
    await desk.look()
    assert desk.removed == ["a"]


async def test_a_refused_removal_ends_the_round() -> None:
    desk = Desk(2)
    desk.refuses = RefusedError("403")
    await desk.look()
    assert (desk.removed, len(desk.bench.uploads)) == ([], 3)
