"""One ownership: what it says before it works, what ends it, and what stays behind."""

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest

from tests.unit.ownership.test_wiring import World
from uploadpp.core.sharding import Shard
from uploadpp.kube.errors import OlderStoreError
from uploadpp.kube.lease import LeaseLostError
from uploadpp.ownership import ownership
from uploadpp.ownership.ownership import DEAF_MS, PUT_BACK, Ownership
from uploadpp.pipeline.rehearsal import REHEARSE_AFTER, Rehearsal
from uploadpp.pipeline.tracked_upload import TrackedUpload
from uploadpp.testing.builders import UPLOAD_ID, begun
from uploadpp.testing.pipelines import NOW
from uploadpp.wire.stream_message import StreamMessage


class FakeLease(SimpleNamespace):
    """A Lease that is lost as soon as somebody holds it."""

    async def hold(self) -> None:
        raise LeaseLostError("taken by another")

    def gone_back(self, why: str) -> LeaseLostError:
        return LeaseLostError(why)


@pytest.fixture
async def owner() -> Ownership:
    """In a loop: its parts make events of asyncio."""
    world = World()
    world.client.jetstream = lambda: None
    lease = FakeLease(name="uploadpp-shard-0", uid="lease-uid", doubt="", unfinished=0)
    return Ownership(world.deps, cast("Any", lease), Shard(), cast("Any", SimpleNamespace(alone=True)))


def tracked_in(owner: Ownership) -> TrackedUpload:
    tracked = TrackedUpload(UPLOAD_ID, begun("a").upload)
    owner._uploads.add(tracked)
    return tracked


async def test_before_it_reads_it_says_that_it_replays_and_counts_nothing(owner: Ownership) -> None:
    assert owner.problem == "replaying the log"
    assert not owner.acting
    assert (owner.processing, owner.unread, owner.lag_seconds, owner.unacknowledged) == (0, 0, 0.0, 0)


async def test_an_upload_in_memory_has_a_trace_and_an_unknown_one_has_none(owner: Ownership) -> None:
    tracked = tracked_in(owner)
    assert owner.uploads == [tracked.upload]
    assert len(owner.trace_id(UPLOAD_ID)) == 32
    assert owner.trace_id("another") == ""


async def test_a_lost_lease_ends_it_and_everything_in_memory(
    owner: Ownership, monkeypatch: pytest.MonkeyPatch
) -> None:
    tracked = tracked_in(owner)
    monkeypatch.setattr(owner, "_prepare", lambda _: asyncio.sleep(60))
    with pytest.raises(LeaseLostError, match="taken by another"):
        await owner.run(1, asyncio.Event())
    assert tracked.gone
    assert owner.uploads == []
    assert all(task.done() for task in owner._tasks)


async def test_told_to_stop_it_waits_for_nothing(owner: Ownership) -> None:
    stop = asyncio.Event()
    stop.set()
    assert await owner._until(asyncio.sleep(60), stop) is False
    assert await owner._until(asyncio.sleep(0), asyncio.Event()) is True


async def test_a_task_that_ends_by_itself_is_a_fault(owner: Ownership) -> None:
    owner._spawn(asyncio.sleep(0, None))
    with pytest.raises(RuntimeError, match="a task that should run forever ended"):
        await owner._until(None, asyncio.Event())


async def test_an_older_store_is_reported_as_a_lost_lease(owner: Ownership) -> None:
    async def older() -> None:
        raise OlderStoreError("GET a: version 7 is older than our write, 8")

    owner._spawn(older())
    with pytest.raises(LeaseLostError, match=f"is older than our write, 8: {PUT_BACK}"):
        await owner._until(None, asyncio.Event())


async def test_while_no_answer_can_be_heard_no_timer_acts(owner: Ownership) -> None:
    tracked = tracked_in(owner)
    owner._on_tick(tracked)
    assert owner._components.timers.next_due() == NOW + DEAF_MS


@pytest.mark.parametrize(("alone", "writers"), [(True, 1), (False, 0)])
async def test_at_the_end_it_stores_only_what_no_successor_will(
    owner: Ownership, *, alone: bool, writers: int
) -> None:
    cast("Any", owner._membership).alone = alone
    owner._ending = True
    assert owner._max_writers(10.0) == writers


class Careful:
    """An owner after two that have ended: it processes each message in a copy of itself first."""

    def __init__(self, owner: Ownership, predecessors: list[str]) -> None:
        self.owner = cast("Any", owner)
        self.owner._lease.unfinished = REHEARSE_AFTER
        self.owner._lease.valid = False
        self.processed: list[int] = []
        owner._rehearsal = Rehearsal(
            self._sound, self._process, owner._acks, owner._deps.metrics.messages_set_aside, print
        )
        self.owner._components = SimpleNamespace(router=SimpleNamespace(on_message=self._process))
        self.owner._position = SimpleNamespace(predecessors=predecessors)
        self.owner._reader = SimpleNamespace(waits=lambda: None, sequence=0)

    async def _sound(self, *_: object) -> None:
        """No message ends a copy."""

    def _process(self, message: StreamMessage) -> None:
        self.processed.append(message.sequence)

    async def read(self, sequence: int, pending: int) -> None:
        await self.owner._on_raw(StreamMessage(sequence, NOW, sequence, pending, b"{}"))


async def test_careful_replay_forgets_no_message_if_the_last_one_was_removed(owner: Ownership) -> None:
    careful = Careful(owner, [])
    for sequence in (1, 2, 3):
        await careful.read(sequence, 4 - sequence)
    owner._replayed.set()  # the server has nothing more
    await careful.read(5, 1)
    await owner._catch_up()
    await careful.read(6, 7)
    assert careful.processed == [1, 2, 3, 5, 6]


async def test_careful_replay_forgets_no_message_of_the_last_owner(
    owner: Ownership, monkeypatch: pytest.MonkeyPatch
) -> None:
    reading: list[asyncio.Task[None]] = []

    async def ended(*_: object) -> int:
        reading.append(asyncio.create_task(careful.read(2, 1)))
        return 3

    monkeypatch.setattr(ownership, "end_predecessors", ended)
    monkeypatch.setattr(ownership, "REST_SECONDS", 0.01)
    careful = Careful(owner, ["uploadpp-0-1"])
    await careful.read(1, 0)
    await owner._catch_up()
    await asyncio.gather(*reading)
    assert careful.processed == [1, 2]
