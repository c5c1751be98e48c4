"""A replica that stands by says so when nobody works: a Lease that is renewed proves little (S8d)."""

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import orjson
import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg

from uploadpp.core.sharding import Shard
from uploadpp.ownership import candidate as candidates
from uploadpp.ownership.candidate import ShardCandidate
from uploadpp.ownership.membership import PATIENCE_SECONDS, Membership
from uploadpp.resources.keys import KEY_ANNOTATION

HOLDER = "operator-a_1"


class Clock:
    """Moved by hand."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def standby(clock: Clock) -> tuple[ShardCandidate, Membership, SimpleNamespace]:
    """A candidate whose Lease is held, and renewed, by somebody else; and its connection."""
    client = SimpleNamespace(is_connected=True)
    config = SimpleNamespace(steps=())
    seals = SimpleNamespace(fingerprints=())
    deps = SimpleNamespace(client=client, config=config, seals=seals, policies_known=lambda: True)
    membership = Membership(cast("Client", client), "ns", "me", 1, clock)
    made = ShardCandidate(cast("Any", deps), membership, Shard(), cast("Any", None), None)
    lease = SimpleNamespace(
        name="uploadpp-shard-0", holder=HOLDER, held_elsewhere=True, silence="", problem=""
    )
    lease.owners_annotations = {}
    made._lease = cast("Any", lease)
    return made, membership, client


async def heartbeat(membership: Membership) -> None:
    said = orjson.dumps({"replica": HOLDER, "owned": 1})
    await membership._hear(Msg(cast("Client", None), "uploadpp.ns.replicas-of-1", "", said))


def look(standby: ShardCandidate, clock: Clock, times: int) -> None:
    for _ in range(times):
        clock.now += candidates.COMPARE_SECONDS
        standby._listen()


async def test_a_holder_of_whom_nothing_is_heard_is_named(
    standby: tuple[ShardCandidate, Membership, SimpleNamespace], clock: Clock
) -> None:
    candidate, membership, client = standby
    look(candidate, clock, 3)
    assert candidate.problem == "", "it may just have begun"
    look(candidate, clock, 1)
    assert f"standing by for {HOLDER}, which has sent no heartbeat on NATS for 20 s" in candidate.problem
    assert "Lease uploadpp-shard-0" in candidate.problem
    clock.now += 3
    await heartbeat(membership)
    candidate._listen()
    assert candidate.problem == ""
    client.is_connected = False  # we hear nobody then, which says nothing
    look(candidate, clock, 10)
    assert candidate.problem == ""


async def test_it_is_said_once_in_the_log(
    standby: tuple[ShardCandidate, Membership, SimpleNamespace],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    candidate, _, _ = standby
    monkeypatch.setattr(candidates, "COMPARE_SECONDS", 0.001)
    comparing = asyncio.create_task(candidate._compare())
    async with asyncio.timeout(10):
        while candidate._unheard < 2 * candidates.UNHEARD_LOOKS:  # noqa: ASYNC110 -- nothing tells
            await asyncio.sleep(0.001)
    comparing.cancel()
    assert [HOLDER in record.getMessage() for record in caplog.records] == [True]


@pytest.mark.parametrize(
    ("sealed_with", "wrong_key", "at_once"),
    [
        ("kours", "", True),
        ("", "", True),
        ("ktheirs", "", False),
        ("kours", "6 uploads are sealed with …", False),
    ],
)
async def test_who_lacks_the_key_leaves_a_free_shard_to_others_at_first(
    standby: tuple[ShardCandidate, Membership, SimpleNamespace],
    sealed_with: str,
    wrong_key: str,
    *,
    at_once: bool,
) -> None:
    """Each try of one that cannot open the uploads would let them wait."""
    candidate, membership, _ = standby

    async def held(_lease: object) -> list[str]:
        return []

    membership.layouts = cast("Any", SimpleNamespace(held=held, holders={}))
    candidate._deps.seals = cast("Any", SimpleNamespace(fingerprints=("kours",)))  # type: ignore[misc]
    candidate._lease.owners_annotations = {KEY_ANNOTATION: sealed_with}  # type: ignore[union-attr]
    candidate._lease.held_elsewhere = False  # type: ignore[union-attr]
    candidate.wrong_key = wrong_key
    assert await candidate.wants(0.0) is at_once
    assert await candidate.wants(PATIENCE_SECONDS), "it may be the only one, and have all that is needed"


async def test_who_does_not_know_the_policies_takes_no_shard(
    standby: tuple[ShardCandidate, Membership, SimpleNamespace],
) -> None:
    """Uploads would get the configured steps, which may be fewer than a policy asks for."""
    candidate, membership, _ = standby

    async def held(_lease: object) -> list[str]:
        return []

    membership.layouts = cast("Any", SimpleNamespace(held=held, holders={}))
    candidate._lease.held_elsewhere = False  # type: ignore[union-attr]
    candidate._deps.policies_known = lambda: False  # type: ignore[misc]
    assert not await candidate.wants(0.0)
    assert not await candidate.wants(PATIENCE_SECONDS)
    candidate._deps.policies_known = lambda: True  # type: ignore[misc]
    assert await candidate.wants(0.0)
