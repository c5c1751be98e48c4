"""What replicas say of themselves, and which shards move because of it."""

import random
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
    Beat,
    Crew,
    parse_beat,
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
async def crew(clock: Clock) -> Crew:
    made = Crew(cast("Client", None), "ns", "me", 3, clock)
    made.candidates = [ShardCandidate(index) for index in range(3)]
    return made


def candidates(crew: Crew) -> list[ShardCandidate]:
    return cast("list[ShardCandidate]", crew.candidates)


async def hear(crew: Crew, subject: str = SUBJECT, **said: object) -> None:
    await crew._hear(Msg(cast("Client", None), subject, "", orjson.dumps(said)))


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
    assert parse_beat(data) is None


@pytest.mark.parametrize("free", [-1, 64, True, "1", 1.5, None, {}])
def test_a_shard_that_cannot_be_is_not_free(free: object) -> None:
    assert parse_beat(orjson.dumps({"replica": "x", "owned": 1, "free": free})) == Beat("x", 1)


def test_what_a_replica_says() -> None:
    data = b'{"replica":"host-1_0f3a-11.ab12","owned":0,"free":63,"leaving":true}'
    assert parse_beat(data) == Beat("host-1_0f3a-11.ab12", 0, 63, leaving=True)


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


async def test_everything_above_our_share_is_handed_over_at_once_and_once(crew: Crew, clock: Clock) -> None:
    for shard in range(3):
        crew.took(shard)
    await hear(crew, replica="b", owned=0)
    await hear(crew, replica="c", owned=0)
    crew.balance()
    assert [candidate.given for candidate in candidates(crew)] == [0, 0, 0], "not before it is quiet"
    clock.now += SETTLE_SECONDS
    for _ in range(5):
        crew.balance()
    assert [candidate.given for candidate in candidates(crew)] == [0, 1, 1]


async def test_nobody_takes_more_than_a_share(crew: Crew) -> None:
    await hear(crew, replica="b", owned=0)
    await hear(crew, replica="c", owned=0)
    assert [crew.claims(shard, 0.0) for shard in range(3)] == [True, False, False]
    crew.unclaim(0)
    assert crew.claims(1, 0.0)
    assert crew.claims(2, PATIENCE_SECONDS), "what nobody takes is taken all the same"


async def test_a_replica_alone_takes_everything_at_once(crew: Crew) -> None:
    assert crew.alone
    assert all(crew.claims(shard, 0.0) for shard in range(3))


async def test_beats_expire(crew: Crew, clock: Clock) -> None:
    await hear(crew, replica="b", owned=0)
    before = (crew.alone, crew.is_alive("b"), crew.others())
    clock.now += 3
    after = (crew.alone, crew.is_alive("b"), crew.others())
    assert (before, after) == ((False, True, {"b": 0}), (True, False, {}))


async def test_any_number_of_names_takes_no_more_than_so_much_memory(crew: Crew, clock: Clock) -> None:
    for number in range(5000):
        await hear(crew, replica=f"ghost-{number}", owned=0)
    assert len(crew._others) == MAX_REPLICAS
    clock.now += 3
    await hear(crew, replica="b", owned=0)
    assert set(crew._others) == {"b"}


async def test_ghosts_do_not_keep_shards_moving(crew: Crew, clock: Clock) -> None:
    """Somebody says all the time that there is a replica without shards, which never takes one."""
    for shard in range(3):
        crew.took(shard)
    moves = 0
    for _ in range(600):
        clock.now += 1
        await hear(crew, replica="ghost", owned=0)
        crew.balance()
        for candidate in candidates(crew):
            if not candidate.working:
                moves += 1
                crew.lost(candidate.shard.index)
                clock.now += PATIENCE_SECONDS
                candidate.working = True
                crew.took(candidate.shard.index)
    assert moves <= 6


async def test_a_replica_that_is_leaving_takes_nothing_over(crew: Crew) -> None:
    await hear(crew, replica="b", owned=0)
    await hear(crew, replica="c", owned=0, leaving=True)
    before = crew.alone
    await hear(crew, replica="b", owned=0, leaving=True)
    assert (before, crew.alone) == (False, True)


async def test_a_replica_with_another_number_of_shards_waits_too_but_shares_nothing(crew: Crew) -> None:
    await hear(crew, "uploadpp.ns.replicas-of-2", replica="b", owned=0)
    assert not crew.alone
    assert crew.others() == {}


async def test_who_waits_for_a_shard_hears_that_it_is_free(crew: Crew, clock: Clock) -> None:
    await hear(crew, replica="b", owned=1, free=1)
    for _ in range(100):
        await hear(crew, replica="b", owned=1, free=1)
    assert [candidate.hurried for candidate in candidates(crew)] == [0, 1, 0], "a flood hurries nobody"
    clock.now += 1
    await hear(crew, replica="b", owned=1, free=1)
    assert [candidate.hurried for candidate in candidates(crew)] == [0, 2, 0]
