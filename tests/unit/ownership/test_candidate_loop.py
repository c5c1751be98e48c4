"""One candidate, from the competition to the end of each ownership: what it gives back and remembers."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, cast

import pytest
from nats.aio.client import Client

from uploadpp.core.sharding import Shard
from uploadpp.kube.lease import LeaseLostError
from uploadpp.ownership import candidate as candidates
from uploadpp.ownership.candidate import ShardCandidate
from uploadpp.ownership.legacy_service import LegacyServiceError
from uploadpp.ownership.membership import Membership
from uploadpp.resources.keys import WrongKeyError
from uploadpp.resources.versions import LaterVersionError
from uploadpp.wire.errors import LogLostError, TailLostError

LOST_AFTER = datetime(2026, 11, 1, tzinfo=UTC)


@dataclass
class Deps:
    """What the candidate takes from its process."""

    client: Any
    config: Any = field(default_factory=lambda: SimpleNamespace(steps=()))
    seals: Any = field(default_factory=lambda: SimpleNamespace(fingerprints=("k1",)))
    lost_after: datetime | None = None
    held_for: tuple[str, ...] = ()


class FakeLease(SimpleNamespace):
    """A Lease that is free. It notes how each ownership gave it back."""

    async def acquire(self) -> int:
        return 7

    async def release(self, *, failed: bool = False) -> None:
        self.released.append(failed)


class FakeOwnership:
    """An ownership that ends as the test says; without an end it works until it is told to stop."""

    ends: list[Exception | None]
    given: list[tuple[datetime | None, tuple[str, ...]]]

    def __init__(self, deps: Deps, *_: object) -> None:
        self.given.append((deps.lost_after, deps.held_for))
        self.acting = True

    async def run(self, epoch: int, stop: asyncio.Event) -> None:
        assert epoch == 7
        end = self.ends.pop(0) if self.ends else None
        if end is not None:
            raise end
        await stop.wait()


async def until(check: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not check():  # noqa: ASYNC110 -- nothing tells
            await asyncio.sleep(0.001)


@dataclass
class Shown:
    """A candidate, and what is seen of it."""

    candidate: ShardCandidate
    membership: Membership
    lease: FakeLease
    ownership: type[FakeOwnership]

    async def run(self, *ends: Exception) -> None:
        """Let ownerships end like this, one after another; the next one is told to stop once it works."""
        self.ownership.ends[:] = ends
        stop = asyncio.Event()
        running = asyncio.create_task(self.candidate.run(stop))
        await until(lambda: len(self.ownership.given) > len(ends))
        stop.set()
        await running


@pytest.fixture
async def shown(monkeypatch: pytest.MonkeyPatch) -> Shown:
    class Own(FakeOwnership):
        ends: list[Exception | None] = []  # noqa: RUF012 -- of this class alone
        given: list[tuple[datetime | None, tuple[str, ...]]] = []  # noqa: RUF012

    async def ensured(*_: object) -> None:
        return None

    async def no_others(*_: object, **__: object) -> list[str]:
        return []

    async def watch(_: object) -> None:
        await asyncio.Event().wait()

    async def publish(*_: object) -> None:
        return None

    monkeypatch.setattr(candidates, "Ownership", Own)
    monkeypatch.setattr(candidates, "ensure_stream", ensured)
    monkeypatch.setattr(candidates, "RESTART_SECONDS", 0.001)
    monkeypatch.setattr(candidates, "LONGEST_RESTART_SECONDS", 0.001)
    client = SimpleNamespace(is_connected=True, jetstream=lambda: None, publish=publish)
    membership = Membership(cast("Client", client), "ns", "me", 1)
    membership.layouts = cast("Any", SimpleNamespace(held=no_others, holders={}, watch=watch))
    lease = FakeLease(name="uploadpp-shard-0", held_elsewhere=False, problem="", silence="", released=[])
    lease.owners_annotations = {}
    new_lease = cast("Callable[..., Any]", lambda *_: lease)
    candidate = ShardCandidate(cast("Any", Deps(client)), membership, Shard(), new_lease, None)
    return Shown(candidate, membership, lease, Own)


async def test_a_shard_is_given_back_when_it_is_told_to_stop(shown: Shown) -> None:
    await shown.run()
    assert shown.lease.released == [False]
    assert shown.candidate.ownership is None
    assert shown.membership.owned == 0, "the shard no longer counts as ours"
    assert shown.candidate.state == ""


async def test_it_gives_a_shard_up_and_competes_again(shown: Shown) -> None:
    stop = asyncio.Event()
    running = asyncio.create_task(shown.candidate.run(stop))
    await until(lambda: shown.candidate.working)
    assert shown.membership.owned == 1
    assert (shown.candidate.give_up(), shown.candidate.give_up()) == (True, False), "once is enough"
    await until(lambda: len(shown.ownership.given) == 2)
    stop.set()
    await running
    assert shown.lease.released == [False, False]


@pytest.mark.parametrize(
    ("end", "failed"),
    [
        (LeaseLostError("taken by another"), False),
        (LogLostError("the consumer is gone"), True),
        (RuntimeError("a bug"), True),
    ],
    ids=["another owner", "the log", "our own code"],
)
async def test_the_next_owner_hears_whether_an_ownership_failed(
    shown: Shown, end: Exception, *, failed: bool
) -> None:
    """Only what may happen to the next owner as well counts towards a rehearsal (docs/adr/0026)."""
    await shown.run(end)
    assert shown.lease.released == [failed, False]


@pytest.mark.parametrize(
    ("end", "field_name"),
    [(WrongKeyError("another key"), "wrong_key"), (LaterVersionError("later"), "too_old")],
)
async def test_it_says_why_it_could_not_work_until_it_can(
    shown: Shown, end: Exception, field_name: str
) -> None:
    shown.ownership.ends[:] = [end]
    with pytest.MonkeyPatch.context() as slow:
        slow.setattr(candidates, "RESTART_SECONDS", 60.0)
        stop = asyncio.Event()
        running = asyncio.create_task(shown.candidate.run(stop))
        await until(lambda: bool(getattr(shown.candidate, field_name)))
        assert getattr(shown.candidate, field_name) == shown.candidate.state == str(end)
        assert str(end) in shown.candidate.problem
        stop.set()
        await running
    shown.ownership.given.clear()
    await shown.run(RuntimeError("a bug"))
    assert shown.candidate.state == ""


async def test_what_a_lost_tail_and_the_legacy_service_leave_behind_goes_to_the_next(shown: Shown) -> None:
    """The loss counts until an ownership ends well; the service, until the next ownership has begun."""
    await shown.run(TailLostError(LOST_AFTER), LegacyServiceError(["postprocessing"]), LeaseLostError("gone"))
    assert shown.ownership.given == [
        (None, ()),
        (LOST_AFTER, ()),
        (LOST_AFTER, ("postprocessing",)),
        (LOST_AFTER, ()),
    ]
    assert shown.candidate._lost_after is None


async def test_it_takes_no_lease_while_replicas_with_another_number_of_shards_live(shown: Shown) -> None:
    """It gives the Lease back at once: both would own the same uploads."""
    others = [["uploadpp-shard-1"], []]

    async def held(*_: object, **__: object) -> list[str]:
        return others.pop(0) if others else []

    cast("Any", shown.membership.layouts).held = held
    with pytest.MonkeyPatch.context() as fast:
        fast.setattr("uploadpp.ownership.candidate.random.random", lambda: -0.999)
        await shown.run()
    assert shown.lease.released == [False, False]
    assert len(shown.ownership.given) == 1
