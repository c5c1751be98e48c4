"""Where an owner begins, on servers that say less than the newest: the position is never read as zero."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import nats as nats_client
import pytest
from nats.aio.client import Client
from nats.js import JetStreamContext
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy

from e2e.cluster.nats import NatsServer
from uploadpp.core.sharding import Shard
from uploadpp.wire.positions import last_before
from uploadpp.wire.stream import STREAM, StartFrom, ensure_stream, take_over

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
async def test_the_old_service_has_acknowledged_everything(
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
async def test_the_old_service_acknowledged_nothing(
    js: JetStreamContext, policy: DeliverPolicy, delivered: int
) -> None:
    await fill(js, 10)
    await legacy(js, policy)
    await fill(js, 5)
    if delivered:
        await read(js, "postprocessing-pull", delivered, 0)
    place = await take_over(js, SHARD, 1)
    assert place.first == (11 if policy is DeliverPolicy.NEW else 1)


async def test_the_old_service_was_asked_twice_for_the_same(js: JetStreamContext) -> None:
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


async def test_of_two_old_services_the_one_that_is_further_counts(js: JetStreamContext) -> None:
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


async def test_the_position_survives_a_restart_of_the_server(nats: NatsServer, js: JetStreamContext) -> None:
    """It forgets when something was last acknowledged, and nothing else."""
    await fill(js, 10)
    place = await take_over(js, SHARD, 1, StartFrom.NEW)
    await fill(js, 2)
    await read(js, place.consumer, 1, 1)
    client: Client = js._nc
    await asyncio.to_thread(nats.restart)
    async with asyncio.timeout(20):
        while not client.is_connected:  # noqa: ASYNC110 -- a test may poll
            await asyncio.sleep(0.05)
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
