"""Our place in the stream, on a real server: epochs, take-over, where the first start reads from."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress

import nats as nats_client
import pytest
from nats.aio.client import Client
from nats.js import JetStreamContext
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy, RetentionPolicy, StorageType, StreamConfig
from nats.js.errors import NotFoundError

from e2e.cluster.nats import NatsServer
from uploadpp.core.sharding import Shard
from uploadpp.wire.errors import LogLostError
from uploadpp.wire.positions import acknowledged
from uploadpp.wire.reader import LogReader
from uploadpp.wire.stream import (
    STREAM,
    ConsumerPosition,
    StartFrom,
    consumer_exists,
    ensure_stream,
    legacy_members,
    list_consumers,
    take_over,
)
from uploadpp.wire.stream_message import StreamMessage

pytestmark = pytest.mark.each_nats

SHARD = Shard(0)


@pytest.fixture
async def client(nats: NatsServer) -> AsyncIterator[Client]:
    made = await nats_client.connect(
        nats.url, max_reconnect_attempts=-1, reconnect_time_wait=0.2, error_cb=_quiet
    )
    yield made
    await made.close()


async def _quiet(error: Exception) -> None:
    del error


@pytest.fixture
async def js(client: Client) -> JetStreamContext:
    context = client.jetstream()
    await ensure_stream(context)
    return context


async def fill(js: JetStreamContext, count: int) -> None:
    for number in range(count):
        await js.publish(STREAM, str(number).encode())


class Reading:
    """A reader and what it has handed over."""

    def __init__(self, client: Client, place: ConsumerPosition) -> None:
        self.client = client
        self.raws: list[StreamMessage] = []
        self.reader = LogReader(client, place, self._take)
        self.task = asyncio.create_task(self.reader.run())

    async def _take(self, raw: StreamMessage) -> None:
        self.raws.append(raw)

    async def until(self, sequence: int) -> None:
        """Wait until it has handed over this sequence."""
        async with asyncio.timeout(30):
            while self.reader.sequence < sequence:  # noqa: ASYNC110 -- a test may poll
                await asyncio.sleep(0.02)

    async def acknowledge(self, sequence: int) -> None:
        """Acknowledge up to a sequence, as far as the server still listens."""
        (raw,) = (raw for raw in self.raws if raw.sequence == sequence)
        await self.reader.acknowledge(raw.sequence, raw.delivered)
        await self.client.flush()

    async def stop(self) -> None:
        self.task.cancel()
        with suppress(asyncio.CancelledError, LogLostError):
            await self.task


@pytest.fixture
async def reading(client: Client) -> AsyncIterator[Callable[[ConsumerPosition], Reading]]:
    made: list[Reading] = []

    def start(place: ConsumerPosition) -> Reading:
        made.append(Reading(client, place))
        return made[-1]

    yield start
    for each in made:
        await each.stop()


async def test_stream_is_made_when_missing(client: Client) -> None:
    js = client.jetstream()
    await asyncio.gather(*(ensure_stream(js, 3600) for _ in range(5)))
    config = (await js.stream_info(STREAM)).config
    assert (config.subjects, config.storage, config.max_age) == ([STREAM], StorageType.FILE, 3600)
    assert config.retention == RetentionPolicy.LIMITS


async def test_an_existing_stream_is_never_changed(client: Client) -> None:
    js = client.jetstream()
    await js.add_stream(StreamConfig(name=STREAM, subjects=[STREAM], max_msgs=17, storage=StorageType.MEMORY))
    before = (await js.stream_info(STREAM)).config
    await ensure_stream(js, 3600)
    await take_over(js, SHARD, 1)
    assert (await js.stream_info(STREAM)).config == before


async def test_take_over(js: JetStreamContext, reading: Callable[[ConsumerPosition], Reading]) -> None:
    """The next owner starts behind what was acknowledged; the old one can neither read nor acknowledge."""
    await fill(js, 10)
    first = await take_over(js, SHARD, 1)
    assert (first.epoch, first.first, first.backlog) == (1, 1, 10)
    zombie = reading(first)
    await zombie.until(10)
    await zombie.acknowledge(6)
    second = await take_over(js, SHARD, 2)
    assert second == ConsumerPosition(first.stream, "uploadpp-0-e2", 2, 7, 4)
    assert not await consumer_exists(js, first)
    with pytest.raises(LogLostError):
        await zombie.task
    await zombie.acknowledge(10)
    await fill(js, 3)
    owner = reading(second)
    await owner.until(13)
    assert [raw.sequence for raw in owner.raws] == list(range(7, 14))
    assert len(zombie.raws) == 10
    assert acknowledged(await js.consumer_info(STREAM, second.consumer)) == 6


async def test_the_first_owner_that_signs_notes_since_when(js: JetStreamContext) -> None:
    """What an owner of an earlier version has published is not signed; nobody else may say so."""
    await fill(js, 5)
    assert (await take_over(js, SHARD, 1)).unsigned_until == 0
    await fill(js, 5)
    assert (await take_over(js, SHARD, 2)).unsigned_until == 0, "passed on"
    await js.delete_consumer(STREAM, "uploadpp-0-e2")
    older = ConsumerConfig(durable_name="uploadpp-0-e3", ack_policy=AckPolicy.ALL)
    await js.add_consumer(STREAM, older)
    assert (await take_over(js, SHARD, 1)).unsigned_until == 10
    await fill(js, 5)
    assert (await take_over(js, SHARD, 1)).unsigned_until == 10
    for shard in (Shard(0, 2), Shard(1, 2)):
        assert (await take_over(js, shard, 1)).unsigned_until == 10, "another number of shards"


async def test_a_deleted_lease_brings_no_name_back(js: JetStreamContext) -> None:
    """Its epochs begin at 1 again; a consumer of that name may still be a zombie's."""
    names = [(await take_over(js, SHARD, epoch)).consumer for epoch in (1, 7, 1, 1)]
    assert names == ["uploadpp-0-e1", "uploadpp-0-e7", "uploadpp-0-e8", "uploadpp-0-e9"]
    assert [each.name for each in await js.consumers_info(STREAM)] == names[-1:]


async def test_take_over_that_died_half_way(
    js: JetStreamContext, reading: Callable[[ConsumerPosition], Reading]
) -> None:
    """The new consumer was made, the old one not deleted: both go, nothing acknowledged is read again."""
    await fill(js, 5)
    first = reading(await take_over(js, SHARD, 1))
    await first.until(5)
    await first.acknowledge(3)
    config = ConsumerConfig(
        durable_name="uploadpp-0-e2",
        deliver_policy=DeliverPolicy.BY_START_SEQUENCE,
        opt_start_seq=4,
        ack_policy=AckPolicy.ALL,
    )
    await js.add_consumer(STREAM, config)
    place = await take_over(js, SHARD, 1)
    assert (place.consumer, place.first) == ("uploadpp-0-e3", 4)
    assert [each.name for each in await js.consumers_info(STREAM)] == ["uploadpp-0-e3"]


@pytest.mark.parametrize(
    ("start_from", "legacy_read", "first"),
    [
        (StartFrom.AUTO, None, 1),
        (StartFrom.ALL, None, 1),
        (StartFrom.NEW, None, 11),
        (StartFrom.AUTO, 4, 5),
        (StartFrom.AUTO, 0, 1),
        (StartFrom.ALL, 4, 1),
        (StartFrom.NEW, 4, 11),
    ],
)
async def test_first_start(
    js: JetStreamContext, start_from: StartFrom, legacy_read: int | None, first: int
) -> None:
    await fill(js, 10)
    if legacy_read is not None:
        subscription = await js.pull_subscribe(STREAM, durable="postprocessing-pull", stream=STREAM)
        for message in await subscription.fetch(legacy_read) if legacy_read else []:
            await message.ack_sync()
    place = await take_over(js, SHARD, 1, start_from)
    assert (place.first, place.backlog) == (first, 11 - first)
    if legacy_read is not None:
        assert await js.consumer_info(STREAM, "postprocessing-pull"), "it is needed for going back"


async def test_a_purged_stream_is_read_from_its_first_message(
    js: JetStreamContext, reading: Callable[[ConsumerPosition], Reading]
) -> None:
    await fill(js, 10)
    await js.purge_stream(STREAM, seq=6)
    reader = reading(await take_over(js, SHARD, 1))
    await reader.until(10)
    assert [raw.sequence for raw in reader.raws] == [6, 7, 8, 9, 10]


async def test_legacy_push_member(client: Client, js: JetStreamContext) -> None:
    """The durable alone is not a member; somebody bound to it is."""
    config = ConsumerConfig(
        durable_name="postprocessing",
        deliver_group="postprocessing",
        deliver_subject=client.new_inbox(),
        deliver_policy=DeliverPolicy.NEW,
        ack_policy=AckPolicy.EXPLICIT,
    )
    made = await js.add_consumer(STREAM, config)
    assert legacy_members(await list_consumers(js)) == []
    assert made.config is not None
    assert made.config.deliver_subject is not None
    member = await client.subscribe(made.config.deliver_subject, queue="postprocessing")
    await until_members(js, ["postprocessing"])
    await member.unsubscribe()
    await until_members(js, [])


async def until_members(js: JetStreamContext, expected: list[str]) -> None:
    """The server notices interest, and its end, in its own time."""
    async with asyncio.timeout(10):
        while legacy_members(await list_consumers(js)) != expected:  # noqa: ASYNC110 -- nothing tells
            await asyncio.sleep(0.05)


async def test_legacy_pull_member(js: JetStreamContext) -> None:
    subscription = await js.pull_subscribe(STREAM, durable="postprocessing-pull", stream=STREAM)
    assert legacy_members(await list_consumers(js)) == []
    waiting = asyncio.create_task(subscription.fetch(1, timeout=30))
    await until_members(js, ["postprocessing-pull"])
    await fill(js, 1)
    assert len(await waiting) == 1
    await until_members(js, [])


async def test_more_consumers_than_fit_on_a_page(js: JetStreamContext) -> None:
    for number in range(300):
        config = ConsumerConfig(name=f"other-{number}", durable_name=f"other-{number}", mem_storage=True)
        await js.add_consumer(STREAM, config)
    await take_over(js, SHARD, 1)
    assert (await take_over(js, SHARD, 1)).consumer == "uploadpp-0-e2"
    with pytest.raises(NotFoundError):
        await js.consumer_info(STREAM, "uploadpp-0-e1")


async def test_reader_survives_a_restart_with_its_store(
    nats: NatsServer, client: Client, js: JetStreamContext, reading: Callable[[ConsumerPosition], Reading]
) -> None:
    """Nothing twice, nothing left out, in order."""
    await fill(js, 5)
    reader = reading(await take_over(js, SHARD, 1))
    await reader.until(5)
    for _ in range(2):
        await asyncio.to_thread(nats.restart, kill=True)
        async with asyncio.timeout(20):
            while not client.is_connected:  # noqa: ASYNC110 -- a test may poll
                await asyncio.sleep(0.05)
        await fill(js, 5)
    await reader.until(15)
    assert [raw.sequence for raw in reader.raws] == list(range(1, 16))
    assert [raw.data for raw in reader.raws] == [str(n).encode() for n in [*range(5)] * 3]
    assert not reader.task.done()


async def test_the_server_confirms_what_is_acknowledged(
    js: JetStreamContext, reading: Callable[[ConsumerPosition], Reading]
) -> None:
    place = await take_over(js, Shard(), 1, StartFrom.ALL)
    reader = reading(place)
    for _ in range(3):
        await js.publish(STREAM, b"x")
    await reader.until(3)
    assert reader.reader.acknowledged == 0
    await reader.acknowledge(2)
    async with asyncio.timeout(10):
        while reader.reader.acknowledged != 2:  # noqa: ASYNC110 -- a test may poll
            await asyncio.sleep(0.02)
    info = await js.consumer_info(STREAM, place.consumer)
    assert info.ack_floor is not None
    assert info.ack_floor.stream_seq == 2


async def test_messages_lost_on_their_way_are_noticed(
    client: Client, js: JetStreamContext, reading: Callable[[ConsumerPosition], Reading]
) -> None:
    """Delivered into a connection that has died; nothing that comes later would show the gap."""
    await fill(js, 3)
    place = await take_over(js, SHARD, 1)
    reader = reading(place)
    await reader.until(3)
    thief = await client.subscribe("thief")
    subject = f"$JS.API.CONSUMER.MSG.NEXT.{STREAM}.{place.consumer}"
    reader.reader._credit += 10_000  # it asks for nothing more, so that the thief gets the next one
    await client.publish(subject, b'{"batch":1}', reply="thief")
    async with asyncio.timeout(20):
        while thief.pending_msgs == 0:
            await fill(js, 1)
            await asyncio.sleep(0.05)
    with pytest.raises(LogLostError, match=r"lost in transit|gap"):
        await asyncio.wait_for(reader.task, 20)
    assert (await take_over(js, SHARD, 1)).first == 1


@pytest.mark.parametrize("question", ["stream_info", "get_msg"])
async def test_what_is_read_while_the_tail_is_looked_at_is_no_loss(
    js: JetStreamContext,
    reading: Callable[[ConsumerPosition], Reading],
    monkeypatch: pytest.MonkeyPatch,
    question: str,
) -> None:
    """After a reconnect: what had come before it is still being handled."""
    await fill(js, 3)
    reader = reading(await take_over(js, SHARD, 1))
    await reader.until(3)
    await asyncio.sleep(0.01)  # stored at another time, as the server counts it
    ask = getattr(JetStreamContext, question)

    async def slowly(self: JetStreamContext, *names: object, **options: object) -> object:
        answer = await ask(self, *names, **options)
        await fill(js, 1)
        await reader.until(4)
        return answer

    monkeypatch.setattr(JetStreamContext, question, slowly)
    await reader.reader._verify_tail()


async def test_reader_ends_when_the_stream_is_gone(
    nats: NatsServer, js: JetStreamContext, reading: Callable[[ConsumerPosition], Reading]
) -> None:
    await fill(js, 5)
    place = await take_over(js, SHARD, 1)
    reader = reading(place)
    await reader.until(5)
    await asyncio.to_thread(nats.restart_empty)
    with pytest.raises(LogLostError):
        await asyncio.wait_for(reader.task, 30)
    await ensure_stream(js)
    assert (await take_over(js, SHARD, 1)).stream != place.stream


async def test_reader_takes_thousands_in_order(
    client: Client, js: JetStreamContext, reading: Callable[[ConsumerPosition], Reading]
) -> None:
    """Far more than one pull asks for, before it starts and while it reads."""
    for number in range(3000):
        await client.publish(STREAM, str(number).encode())
    reader = reading(await take_over(js, SHARD, 1))
    for number in range(3000, 6000):
        await client.publish(STREAM, str(number).encode())
    await reader.until(6000)
    assert [int(raw.data) for raw in reader.raws] == list(range(6000))
    assert reader.raws[-1].pending == 0
    assert reader.reader.caught_up
