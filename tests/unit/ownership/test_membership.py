"""What replicas say of themselves, and which shards move because of it."""

import random
from types import SimpleNamespace
from typing import cast

import orjson
import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg

from uploadpp.core.sharding import Shard, shares
from uploadpp.ownership.membership import (
    MAX_REPLICAS,
    PATIENCE_SECONDS,
    SETTLE_SECONDS,
    Heartbeat,
    Membership,
    parse_heartbeat,
)

SUBJECT = "uploadpp.ns.replicas-of-3"


class Clock:
    """Moved by hand."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


class ShardCandidate:
    """A shard that this replica works on."""

    def __init__(self, index: int) -> None:
        self.shard = Shard(index, 3)
        self.working = True
        self.lacks_key = False
        self.given = 0
        self.hurried = 0

    def give_up(self) -> bool:
        self.given += 1
        self.working = False
        return True

    def hurry(self) -> None:
        self.hurried += 1


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def membership(clock: Clock) -> Membership:
    made = Membership(cast("Client", None), "ns", "me", 3, clock)
    made._candidates = [ShardCandidate(index) for index in range(3)]
    return made


def candidates(membership: Membership) -> list[ShardCandidate]:
    return cast("list[ShardCandidate]", membership._candidates)


async def hear(membership: Membership, subject: str = SUBJECT, **said: object) -> None:
    await membership._hear(Msg(cast("Client", None), subject, "", orjson.dumps(said)))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"null",
        b'"x"',
        b"{}",
        b'{"replica":"x"}',
        b'{"replica":"x","owned":-1000000}',
        b'{"replica":"x","owned":-1}',
        b'{"replica":"x","owned":65}',
        b'{"replica":"x","owned":1e3}',
        b'{"replica":"x","owned":1e400}',
        b'{"replica":"x","owned":true}',
        b'{"replica":"x","owned":"1"}',
        b'{"replica":"x","owned":null}',
        b'{"replica":"","owned":1}',
        b'{"replica":7,"owned":1}',
        b'{"replica":"a\\nb","owned":1}',
        b'{"replica":"\\u001b[2J","owned":1}',
        b'{"replica":"' + b"x" * 400 + b'","owned":1}',
        b'{"replica":"x","owned":1,"more":"' + b"x" * 2000 + b'"}',
        b'{"replica":"x","owned":' + b"9" * 500 + b"}",
        b"\xff\xfe",
    ],
)
def test_what_no_replica_of_ours_would_say_is_not_heard(data: bytes) -> None:
    assert parse_heartbeat(data) is None


@pytest.mark.parametrize("free", [-1, 64, True, "1", 1.5, None, {}])
def test_a_shard_that_cannot_be_is_not_free(free: object) -> None:
    assert parse_heartbeat(orjson.dumps({"replica": "x", "owned": 1, "free": free})) == Heartbeat("x", 1)


def test_what_a_replica_says() -> None:
    data = b'{"replica":"host-1_0f3a-11.ab12","owned":0,"free":63,"leaving":true}'
    assert parse_heartbeat(data) == Heartbeat("host-1_0f3a-11.ab12", 0, 63, leaving=True)


def test_shares_differ_by_one_at_most_and_move_as_little_as_possible() -> None:
    dice = random.Random(1)  # noqa: S311 -- a game of dice, not a secret
    for _ in range(500):
        names = [f"r{n}" for n in range(dice.randint(1, 7))]
        shards = dice.randint(1, 64)
        owned = dict.fromkeys(names, 0)
        for _ in range(dice.randint(0, shards)):
            owned[dice.choice(names)] += 1
        found = shares(owned, shards)
        assert sum(found.values()) == shards
        assert max(found.values()) - min(found.values()) <= 1
        assert shares(found, shards) == found, "balanced once, balanced for good"
        order = sorted(names, key=lambda name: -owned[name])
        assert [found[name] for name in order] == sorted(found.values(), reverse=True)


async def test_everything_above_our_share_is_handed_over_at_once_and_once(
    membership: Membership, clock: Clock
) -> None:
    for shard in range(3):
        membership.took(shard)
    await hear(membership, replica="b", owned=0)
    await hear(membership, replica="c", owned=0)
    membership.balance()
    assert [candidate.given for candidate in candidates(membership)] == [0, 0, 0], "not before it is quiet"
    clock.now += SETTLE_SECONDS
    for _ in range(5):
        membership.balance()
    assert [candidate.given for candidate in candidates(membership)] == [0, 1, 1]


async def test_nobody_takes_more_than_a_share(membership: Membership) -> None:
    await hear(membership, replica="b", owned=0)
    await hear(membership, replica="c", owned=0)
    assert [membership.claims(shard, 0.0) for shard in range(3)] == [True, False, False]
    membership.unclaim(0)
    assert membership.claims(1, 0.0)
    assert membership.claims(2, PATIENCE_SECONDS), "what nobody takes is taken all the same"


async def test_a_replica_alone_takes_everything_at_once(membership: Membership) -> None:
    assert membership.alone
    assert all(membership.claims(shard, 0.0) for shard in range(3))


async def test_heartbeats_expire(membership: Membership, clock: Clock) -> None:
    await hear(membership, replica="b", owned=0)
    before = (membership.alone, membership.is_alive("b"), membership.others())
    clock.now += 3
    after = (membership.alone, membership.is_alive("b"), membership.others())
    assert (before, after) == ((False, True, {"b": 0}), (True, False, {}))


async def test_any_number_of_names_takes_no_more_than_so_much_memory(
    membership: Membership, clock: Clock
) -> None:
    for number in range(5000):
        await hear(membership, replica=f"ghost-{number}", owned=0)
    assert len(membership._others) == MAX_REPLICAS
    clock.now += 3
    await hear(membership, replica="b", owned=0)
    assert set(membership._others) == {"b"}


async def test_ghosts_do_not_keep_shards_moving(membership: Membership, clock: Clock) -> None:
    """Somebody says all the time that there is a replica without shards, which never takes one."""
    for shard in range(3):
        membership.took(shard)
    moves = 0
    for _ in range(600):
        clock.now += 1
        await hear(membership, replica="ghost", owned=0)
        membership.balance()
        for candidate in candidates(membership):
            if not candidate.working:
                moves += 1
                membership.lost(candidate.shard.index)
                clock.now += PATIENCE_SECONDS
                candidate.working = True
                membership.took(candidate.shard.index)
    assert moves <= 6


async def test_a_replica_that_is_leaving_takes_nothing_over(membership: Membership) -> None:
    await hear(membership, replica="b", owned=0)
    await hear(membership, replica="c", owned=0, leaving=True)
    before = membership.alone
    await hear(membership, replica="b", owned=0, leaving=True)
    assert (before, membership.alone) == (False, True)


async def test_a_replica_without_the_key_is_counted_on_by_nobody(membership: Membership) -> None:
    said: list[bytes] = []

    async def publish(subject: str, data: bytes) -> None:
        assert subject == SUBJECT
        said.append(data)

    membership._client = cast("Client", SimpleNamespace(publish=publish))
    await membership._say()
    candidates(membership)[1].lacks_key = True
    await membership._say()
    assert [heartbeat and heartbeat.leaving for heartbeat in map(parse_heartbeat, said)] == [False, True]


async def test_a_replica_with_another_number_of_shards_waits_too_but_shares_nothing(
    membership: Membership,
) -> None:
    await hear(membership, "uploadpp.ns.replicas-of-2", replica="b", owned=0)
    assert not membership.alone
    assert membership.others() == {}


async def test_who_waits_for_a_shard_hears_that_it_is_free(membership: Membership, clock: Clock) -> None:
    await hear(membership, replica="b", owned=1, free=1)
    for _ in range(100):
        await hear(membership, replica="b", owned=1, free=1)
    assert [candidate.hurried for candidate in candidates(membership)] == [0, 1, 0], "a flood hurries nobody"
    clock.now += 1
    await hear(membership, replica="b", owned=1, free=1)
    assert [candidate.hurried for candidate in candidates(membership)] == [0, 2, 0]
