"""When an ended upload leaves memory, and when its resource is removed."""

import asyncio
from typing import Any, cast

import pytest

from tests.unit.resources.test_event_handler import Side, driven
from uploadpp.core.evolve import evolve
from uploadpp.core.inputs import CleanUpload
from uploadpp.core.model import Millis
from uploadpp.kube.errors import ConflictError, RefusedError
from uploadpp.resources import ttl
from uploadpp.resources.ended import EndedUploads
from uploadpp.resources.finished import FinishedUpload
from uploadpp.resources.ttl import TTLController
from uploadpp.testing.pipelines import NOW


class Cluster(Side):
    """Uploads that have ended, an API server that removes resources, and a clock."""

    def __init__(self, *names: str, max_kept: int = 10) -> None:
        super().__init__()
        self.now, self.removed, self.faults = NOW, list[str](), dict[str, Exception]()
        self.there: dict[str, dict[str, Any]] = {}
        self.queue = EndedUploads()
        me = cast("Any", self)
        self.ttl = TTLController(self.finished, self.inputs, me, self.queue, lambda: self.now, max_kept)
        for name in names:
            self.inputs.listed(driven(name, name))
        self.applier.act()
        for name in names:
            tracked = self.bench.tracked(name)
            tracked.unpublished = 0
            self.applier.on_input(tracked, CleanUpload())
            tracked.saved, tracked.notices, tracked.unpublished = tracked.version, (), 0
            tracked.upload = evolve(tracked.upload, expires_at=Millis(NOW + 1000))
            self.acks.confirm(tracked.upload.log.sequence, tracked.upload.log.sequence)
            self.uploads.note_end(tracked)

    def on_ended(self, tracked: Any) -> None:  # noqa: ANN401 -- as the real one
        self.queue.add(tracked)

    async def delete(self, name: str, uid: str, version: str = "") -> None:
        del uid, version
        if (fault := self.faults.pop(name, None)) is not None:
            raise fault
        self.removed.append(name)

    async def get(self, name: str) -> dict[str, Any] | None:
        return self.there.get(name)

    async def rounds(self) -> None:
        """Two rounds, and as much of a third as shows that the second is complete."""
        begun, real = 0, self.finished.due

        def due(most: int) -> list[FinishedUpload]:
            nonlocal begun
            begun += 1
            return real(most)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(self.finished, "due", due)
            running = asyncio.create_task(self.ttl.run())
            async with asyncio.timeout(10):
                while begun <= 2:  # noqa: ASYNC110 -- nothing tells
                    await asyncio.sleep(0.001)
            running.cancel()


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ttl, "PERIOD_SECONDS", 0.02)


async def test_what_has_ended_leaves_memory_and_is_removed_when_its_time_is_over() -> None:
    cluster = Cluster("a", "b")
    assert len(cluster.queue) == 2
    await cluster.rounds()
    assert (len(cluster.uploads), len(cluster.finished), cluster.removed) == (0, 2, [])
    cluster.now = Millis(NOW + 1000)
    await cluster.rounds()
    assert sorted(cluster.removed) == ["a", "b"]
    assert len(cluster.finished) == 0


async def test_what_the_next_owner_may_read_again_is_not_removed() -> None:
    """It begins at the note in the Lease, which lags behind what is acknowledged."""
    cluster = Cluster("a")
    acknowledged = cluster.acks.acknowledged
    cluster.acks.confirm(acknowledged, acknowledged - 1)
    cluster.now = Millis(NOW + 1000)
    await cluster.rounds()
    assert (len(cluster.uploads), len(cluster.finished), cluster.removed) == (0, 1, [])
    cluster.acks.confirm(acknowledged + 5, acknowledged)
    await cluster.rounds()
    assert cluster.removed == ["a"]


async def test_what_another_resource_would_begin_without_is_not_removed() -> None:
    cluster = Cluster("a", "b")
    cluster.marks.put("mine", "uid-mine", "a", "upload a already has the resource a")
    cluster.now = Millis(NOW + 1000)
    await cluster.rounds()
    assert cluster.removed == ["b"]
    cluster.there["mine"] = {"metadata": {"uid": "another", "resourceVersion": "1"}}
    writing = asyncio.create_task(cluster.marks.run())
    cluster.now = Millis(NOW + 3000)
    await cluster.rounds()
    writing.cancel()
    assert cluster.removed == ["b", "a"]


async def test_more_than_may_be_kept_are_removed_early() -> None:
    cluster = Cluster("a", "b", max_kept=1)
    await cluster.rounds()
    assert len(cluster.removed) == 1


async def test_what_is_written_or_read_again_stays_in_memory() -> None:
    cluster = Cluster("a", "b")
    cluster.bench.tracked("a").queued = True
    await cluster.rounds()
    assert [each.upload.id for each in cluster.uploads.in_memory] == ["a"]
    cluster.uploads.forget(cluster.bench.tracked("a"))
    await cluster.rounds()
    assert len(cluster.queue) == 0


async def test_what_the_log_is_asked_about_stays_in_memory() -> None:
    """A replay may bring it to its end before the log answers. What people have asked for comes then."""
    cluster = Cluster("a")
    tracked = cluster.bench.tracked("a")
    cluster.inputs._past_ends._waiting[tracked] = {}
    await cluster.rounds()
    assert [each.upload.id for each in cluster.uploads.in_memory] == ["a"]
    del cluster.inputs._past_ends._waiting[tracked]
    await cluster.rounds()
    assert (len(cluster.uploads), tracked.gone) == (0, True)


@pytest.mark.parametrize("fault", [RefusedError("403"), KeyError("not foreseen")])
async def test_a_removal_that_fails_is_tried_again_later_and_keeps_no_other(fault: Exception) -> None:
    cluster = Cluster("a", "b")
    cluster.faults = {"a": fault}
    await cluster.rounds()
    cluster.now = Millis(NOW + 1000)
    await cluster.rounds()
    assert cluster.removed == ["b"]
    cluster.now = Millis(NOW + 1000 + ttl.LONGEST_PAUSE_MS)
    await cluster.rounds()
    assert cluster.removed == ["b", "a"]


async def test_a_resource_that_was_edited_meanwhile_is_looked_at_first() -> None:
    cluster = Cluster("a")
    await cluster.rounds()
    edited = driven("a", "a")
    edited["metadata"] |= {"resourceVersion": "9", "generation": 2}
    cluster.there, cluster.faults = {"a": edited}, {"a": ConflictError("changed")}
    cluster.now = Millis(NOW + 1000)
    await cluster.rounds()
    assert cluster.removed == []
    assert cluster.owner("a") == "a", "it is in memory again"
