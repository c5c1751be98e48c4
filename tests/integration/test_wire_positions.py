"""Where an owner begins, on servers that say less than the newest: the position is never read as zero."""

import asyncio
import json
import shutil
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import nats as nats_client
import pytest
from nats.aio.client import Client
from nats.js import JetStreamContext
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy

from e2e.cluster.nats import NatsServer
from uploadpp.core.sharding import Shard
from uploadpp.process.clock import wall_clock
from uploadpp.wire import stream
from uploadpp.wire.consumers import ConsumersGoneError
from uploadpp.wire.marks import Marks
from uploadpp.wire.noted_position import STORED_SLACK, Notes
from uploadpp.wire.positions import last_before
from uploadpp.wire.stream import STREAM, ConsumerPosition, StartFrom, ensure_stream, take_over

pytestmark = pytest.mark.each_nats

SHARD = Shard(0)


@pytest.fixture
async def js(nats: NatsServer) -> AsyncIterator[JetStreamContext]:
    client = await nats_client.connect(nats.url, max_reconnect_attempts=-1, reconnect_time_wait=0.2)
    await ensure_stream(client.jetstream())
    yield client.jetstream()
    await client.close()


async def fill(js: JetStreamContext, count: int) -> None:
    for number in range(count):
        await js.publish(STREAM, str(number).encode())


async def legacy(js: JetStreamContext, policy: DeliverPolicy, durable: str = "postprocessing-pull") -> None:
    config = ConsumerConfig(
        name=durable, durable_name=durable, deliver_policy=policy, ack_policy=AckPolicy.EXPLICIT
    )
    await js.add_consumer(STREAM, config)


async def read(js: JetStreamContext, durable: str, count: int, acknowledge: int) -> None:
    subscription = await js.pull_subscribe_bind(durable, stream=STREAM)
    for message in (await subscription.fetch(count))[:acknowledge]:
        await message.ack_sync()
    await subscription.unsubscribe()


@pytest.mark.parametrize("start_from", [StartFrom.AUTO, StartFrom.NEW])
async def test_the_legacy_service_has_acknowledged_everything(
    js: JetStreamContext, start_from: StartFrom
) -> None:
    await legacy(js, DeliverPolicy.NEW)
    await fill(js, 10)
    await read(js, "postprocessing-pull", 10, 10)
    place = await take_over(js, SHARD, 1, start_from)
    assert (place.first, place.backlog) == (11, 0)


async def test_the_next_owner_after_one_that_acknowledged_nothing(js: JetStreamContext) -> None:
    await fill(js, 10)
    assert (await take_over(js, SHARD, 1, StartFrom.NEW)).first == 11
    await fill(js, 3)
    for epoch in (2, 3):
        place = await take_over(js, SHARD, epoch)
        assert (place.first, place.backlog) == (11, 3)
        await read(js, place.consumer, 2, 0)


async def test_a_new_layout_after_one_that_acknowledged_nothing(js: JetStreamContext) -> None:
    await fill(js, 10)
    await take_over(js, SHARD, 1, StartFrom.NEW)
    await fill(js, 3)
    for index in range(2):
        place = await take_over(js, Shard(index, 2), 1)
        assert (place.first, place.backlog) == (11, 3)


@pytest.mark.parametrize("delivered", [0, 3])
@pytest.mark.parametrize("policy", [DeliverPolicy.NEW, DeliverPolicy.ALL])
async def test_the_legacy_service_acknowledged_nothing(
    js: JetStreamContext, policy: DeliverPolicy, delivered: int
) -> None:
    await fill(js, 10)
    await legacy(js, policy)
    await fill(js, 5)
    if delivered:
        await read(js, "postprocessing-pull", delivered, 0)
    place = await take_over(js, SHARD, 1)
    assert place.first == (11 if policy is DeliverPolicy.NEW else 1)


async def test_the_legacy_service_was_asked_twice_for_the_same(js: JetStreamContext) -> None:
    """Redeliveries count as deliveries: they say nothing about the position."""
    await fill(js, 10)
    config = ConsumerConfig(
        name="postprocessing-pull",
        durable_name="postprocessing-pull",
        deliver_policy=DeliverPolicy.NEW,
        ack_policy=AckPolicy.EXPLICIT,
        ack_wait=0.2,
    )
    await js.add_consumer(STREAM, config)
    await fill(js, 2)
    for _ in range(3):
        await read(js, "postprocessing-pull", 2, 0)
        await asyncio.sleep(0.3)
    assert (await take_over(js, SHARD, 1)).first == 11


async def test_of_two_legacy_services_the_one_that_is_further_counts(js: JetStreamContext) -> None:
    await legacy(js, DeliverPolicy.NEW, "postprocessing")
    await fill(js, 4)
    await read(js, "postprocessing", 4, 4)
    await legacy(js, DeliverPolicy.NEW)
    await fill(js, 4)
    await read(js, "postprocessing-pull", 4, 0)
    assert (await take_over(js, SHARD, 1)).first == 5


async def test_an_owner_that_began_at_a_time_and_acknowledged_nothing(js: JetStreamContext) -> None:
    await fill(js, 5)
    since = (await js.get_msg(STREAM, seq=4)).time
    place = await take_over(js, SHARD, 1, lost_after=since)
    assert (place.first, place.backlog) == (4, 2)
    for epoch in (2, 3):
        await read(js, place.consumer, 1, 0)
        place = await take_over(js, SHARD, epoch)
        assert (place.first, place.backlog) == (4, 2)


async def test_what_was_purged_below_and_beyond_the_position(js: JetStreamContext) -> None:
    await fill(js, 10)
    place = await take_over(js, SHARD, 1, StartFrom.ALL)
    await js.purge_stream(STREAM, seq=6)
    place = await take_over(js, SHARD, 2)
    assert (place.first, place.backlog) == (6, 5)
    await js.purge_stream(STREAM)
    await fill(js, 1)
    place = await take_over(js, SHARD, 3)
    assert (place.first, place.backlog) == (11, 1)


async def test_a_stream_that_is_made_anew_during_a_take_over(
    js: JetStreamContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its consumers were there a moment ago: the error says so, and the next try finds the new stream."""
    await fill(js, 3)
    await take_over(js, SHARD, 1)
    reserve = stream._reserve_places

    async def and_then_made_anew(*positional: Any, **named: Any) -> None:  # noqa: ANN401 -- passed on
        await reserve(*positional, **named)
        await js.delete_stream(STREAM)
        await ensure_stream(js)

    with monkeypatch.context() as patched:
        patched.setattr(stream, "_reserve_places", and_then_made_anew)
        with pytest.raises(ConsumersGoneError, match="were deleted during the take-over"):
            await take_over(js, SHARD, 2)
    assert (await take_over(js, SHARD, 2)).first == 1


async def test_the_position_survives_a_restart_of_the_server(nats: NatsServer, js: JetStreamContext) -> None:
    """It forgets when something was last acknowledged, and nothing else."""
    await fill(js, 10)
    place = await take_over(js, SHARD, 1, StartFrom.NEW)
    await fill(js, 2)
    await read(js, place.consumer, 1, 1)
    client: Client = js._nc
    await asyncio.to_thread(nats.restart)
    await connected(client)
    assert (await take_over(js, SHARD, 2)).first == 12


async def test_the_last_message_before_a_moment(js: JetStreamContext) -> None:
    """Also where messages were removed in between, before the first and behind the last."""
    await fill(js, 20)
    times = [(await js.get_msg(STREAM, seq=number)).time for number in range(1, 21)]
    for removed in (5, 6, 7, 13, 20):
        await js.delete_msg(STREAM, removed)
    state = (await js.stream_info(STREAM)).state
    for number, moment in enumerate(times, start=1):
        assert moment is not None
        found = await last_before(js, STREAM, moment, state)
        younger = [n for n in range(found + 1, 21) if n not in {5, 6, 7, 13, 20}]
        assert all(times[n - 1] >= moment for n in younger)  # type: ignore[operator]
        assert found < number
        assert all(times[n - 1] < moment for n in range(1, found + 1))  # type: ignore[operator]
    assert await last_before(js, STREAM, datetime(2000, 1, 1, tzinfo=UTC), state) == 0
    assert await last_before(js, STREAM, datetime(2100, 1, 1, tzinfo=UTC), state) == 19


class Lease:
    """What the Lease of a shard keeps."""

    def __init__(self, kept: str = "") -> None:
        self.kept = kept

    async def keep(self, position: str) -> None:
        self.kept = position


def notes_of(lease: Lease) -> Notes:
    return Notes(lease, Marks([b"key"]), wall_clock)


async def noted(js: JetStreamContext, place: ConsumerPosition, sequence: int) -> Lease:
    """The Lease of an owner that has come so far."""
    stored = (await js.get_msg(STREAM, seq=sequence)).time
    assert place.note is not None
    assert stored is not None
    note = replace(place.note, where=sequence + 1, seen=stored + STORED_SLACK, stored=stored)
    return Lease(note.signed(Marks([b"key"])))


async def started(js: JetStreamContext) -> ConsumerPosition:
    await fill(js, 10)
    return await take_over(js, SHARD, 1, StartFrom.ALL, notes=notes_of(Lease()))


async def test_what_a_copy_of_etcd_does_not_have_is_read_again(js: JetStreamContext) -> None:
    """Also by the one after, whose Lease says the same because nothing was renewed."""
    place = await started(js)
    await read(js, place.consumer, 8, 8)
    lease = await noted(js, place, 3)
    for epoch in (2, 3):
        place = await take_over(js, SHARD, epoch, notes=notes_of(lease))
        assert (place.first, place.backlog, place.missed) == (4, 7, 0)


async def test_what_was_read_and_removed_is_missed_only_where_etcd_is_older(js: JetStreamContext) -> None:
    place = await started(js)
    await read(js, place.consumer, 8, 8)
    fresh = await noted(js, place, 3)
    assert place.note is not None
    older = replace(place.note, where=4, stored=None, noted=datetime.now(UTC) - timedelta(minutes=10))
    await js.purge_stream(STREAM, seq=8)
    assert (await take_over(js, SHARD, 2, notes=notes_of(fresh))).missed == 0
    place = await take_over(js, SHARD, 3, notes=notes_of(Lease(older.signed(Marks([b"key"])))))
    assert (place.first, place.missed) == (8, 4)


@pytest.mark.parametrize("given_back", [False, True])
async def test_without_a_consumer_the_note_says_where(js: JetStreamContext, *, given_back: bool) -> None:
    """Unless another service has driven the uploads since, behind whose position we go on."""
    place = await started(js)
    await read(js, place.consumer, 8, 8)
    lease = await noted(js, place, 3)
    if given_back:
        await legacy(js, DeliverPolicy.NEW)
    await js.delete_consumer(STREAM, place.consumer)
    place = await take_over(js, SHARD, 2, notes=notes_of(lease))
    assert place.first == (11 if given_back else 4)
    assert place.epoch > 1


async def test_a_note_of_before_another_number_of_shards_counts_no_more(js: JetStreamContext) -> None:
    place = await started(js)
    lease = await noted(js, place, 3)
    for index in range(2):
        two = await take_over(js, Shard(index, 2), 1)
        await read(js, two.consumer, 8, 8)
    place = await take_over(js, SHARD, 1, notes=notes_of(lease))
    assert place.first == 9
    assert json.loads(lease.kept)["first"] == 9


@pytest.mark.parametrize("more", [0, 3, 9], ids=["nothing new", "some new", "as many as before"])
async def test_the_store_is_put_back_from_an_older_copy(
    nats: NatsServer, js: JetStreamContext, tmp_path: Path, more: int
) -> None:
    """The consumer is older too. What is new is read, whatever positions it has."""
    place = await started(js)
    await read(js, place.consumer, 9, 9)
    client: Client = js._nc

    def put_back() -> None:
        nats.stop()
        shutil.rmtree(nats.store)
        shutil.copytree(tmp_path / "store", nats.store)
        nats.start()

    await asyncio.to_thread(nats.stop)
    shutil.copytree(nats.store, tmp_path / "store")
    await asyncio.to_thread(nats.start)
    await connected(client)
    await fill(js, 5)
    lease = await noted(js, place, 14)
    await asyncio.to_thread(put_back)
    await connected(client)
    await fill(js, more)
    again = await take_over(js, SHARD, 2, notes=notes_of(lease))
    assert (again.first, again.backlog, again.stream) == (11, more, f"{place.stream}+1")
    for epoch in (3, 4):  # that is said once
        again = await take_over(js, SHARD, epoch, notes=notes_of(lease))
        assert (again.first, again.backlog, again.stream) == (11, more, f"{place.stream}+1")


async def connected(client: Client) -> None:
    async with asyncio.timeout(20):
        while not client.is_connected:  # noqa: ASYNC110 -- a test may poll
            await asyncio.sleep(0.05)
