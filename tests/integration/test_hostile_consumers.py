"""Consumers that strangers make on the stream: any client may that is permitted to (S6, S8)."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from typing import Any

import pytest
from nats.errors import Error as NatsError
from nats.js import JetStreamContext
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy

from uploadpp.core.sharding import Shard
from uploadpp.process.clock import wall_clock
from uploadpp.steps.consumer import StartConsumer
from uploadpp.wire import listing
from uploadpp.wire.client import SafeClient
from uploadpp.wire.consumers import MAX_EPOCH
from uploadpp.wire.errors import LogLostError
from uploadpp.wire.listing import MOST_ITEMS, MOST_UNKNOWN
from uploadpp.wire.marks import Marks
from uploadpp.wire.noted_position import Notes
from uploadpp.wire.reader import LogReader
from uploadpp.wire.stream import STREAM, ConsumerPosition, StartFrom, list_consumers, take_over
from uploadpp.wire.stream_message import StreamMessage

pytestmark = pytest.mark.each_nats
SHARD = Shard(0)


@asynccontextmanager
async def reading(
    client: SafeClient, go_on: asyncio.Event
) -> AsyncIterator[tuple[LogReader, list[StreamMessage]]]:
    """A reader that works on its first message until it is told to go on."""
    seen: list[StreamMessage] = []

    async def take(raw: StreamMessage) -> None:
        await go_on.wait()
        seen.append(raw)

    reader = LogReader(client, await take_over(client.jetstream(), SHARD, 1), take)
    task = asyncio.create_task(reader.run())
    try:
        yield reader, seen
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError, LogLostError):
            await task


@pytest.mark.parametrize("epoch", [MAX_EPOCH - 2, MAX_EPOCH - 1, MAX_EPOCH])
async def test_s8_a_consumer_of_the_highest_epoch_locks_nobody_out(client: SafeClient, epoch: int) -> None:
    js = client.jetstream()
    await js.publish(STREAM, b"{}")
    name = f"uploadpp-0-e{epoch}"
    await js.add_consumer(STREAM, ConsumerConfig(name=name, durable_name=name, ack_policy=AckPolicy.EXPLICIT))
    for lease in (1, 2, 3):
        place = await take_over(js, SHARD, lease)
        assert place.consumer != name
        assert place.first == 1


@pytest.mark.parametrize("epoch", [0, 1, 2, 500])
@pytest.mark.parametrize("settings", [{"ack_policy": AckPolicy.EXPLICIT}, {"deliver_subject": "elsewhere"}])
async def test_s8_a_consumer_called_like_ours_has_nothing_skipped(
    client: SafeClient, epoch: int, settings: dict[str, Any]
) -> None:
    """It stands at the end of the stream, and what nobody has read stands before it."""
    js = client.jetstream()
    for _ in range(5):
        await js.publish(STREAM, b"{}")
    place = await take_over(js, SHARD, 1) if epoch != 1 else None
    name = f"uploadpp-0-e{epoch}"
    await js.add_consumer(
        STREAM,
        ConsumerConfig(
            **{
                "name": name,
                "durable_name": name,
                "deliver_policy": DeliverPolicy.NEW,
                "ack_policy": AckPolicy.ALL,
            }
            | settings
        ),
    )
    again = await take_over(js, SHARD, 2)
    assert (again.first, again.backlog) == (1, 5)
    assert again.consumer != name or epoch == 2
    assert [each.name for each in await list_consumers(js)] == [again.consumer]
    assert place is None or place.consumer == "uploadpp-0-e1"


class Lease:
    """What the Lease of a shard keeps."""

    def __init__(self) -> None:
        self.kept = ""

    async def keep(self, position: str) -> None:
        self.kept = position


@pytest.mark.parametrize(
    "more",
    [{}, {"uploadpp.io/notes": "yes"}, {"uploadpp.io/incarnation": "main-queue@20990101T000000.000000+7"}],
    ids=["no notes", "notes", "another stream"],
)
async def test_s8_where_there_is_a_note_it_counts_whatever_a_consumer_says(
    client: SafeClient, more: dict[str, str]
) -> None:
    """Even one that looks like ours in everything."""
    js, notes = client.jetstream(), Notes(Lease(), Marks([b"key"]), wall_clock)
    place = await take_over(js, SHARD, 1, StartFrom.ALL, notes=notes)
    for _ in range(5):
        await js.publish(STREAM, b"{}")
    ours = (await js.consumer_info(STREAM, place.consumer)).config
    theirs = ours.evolve(
        name="uploadpp-0-e500",
        durable_name="uploadpp-0-e500",
        deliver_policy=DeliverPolicy.NEW,
        opt_start_seq=None,
        metadata={"uploadpp.io/incarnation": place.stream, **more},
    )
    await js.add_consumer(STREAM, theirs)
    again = await take_over(js, SHARD, 2, notes=notes)
    assert (again.first, again.backlog, again.stream) == (1, 5, place.stream)
    assert [each.name for each in await list_consumers(js)] == [again.consumer]


async def test_s8_what_another_consumer_delivers_to_our_inbox_is_not_the_log(client: SafeClient) -> None:
    """Its messages are those of the stream, in another order: what lies between would count as removed."""
    js, go_on = client.jetstream(), asyncio.Event()
    async with reading(client, go_on) as (reader, seen):
        for number in range(1500):  # more than is asked for at a time
            await client.publish(STREAM, b"%d" % number)
        await client.flush()
        while (await js.consumer_info(STREAM, reader._consumer)).num_pending == 1500:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        config = ConsumerConfig(
            name="stranger",
            durable_name="stranger",
            deliver_subject=reader._inbox,
            deliver_policy=DeliverPolicy.NEW,
            ack_policy=AckPolicy.EXPLICIT,
        )
        await js.add_consumer(STREAM, config)
        await js.publish(STREAM, b"last")
        await asyncio.sleep(0.1)
        go_on.set()
        async with asyncio.timeout(20):
            while not seen or seen[-1].data != b"last":  # noqa: ASYNC110 -- a test may poll
                await asyncio.sleep(0.02)
        assert [raw.sequence for raw in seen] == list(range(1, 1502))


async def test_s8_who_pulls_from_our_consumer_is_suspected(client: SafeClient) -> None:
    """The messages that it takes are missing in the log; the next owner has all of them."""
    js = client.jetstream()
    await js.publish(STREAM, b"1")

    async def take(raw: StreamMessage) -> None:
        del raw

    place = await take_over(js, SHARD, 1)
    thief = await client.subscribe(inbox := client.new_inbox())
    request = json.dumps({"batch": 1, "expires": 6 * 10**10}).encode()
    await client.publish(f"$JS.API.CONSUMER.MSG.NEXT.{STREAM}.{place.consumer}", request, reply=inbox)
    assert (await thief.next_msg(60)).data == b"1"
    await js.publish(STREAM, b"2")
    async with asyncio.timeout(20):
        with pytest.raises(LogLostError, match=f"another client pulls from the consumer {place.consumer}"):
            await LogReader(client, place, take).run()
    again = await take_over(js, SHARD, 2)
    assert (again.first, again.backlog) == (1, 2)


async def test_s8_a_step_takes_no_start_from_another_consumer(client: SafeClient) -> None:
    """It would do the work of weeks again."""
    js = client.jetstream()
    for _ in range(5):
        await js.publish(STREAM, b"{}")
    step = StartConsumer(client, "scan", timedelta(0), 30)
    await step.open(None)
    config = ConsumerConfig(
        durable_name="stranger",
        deliver_subject=step._subscription._deliver,  # type: ignore[union-attr]
        ack_policy=AckPolicy.NONE,
    )
    await js.add_consumer(STREAM, config)
    assert await step.fetch(64) == []
    last = (await js.publish(STREAM, b"{}")).seq
    found = [message for _ in range(3) for message in await step.fetch(64)]
    assert [message.metadata.sequence.stream for message in found] == [last]
    await step.close()


async def make_large(client: SafeClient, count: int, prefix: str = "x") -> None:
    """Consumers with a megabyte of settings each."""
    for begin in range(0, count, 8):
        numbers = range(begin, min(begin + 8, count))
        await asyncio.gather(*(_make_large(client, f"{prefix}{number}") for number in numbers))


async def _make_large(client: SafeClient, name: str) -> None:
    waits = [10**9 + 7] * 80_000
    config = {"durable_name": name, "ack_policy": "explicit", "max_deliver": 10**6, "backoff": waits}
    body = json.dumps({"stream_name": STREAM, "config": config | {"ack_wait": waits[0]}}).encode()
    answer = await client.request(f"$JS.API.CONSUMER.CREATE.{STREAM}.{name}", body, timeout=30)
    assert "error" not in json.loads(answer.data), answer.data[:500]


async def taken_over(js: JetStreamContext) -> ConsumerPosition | None:
    """A take-over; None if it was not answered. An ownership tries it again then."""
    with suppress(TimeoutError):
        return await take_over(js, SHARD, 1)
    return None


async def test_s6_consumers_whose_list_no_connection_survives_cut_nobody_off(client: SafeClient) -> None:
    """The server ends a connection for which 64 MiB wait, and so it was at each look."""
    js = client.jetstream()
    await js.publish(STREAM, b"{}")
    await make_large(client, 70)
    await make_large(client, 10, "uploadpp-0-e9")
    with suppress(NatsError, TimeoutError):  # as at a start, which is tried again
        await list_consumers(js)
    async with asyncio.timeout(60):
        while not client.is_connected:  # noqa: ASYNC110 -- a test may poll
            await asyncio.sleep(0.1)
        while (place := await taken_over(js)) is None:
            pass  # the server is still at work on that list, and answers in more than 5 s
        assert (place.first, place.backlog) == (1, 1)
        found = await list_consumers(client.jetstream())
    assert place.consumer in {each.name for each in found}
    assert len(found) == 1 + MOST_UNKNOWN
    assert not any(each.name.startswith("uploadpp-0-e9") for each in found)
    reconnects = client.stats["reconnects"]
    await list_consumers(client.jetstream())
    assert client.stats["reconnects"] == reconnects, "names are listed from now on"


async def test_s6_large_consumers_do_not_stay_in_memory(client: SafeClient) -> None:
    await make_large(client, 3)
    for each in await list_consumers(client.jetstream()):
        assert len(each.config.backoff or ()) <= MOST_ITEMS


async def test_where_names_are_listed_all_that_matter_are_found(
    client: SafeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listing, "LARGE_BYTES", 100_000)
    monkeypatch.setattr(listing, "MOST_UNKNOWN", 2)
    js = client.jetstream()
    names = ["antivirus", "postprocessing-pull", "uploadpp-step-x", "uploadpp-0-e1", "a", "b", "c"]
    for name in names:
        await js.add_consumer(STREAM, ConsumerConfig(durable_name=name, ack_policy=AckPolicy.ALL))
    await make_large(client, 1, "z")
    for _ in range(2):
        found = {each.name for each in await list_consumers(client.jetstream())}
        assert found >= set(names[:4])
        assert len(found) == 6
