"""Making room in the window: only what says something wrong is removed, and in the order of the log."""

from typing import Any, cast

import pytest

from uploadpp.core.inputs import CleanUpload
from uploadpp.kube.errors import ApiError, Refusal, RefusedError
from uploadpp.kube.store import Stored
from uploadpp.pipeline.overfull import Overfull
from uploadpp.pipeline.tracked_upload import SEVERAL_ALONE, Refused
from uploadpp.testing.events import arrival, message
from uploadpp.testing.pipelines import CONFIG, NOW, STREAM, KeptEvents, PipelineBench

NAMES = ("a", "b", "c")


class Desk:
    """Three uploads with resources that have ended, and whose ends are refused."""

    def __init__(self, window: int) -> None:
        self.removed: list[str] = []
        self.finalized: set[str] = set()
        self.owners: dict[str, str] = {}
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

    async def get(self, name: str) -> dict[str, Any] | None:
        if name in self.removed and name not in self.finalized:
            return None
        upload_id = self.owners.get(name, name)
        meta = {"uid": f"uid-{name}", "resourceVersion": "1"}
        return {"metadata": meta, "spec": {"upload": {"id": upload_id}}}

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


@pytest.mark.parametrize(("owner", "removed"), [("b", ["a", "b", "c"]), ("another", ["a"])])
async def test_what_a_person_has_made_and_cannot_be_claimed_is_found_and_removed(
    owner: str, removed: list[str]
) -> None:
    desk = Desk(2)
    desk.bench.tracked("b").stored = None
    desk.owners["b"] = owner
    await desk.look()
    assert desk.removed == removed
    assert (desk.bench.uploads.by_id("b") is None) is (owner == "b")


async def test_what_is_not_there_is_left_to_those_who_look_for_it() -> None:
    desk = Desk(2)
    tracked = desk.bench.tracked("a")
    tracked.stored = None
    desk.removed.append("a")
    await desk.look()
    assert (desk.removed, desk.bench.uploads.by_id("a")) == (["a"], tracked)


async def test_nothing_is_let_go_while_a_finalizer_holds_the_resource() -> None:
    desk = Desk(2)
    desk.finalized.add("b")
    await desk.look()
    assert (desk.removed, len(desk.bench.uploads)) == (["a", "b"], 2)
    assert desk.bench.acks.ack_floor == 1


async def test_a_creation_that_may_still_arrive_keeps_its_messages() -> None:
    desk = Desk(2)
    tracked = desk.bench.tracked("b")
    tracked.stored, tracked.refused = None, Refused(Refusal.PROXY, 3, unanswered=True)
    await desk.look()
    assert desk.removed == ["a"]


async def test_an_end_that_is_noted_in_the_lease_needs_no_removal() -> None:
    """It is noted first, and holds nothing then. If that does not help, its resource is removed."""
    desk = Desk(2)
    tracked = desk.bench.tracked("b")
    tracked.refused = Refused(Refusal.POLICY, 3, alone=SEVERAL_ALONE)
    await desk.look()
    assert desk.removed == ["a"]
    tracked.noted = True
    await desk.look()
    assert desk.removed == ["a", "c"]
    tracked.noted, tracked.refused = False, Refused(Refusal.POLICY, 4, alone=SEVERAL_ALONE + 1)
    await desk.look()
    assert desk.removed == ["a", "c", "b"]


async def test_a_refused_removal_ends_the_round() -> None:
    desk = Desk(2)
    desk.refuses = RefusedError("403")
    await desk.look()
    assert (desk.removed, len(desk.bench.uploads)) == ([], 3)
