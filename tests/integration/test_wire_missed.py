"""Messages that vanish under our position, a consumer that is paused, streams that take nothing of ours."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import pytest
from nats.aio.client import Client
from nats.errors import Error as NatsError
from nats.js import JetStreamContext
from nats.js.api import StreamConfig, StreamSource
from nats.js.errors import APIError

from e2e.cluster.instance import Instance
from e2e.cluster.nats import NatsServer
from e2e.cluster.natsversions import OLDEST
from uploadpp.core.sharding import Shard
from uploadpp.wire.connection import NatsOptions, connect
from uploadpp.wire.encode import Outgoing
from uploadpp.wire.errors import LogLostError
from uploadpp.wire.publisher import Publisher
from uploadpp.wire.pulls import Terms
from uploadpp.wire.reader import LogReader
from uploadpp.wire.reader_callbacks import ReaderCallbacks
from uploadpp.wire.stream import STREAM, ConsumerPosition, ensure_stream, take_over
from uploadpp.wire.stream_message import StreamMessage

pytestmark = pytest.mark.each_nats

SHARD = Shard(0)
QUICK = Terms(expires_seconds=1.2)
"""The server gives a sign three times in that time."""


@pytest.fixture
async def client(nats: NatsServer) -> AsyncIterator[Client]:
    made = await connect(NatsOptions(servers=(nats.url,)))
    yield made
    await made.close()


class Reading:
    """A reader, and what it has told."""

    def __init__(self, client: Client, place: ConsumerPosition) -> None:
        self.drained = asyncio.Event()
        self.missed: list[tuple[int, int]] = []
        callbacks = ReaderCallbacks(
            on_drained=self.drained.set,
            on_missed=lambda first, last: self.missed.append((first, last)),
        )
        self.reader = LogReader(client, place, self._take, callbacks)
        self.reader._terms = QUICK

    async def _take(self, raw: StreamMessage) -> None:
        del raw


@asynccontextmanager
async def reading(client: Client, place: ConsumerPosition) -> AsyncIterator[Reading]:
    made = Reading(client, place)
    task = asyncio.create_task(made.reader.run())
    try:
        yield made
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError, LogLostError):
            await task


async def until(check: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not check():  # noqa: ASYNC110 -- a test may poll
            await asyncio.sleep(0.02)


async def fill(js: JetStreamContext, count: int) -> None:
    for number in range(count):
        await js.publish(STREAM, str(number).encode())


async def purge(js: JetStreamContext) -> None:
    await js.purge_stream(STREAM)


async def age(js: JetStreamContext) -> None:
    await js.update_stream((await js.stream_info(STREAM)).config.evolve(max_age=0.2, duplicate_window=0.1))


@pytest.mark.parametrize("remove", [purge, age])
async def test_what_is_removed_before_it_is_read_is_not_waited_for(
    client: Client, remove: Callable[[JetStreamContext], Awaitable[None]]
) -> None:
    """A replay ends there, and what comes next says how many were missed."""
    js = client.jetstream()
    await ensure_stream(js)
    await fill(js, 10)
    place = await take_over(js, SHARD, 1)
    assert (place.backlog, place.missed) == (10, 0)
    await remove(js)
    async with asyncio.timeout(10):
        while (await js.stream_info(STREAM)).state.messages:  # noqa: ASYNC110 -- a test may poll
            await asyncio.sleep(0.05)
    async with reading(client, place) as found:
        await asyncio.wait_for(found.drained.wait(), 20)
        assert (found.reader.unread, found.reader.caught_up) == (0, True)
        config = (await js.stream_info(STREAM)).config
        await js.update_stream(config.evolve(max_age=3600))  # what comes now stays until it is read
        await fill(js, 1)
        await until(lambda: found.reader.sequence == 11)
        assert found.missed == [(1, 10)]


async def test_what_was_removed_while_nobody_read_is_counted_at_the_start(client: Client) -> None:
    js = client.jetstream()
    await js.add_stream(StreamConfig(name=STREAM, subjects=[STREAM], max_msgs=5))
    await fill(js, 3)
    first = await take_over(js, SHARD, 1)
    async with reading(client, first) as found:
        await until(lambda: found.reader.sequence == 3)
        await found.reader.acknowledge(3, 3)
        await client.flush()
    await fill(js, 17)
    place = await take_over(js, SHARD, 2)
    async with reading(client, place) as found:
        await until(lambda: found.reader.sequence == 20)
        missed = place.missed + sum(last - first + 1 for first, last in found.missed)
        assert missed == 12, "4 to 15"
    assert (await take_over(js, SHARD, 3)).backlog == 5


async def test_a_paused_consumer_is_named(client: Client, nats_version: str) -> None:
    if nats_version == OLDEST:
        pytest.skip("NATS 2.10 cannot pause a consumer")
    js = client.jetstream()
    await ensure_stream(js)
    place = await take_over(js, SHARD, 1)
    async with reading(client, place) as found:
        assert await found.reader.overtaken(await js.consumers_info(STREAM)) == ""
        until_then = {"pause_until": "2100-01-01T00:00:00Z"}
        subject = f"$JS.API.CONSUMER.PAUSE.{STREAM}.{place.consumer}"
        await client.request(subject, json.dumps(until_then).encode())
        words = await found.reader.overtaken(await js.consumers_info(STREAM))
        assert f"{place.consumer} is paused until 2100" in words
        assert "nats consumer resume" in words
        await client.request(subject, b"{}")
        assert await found.reader.overtaken(await js.consumers_info(STREAM)) == ""
        await fill(js, 3)
        await until(lambda: found.reader.sequence == 3)


EDITS: dict[str, dict[str, object]] = {
    "another subject": {"filter_subject": "other"},
    "headers only": {"headers_only": True},
    "one at a time": {"max_ack_pending": 1},
    "sent again soon": {"ack_wait": 1.0},
}


@pytest.mark.parametrize("edit", EDITS.values(), ids=EDITS)
async def test_an_edited_consumer_is_left_for_one_as_it_has_to_be(
    client: Client, edit: dict[str, object]
) -> None:
    """What came meanwhile is read by the next owner, from where this one had acknowledged."""
    js = client.jetstream()
    await js.add_stream(StreamConfig(name=STREAM, subjects=[STREAM, "other"]))
    await fill(js, 3)
    place = await take_over(js, SHARD, 1)
    async with reading(client, place) as found:
        await until(lambda: found.reader.sequence == 3)
        await found.reader.acknowledge(2, 2)
        await client.flush()
        config = (await js.consumer_info(STREAM, place.consumer)).config
        await js.add_consumer(STREAM, config.evolve(**edit))
        await fill(js, 3)
        await js.publish("other", b"x")
        assert await found.reader.overtaken(await js.consumers_info(STREAM)) == ""
        with pytest.raises(LogLostError, match=r"edited the consumer uploadpp-0-e1: "):
            found.reader._lost.result()
    after = await take_over(js, SHARD, 2)
    assert (after.first, after.backlog) == (3, 5)


async def test_a_body_that_was_left_out_is_not_passed_over(client: Client) -> None:
    """Nothing is acknowledged that was not read; a publisher's own header says nothing."""
    js = client.jetstream()
    await ensure_stream(js)
    place = await take_over(js, SHARD, 1)
    async with reading(client, place) as found:
        await js.publish(STREAM, b"", headers={"Nats-Msg-Size": "7"})
        await until(lambda: found.reader.sequence == 1)
        config = (await js.consumer_info(STREAM, place.consumer)).config
        await js.add_consumer(STREAM, config.evolve(headers_only=True))
        await fill(js, 3)
        await until(found.reader._lost.done)
        assert found.reader.sequence == 1


async def publish(client: Client, body: bytes) -> tuple[list[str], str]:
    """Why an event was refused for good, and what readiness says."""

    async def allowed() -> None:
        """It may."""

    publisher, refused = Publisher(client, allowed, lambda: True), list[str]()
    task = asyncio.create_task(publisher.run())
    publisher.publish(Outgoing("e1", body), lambda _: None, refused.append)
    await until(lambda: bool(refused or publisher.problem or not len(publisher)))
    task.cancel()
    return refused, publisher.problem


async def test_an_event_that_the_stream_never_takes_is_set_aside(client: Client) -> None:
    """It is not sent again without end; where there is no room it is."""
    js = client.jetstream()
    await js.add_stream(StreamConfig(name=STREAM, subjects=[STREAM], max_msg_size=100))
    refused, problem = await publish(client, b"x" * 200)
    assert ("max_msg_size" in refused[0], problem) == (True, "")
    assert await publish(client, b"x") == ([], "")


async def test_a_mirror_that_takes_nothing_is_named(client: Client) -> None:
    js = client.jetstream()
    await js.add_stream(StreamConfig(name="origin", subjects=["other"]))
    await js.add_stream(StreamConfig(name=STREAM, mirror=StreamSource(name="origin")))
    await ensure_stream(js)
    refused, problem = await publish(client, b"x")
    assert (refused, "no stream stores messages on the subject main-queue" in problem) == ([], True)


async def test_no_jetstream_is_said_in_words(client: Client) -> None:
    """Where nobody answers, as at a leaf node without JetStream, the library has no words."""
    nobody = client.jetstream(prefix="$JS.elsewhere.API")
    with pytest.raises(NatsError, match="JetStream is not available"):
        await ensure_stream(nobody)


LIMITED = """accounts {{
  A {{
    users = [{{user: a, password: a}}]
    jetstream = {{ {limits} }}
  }}
}}
"""


async def test_limits_of_the_account_are_said_in_the_servers_words(
    instance: Instance, nats_version: str
) -> None:
    nats = NatsServer(instance, version=nats_version, name="limited")
    nats.config = LIMITED.format(limits="max_streams: 1, max_ack_pending: 100, max_file: 200KB")
    nats.start()
    client = await connect(NatsOptions(servers=(nats.url.replace("//", "//a:a@"),)))
    try:
        js = client.jetstream()
        await js.add_stream(StreamConfig(name="other", subjects=[STREAM]))
        with pytest.raises(APIError, match=r"subjects overlap|maximum number of streams"):
            await ensure_stream(js)
        await js.delete_stream("other")
        await ensure_stream(js)
        assert (await take_over(js, SHARD, 1)).window == 100
        with suppress(APIError):
            for _ in range(300):
                await js.publish(STREAM, b"x" * 1000)
        refused, problem = await publish(client, b"x" * 1000)
        assert (refused, "resource" in problem or "storage" in problem) == ([], True)
    finally:
        await client.close()
