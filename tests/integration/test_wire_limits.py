"""Limits of NATS, and strangers on the stream: we adapt, or say the server's words."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

import pytest
from nats.js import JetStreamContext
from nats.js.errors import APIError

from e2e.cluster.instance import Instance
from e2e.cluster.nats import NatsServer
from uploadpp.core.sharding import Shard
from uploadpp.ownership.legacy_service import LegacyServiceWatch
from uploadpp.steps.consumer import StartConsumer
from uploadpp.telemetry.metrics import Metrics
from uploadpp.wire.client import SafeClient
from uploadpp.wire.connection import NatsOptions, connect
from uploadpp.wire.consumers import MAX_EPOCH
from uploadpp.wire.errors import LogLostError
from uploadpp.wire.reader import LogReader
from uploadpp.wire.stream import STREAM, ConsumerPosition, StartFrom, take_over
from uploadpp.wire.stream_message import StreamMessage, reply_at

pytestmark = pytest.mark.each_nats

SHARD = Shard(0)
LIMITS = "jetstream {{ limits {{ {limits} }} }}"


@asynccontextmanager
async def limited(instance: Instance, version: str, limits: str) -> AsyncIterator[SafeClient]:
    nats = NatsServer(instance, version=version, name="limited")
    nats.config = LIMITS.format(limits=limits) if limits else ""
    nats.start()
    client = await connect(NatsOptions(servers=(nats.url,)))
    try:
        yield client
    finally:
        await client.close()


async def made(client: SafeClient, **more: object) -> JetStreamContext:
    """The stream, with whatever an administrator has set."""
    config = {"name": STREAM, "subjects": [STREAM], "retention": "limits", "storage": "file", **more}
    answer = json.loads(
        (await client.request(f"$JS.API.STREAM.CREATE.{STREAM}", json.dumps(config).encode())).data
    )
    assert "error" not in answer, answer
    return client.jetstream()


async def fill(js: JetStreamContext, count: int) -> None:
    for number in range(count):
        await js.publish(STREAM, str(number).encode())


@asynccontextmanager
async def reading(client: SafeClient, place: ConsumerPosition) -> AsyncIterator[LogReader]:
    async def take(raw: StreamMessage) -> None:
        del raw

    reader = LogReader(client, place, take)
    task = asyncio.create_task(reader.run())
    try:
        yield reader
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError, LogLostError):
            await task


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 -- a test may poll
            await asyncio.sleep(0.02)


@pytest.mark.parametrize("most", [1, 100])
async def test_a_limit_of_messages_for_a_pull(instance: Instance, nats_version: str, most: int) -> None:
    async with limited(instance, nats_version, f"max_request_batch: {most}") as client:
        js = await made(client)
        await fill(js, 300)
        async with reading(client, await take_over(js, SHARD, 1)) as reader:
            await until(lambda: reader.sequence == 300)
            await fill(js, 300)
            await until(lambda: reader.sequence == 600)
            assert reader.problem == ""


async def test_a_step_takes_less_at_a_time(instance: Instance, nats_version: str) -> None:
    async with limited(instance, nats_version, "max_request_batch: 10") as client:
        js = await made(client)
        consumer = StartConsumer(client, "scan", None, 30)
        await consumer.open(None)
        await fill(js, 30)
        taken = 0
        async with asyncio.timeout(20):
            while taken < 30:
                taken += len(await consumer.fetch(64))
        await consumer.close()


async def test_limits_of_unacknowledged_messages(instance: Instance, nats_version: str) -> None:
    async with limited(instance, nats_version, "max_ack_pending: 25000") as client:
        js = await made(client)
        place = await take_over(js, SHARD, 1)
        assert (await js.consumer_info(STREAM, place.consumer)).config.max_ack_pending == 25_000


async def test_a_step_says_who_limits_it(
    instance: Instance, nats_version: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with limited(instance, nats_version, "max_ack_pending: 2") as client:
        await made(client)
        consumer = StartConsumer(client, "scan", None, 30)
        await consumer.open(None)
        await consumer.close()
        said = [record.message for record in caplog.records if record.levelname == "WARNING"]
        assert [each.startswith("NATS allows no more of the consumer") for each in said] == [True], said


async def test_limits_of_the_stream(
    instance: Instance, nats_version: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The lower one counts, and that our place may be removed is said."""
    async with limited(instance, nats_version, "max_ack_pending: 25000") as client:
        limits = {"max_ack_pending": 700, "inactive_threshold": 3_600_000_000_000}
        js = await made(client, consumer_limits=limits)
        await fill(js, 3)
        place = await take_over(js, SHARD, 1)
        assert (await js.consumer_info(STREAM, place.consumer)).config.max_ack_pending == 700
        assert (place.first, place.backlog) == (1, 3)
        assert any("delete the operator's consumer" in record.message for record in caplog.records)


async def test_no_place_left_is_said_in_the_servers_words(instance: Instance, nats_version: str) -> None:
    async with limited(instance, nats_version, "") as client:
        js = await made(client, max_consumers=1)
        await StartConsumer(client, "scan", None, 30).open(None)
        with pytest.raises(APIError, match="maximum consumers limit reached"):
            await take_over(js, SHARD, 1)
        with pytest.raises(APIError, match="maximum consumers limit reached"):
            await StartConsumer(client, "other", None, 30).open(None)


async def test_a_consumer_with_an_absurd_name_stops_nobody(instance: Instance, nats_version: str) -> None:
    async with limited(instance, nats_version, "") as client:
        js = await made(client)
        await fill(js, 3)
        for name in ("uploadpp-0of20000000-e1", "uploadpp-0-e99999999999999999999"):
            await js.add_consumer(STREAM, name=name, durable_name=name)
        place = await take_over(js, SHARD, 1)
        assert (place.consumer, place.first) == ("uploadpp-0-e1", 1)
        await js.add_consumer(
            STREAM, name=f"uploadpp-0-e{MAX_EPOCH}", durable_name=f"uploadpp-0-e{MAX_EPOCH}"
        )
        assert (await take_over(js, SHARD, 2)).consumer == "uploadpp-0-e2"
        assert len(await js.consumers_info(STREAM)) == 3


async def test_who_acknowledges_for_us_is_noticed(instance: Instance, nats_version: str) -> None:
    async with limited(instance, nats_version, "") as client:
        js = await made(client)
        await fill(js, 10)
        place = await take_over(js, SHARD, 1)
        async with reading(client, place) as reader:
            await until(lambda: reader.sequence == 10)
            await reader.acknowledge(4, 4)
            await client.flush()
            assert await reader.overtaken(await js.consumers_info(STREAM)) == ""
            await js.purge_stream(STREAM, seq=7)
            assert await reader.overtaken(await js.consumers_info(STREAM)) == "", "the administrator may"
            await client.publish(reply_at(reader._last_reply, 9, 9), b"+ACK")
            async with asyncio.timeout(10):  # the server takes it over in its own time
                while not (found := await reader.overtaken(await js.consumers_info(STREAM))):  # noqa: ASYNC110
                    await asyncio.sleep(0.02)
            assert f"messages 7 to 9 for the consumer {place.consumer}" in found


async def test_two_installations_on_one_stream(
    instance: Instance, nats_version: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The second waits, says for whom, and goes on where the first has stopped, once that is gone."""
    async with limited(instance, nats_version, "") as client:
        js = await made(client)
        await fill(js, 10)
        place = await take_over(js, SHARD, 1, StartFrom.ALL, owner="first in cluster a")
        assert client.connected_url is not None
        other = await connect(NatsOptions(servers=(client.connected_url.netloc,)))
        second = LegacyServiceWatch(
            other.jetstream(), Metrics(), owner="second in cluster b", idle_seconds=1.5
        )
        async with reading(client, place) as reader:
            waiting = asyncio.create_task(second.wait())
            await until(lambda: "first in cluster a" in second.problem)
            assert any("first in cluster a" in record.message for record in caplog.records)
            await until(lambda: reader.sequence == 10)
            await reader.acknowledge(6, 6)
            await client.flush()
            own = LegacyServiceWatch(js, Metrics(), owner="first in cluster a")
            await asyncio.wait_for(own.wait(), 30)
            assert own.problem == ""
            await asyncio.sleep(2)
            assert not waiting.done(), "longer than it would wait for one that is idle"
            assert [each.name for each in await js.consumers_info(STREAM)] == [place.consumer]
        await client.force_reconnect()  # its pulls end with its process
        await asyncio.wait_for(waiting, 40)
        await other.close()
        taken = await take_over(js, SHARD, 1, owner="second in cluster b")
        assert (taken.first, taken.backlog) == (7, 4)


async def test_the_first_is_told_of_a_second(instance: Instance, nats_version: str) -> None:
    async with limited(instance, nats_version, "") as client:
        js = await made(client)
        await take_over(js, SHARD, 1, owner="first")
        service = LegacyServiceWatch(js, Metrics(), look_seconds=0.05, owner="first")
        task = asyncio.create_task(service.run())
        place = await take_over(js, SHARD, 2, owner="second")
        async with reading(client, place):
            await until(lambda: "second" in service.problem)
        task.cancel()


async def test_consumers_from_before_owners_were_written_down_are_ours(
    instance: Instance, nats_version: str
) -> None:
    async with limited(instance, nats_version, "") as client:
        js = await made(client)
        async with reading(client, await take_over(js, SHARD, 1)):
            await asyncio.wait_for(LegacyServiceWatch(js, Metrics(), owner="me").wait(), 30)
