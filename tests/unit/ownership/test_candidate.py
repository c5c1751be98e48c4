"""A replica that stands by says so when nobody works: a Lease that is renewed proves little (S8d)."""

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import orjson
import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg

from uploadpp.core.sharding import Shard
from uploadpp.ownership import candidate as seats
from uploadpp.ownership.candidate import Seat
from uploadpp.ownership.membership import Crew

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
async def standby(clock: Clock) -> tuple[Seat, Crew, SimpleNamespace]:
    """A seat whose Lease is held, and renewed, by somebody else; and its connection."""
    client = SimpleNamespace(is_connected=True)
    around = SimpleNamespace(client=client, seals=SimpleNamespace(fingerprints=()))
    crew = Crew(cast("Client", client), "ns", "me", 1, clock)
    made = Seat(cast("Any", around), crew, Shard(), cast("Any", None), None)
    lease = SimpleNamespace(
        name="uploadpp-shard-0", holder=HOLDER, held_elsewhere=True, silence="", problem=""
    )
    lease.annotations = lease.owners_annotations = {}
    made._lease = cast("Any", lease)
    return made, crew, client


async def beat(crew: Crew) -> None:
    said = orjson.dumps({"replica": HOLDER, "owned": 1})
    await crew._hear(Msg(cast("Client", None), "uploadpp.ns.replicas-of-1", "", said))


def look(standby: Seat, clock: Clock, times: int) -> None:
    for _ in range(times):
        clock.now += seats.COMPARE_SECONDS
        standby._listen()


async def test_a_holder_of_whom_nothing_is_heard_is_named(
    standby: tuple[Seat, Crew, SimpleNamespace], clock: Clock
) -> None:
    seat, crew, client = standby
    look(seat, clock, 3)
    assert seat.problem == "", "it may just have begun"
    look(seat, clock, 1)
    assert f"standing by for {HOLDER}, of which nothing was heard on NATS for 20 s" in seat.problem
    assert "Lease uploadpp-shard-0" in seat.problem
    clock.now += 3
    await beat(crew)
    seat._listen()
    assert seat.problem == ""
    client.is_connected = False  # we hear nobody then, which says nothing
    look(seat, clock, 10)
    assert seat.problem == ""


async def test_it_is_said_once_in_the_log(
    standby: tuple[Seat, Crew, SimpleNamespace],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    seat, _, _ = standby
    monkeypatch.setattr(seats, "COMPARE_SECONDS", 0.001)
    comparing = asyncio.create_task(seat._compare())
    async with asyncio.timeout(10):
        while seat._unheard < 2 * seats.UNHEARD_LOOKS:  # noqa: ASYNC110 -- nothing tells
            await asyncio.sleep(0.001)
    comparing.cancel()
    assert [HOLDER in record.getMessage() for record in caplog.records] == [True]
