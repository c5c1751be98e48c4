"""Marking resources that are not those of their uploads: retried, and no fault of one stops the others."""

import asyncio
from typing import Any, cast

import pytest

from tests.unit.resources.test_event_handler import VICTIM, Side, driven, resource
from uploadpp.core.naming import VOID_ANNOTATION
from uploadpp.kube.errors import ApiError, ConflictError, NotFoundError, UnavailableError
from uploadpp.kube.store import Stored
from uploadpp.resources import void_marks
from uploadpp.resources.void_marks import VoidMarks
from uploadpp.testing.pipelines import CONFIG, NOW, KeptEvents, PipelineBench

WHY = "upload a already has the resource a"


class Desk:
    """Marks, and the API server that they are written to."""

    def __init__(self, **annotations: str) -> None:
        self.annotations: dict[str, Any] | None = dict(annotations) or None
        self.uid, self.version = "uid-mine", 5
        self.writes: list[str] = []
        self.failures: list[Exception] = []
        self.dropped = 0
        """How many more writes a webhook answers by dropping all annotations."""
        self.bench = PipelineBench(CONFIG, KeptEvents(), lambda: NOW)
        self.marks = VoidMarks(self.bench.faults, cast("Any", self))

    async def get(self, name: str) -> dict[str, Any] | None:
        if not self.uid:
            return None
        meta = {"name": name, "uid": self.uid, "resourceVersion": str(self.version), "generation": 1}
        return {"metadata": {**meta, "annotations": self.annotations}}

    async def write_annotations(self, name: str, version: str, annotations: dict[str, Any]) -> Stored:
        self.writes.append(name)
        if self.failures:
            raise self.failures.pop(0)
        assert version == str(self.version)
        if self.dropped:
            self.dropped -= 1
            return Stored(self.uid, version, 1, altered=f"metadata.annotations.{VOID_ANNOTATION}")
        self.annotations, self.version = annotations, self.version + 1
        return Stored(self.uid, str(self.version), 1)

    async def write(self) -> None:
        running = asyncio.create_task(self.marks.run())
        async with asyncio.timeout(10):
            while len(self.marks):  # noqa: ASYNC110 -- nothing tells
                await asyncio.sleep(0)
        running.cancel()


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(void_marks, "FIRST_PAUSE_SECONDS", 0.0001)
    monkeypatch.setattr(void_marks, "LONGEST_PAUSE_SECONDS", 0.0002)


@pytest.mark.parametrize("annotations", [{}, {"team": "blue"}])
async def test_a_resource_is_marked_and_keeps_its_other_annotations(annotations: dict[str, str]) -> None:
    desk = Desk(**annotations)
    desk.marks.put("mine", "uid-mine", "a", WHY)
    assert desk.marks.is_awaited("a")
    assert not desk.marks.is_awaited("b")
    await desk.write()
    assert desk.annotations == {**annotations, VOID_ANNOTATION: WHY}
    assert not desk.marks.is_awaited("a")


@pytest.mark.parametrize("error", [ConflictError("409"), UnavailableError("503")])
async def test_what_cannot_be_written_is_retried(error: ApiError) -> None:
    desk = Desk()
    desk.failures = [error, error, error]
    desk.marks.put("mine", "uid-mine", "a", WHY)
    await desk.write()
    assert len(desk.writes) == 4
    assert desk.annotations == {VOID_ANNOTATION: WHY}


async def test_a_mark_that_a_webhook_drops_is_awaited_and_said_once(caplog: pytest.LogCaptureFixture) -> None:
    """As long as the resource is not marked, nothing removes the one that keeps it from beginning."""
    desk = Desk()
    desk.dropped = 3
    desk.marks.put("mine", "uid-mine", "a", WHY)
    running = asyncio.create_task(desk.marks.run())
    async with asyncio.timeout(10):
        while desk.dropped:
            assert desk.marks.is_awaited("a")
            await asyncio.sleep(0)
    running.cancel()
    assert desk.marks.is_awaited("a")
    await desk.write()
    assert (desk.annotations, len(desk.writes)) == ({VOID_ANNOTATION: WHY}, 4)
    said = [each.message for each in caplog.records if each.levelname == "WARNING"]
    assert len(said) == 1
    assert f"metadata.annotations.{VOID_ANNOTATION}" in said[0]


async def test_an_empty_mark_is_written_again() -> None:
    desk = Desk(**{VOID_ANNOTATION: ""})
    desk.marks.put("mine", "uid-mine", "a", WHY)
    await desk.write()
    assert desk.annotations == {VOID_ANNOTATION: WHY}


@pytest.mark.parametrize("uid", ["", "uid-another"])
async def test_another_resource_of_that_name_is_not_marked(uid: str) -> None:
    desk = Desk()
    desk.uid = uid
    desk.marks.put("mine", "uid-mine", "a", WHY)
    await desk.write()
    assert desk.writes == []


async def test_one_that_is_deleted_meanwhile_need_not_be_marked() -> None:
    desk = Desk()
    desk.failures = [NotFoundError("404")]
    desk.marks.put("mine", "uid-mine", "a", WHY)
    await desk.write()
    assert desk.writes == ["mine"]


async def test_a_mark_is_written_once() -> None:
    desk = Desk(**{VOID_ANNOTATION: "as it was"})
    desk.marks.put("mine", "uid-mine", "a", WHY)
    await desk.write()
    assert desk.writes == []


async def test_one_that_is_shown_as_before_its_mark_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """A list that began before, for example. Once a person has removed the mark, it is no longer known."""
    monkeypatch.setattr(void_marks, "REMEMBERED", 1)
    desk = Desk()
    seen = Stored("uid-mine", "5", 1)
    assert not desk.marks.covers(seen, "a")
    desk.marks.put("mine", "uid-mine", "a", WHY)
    assert desk.marks.covers(seen, "a")
    assert not desk.marks.covers(seen, "b")
    await desk.write()
    assert desk.marks.covers(seen, "a")
    assert not desk.marks.covers(Stored("uid-mine", "6", 1), "a")
    desk.uid = "uid-second"
    desk.marks.put("second", "uid-second", "b", WHY)
    await desk.write()
    assert not desk.marks.covers(seen, "a"), "only the last are remembered"


async def test_a_fault_of_ours_on_one_keeps_no_other() -> None:
    desk = Desk()
    desk.failures = [KeyError("not foreseen")]
    desk.marks.put("first", "uid-mine", "a", WHY)
    desk.marks.put("second", "uid-mine", "b", WHY)
    await desk.write()
    assert desk.writes == ["first", "second"]
    assert desk.bench.told == [("first", "OperatorFailed")]


@pytest.mark.parametrize("made", [resource("mine"), driven("mine")])
def test_a_resource_that_was_left_alone_stays_so_without_the_other_one(made: dict[str, Any]) -> None:
    side = Side()
    side.applier.act()
    side.inputs.seen(driven(VICTIM))
    side.inputs.seen(made)
    assert side.marks.is_awaited(VICTIM)
    side = Side()
    side.applier.act()
    annotations = {VOID_ANNOTATION: "upload zvictim already has the resource zvictim"}
    void = {**made, "metadata": {**made["metadata"], "annotations": annotations}}
    side.inputs.listed(void)
    side.inputs.seen(void)
    assert (side.owner(), side.told) == ("", [("mine", "LeftAlone")])
    assert not side.marks.is_awaited(VICTIM)
    side.inputs.seen(made)
    assert side.owner() == "mine", "a person has removed the annotation"


def test_the_resource_of_an_upload_cannot_be_made_void() -> None:
    side = Side()
    mine = driven(VICTIM)
    mine["metadata"]["annotations"] = {VOID_ANNOTATION: "somebody says so"}
    side.inputs.listed(mine)
    assert (side.owner(), side.told) == (VICTIM, [])
