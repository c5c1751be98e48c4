"""A stream with no place for one consumer more: the operator needs what it keeps, and no more."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import cast

import pytest
from nats.js import JetStreamContext
from nats.js.api import ConsumerConfig

from e2e.cluster.instance import Instance
from e2e.cluster.nats import NatsServer
from uploadpp.core.sharding import Shard
from uploadpp.ownership.position_note import PositionNote
from uploadpp.process.clock import wall_clock
from uploadpp.steps.consumer import StartConsumer
from uploadpp.wire.client import SafeClient
from uploadpp.wire.connection import NatsOptions, connect
from uploadpp.wire.creation import ConsumerLimitError
from uploadpp.wire.marks import Marks
from uploadpp.wire.noted_position import Notes
from uploadpp.wire.positions import acknowledged
from uploadpp.wire.stream import STREAM, ConsumerPosition, StartFrom, take_over

pytestmark = pytest.mark.each_nats

MARKS = Marks([b"key"])
ACCOUNT = "accounts { A { jetstream { max_consumers: 3 }, users: [ { user: me, password: x } ] } }"


class KilledError(Exception):
    """The process ended here."""


class Note:
    """What a Lease keeps; `dies` ends the process before or after it is written."""

    def __init__(self) -> None:
        self.kept = ""
        self.dies = ""

    async def keep(self, position: str) -> None:
        if self.dies == "before":
            raise KilledError
        self.kept = position
        if self.dies == "after":
            raise KilledError


@pytest.fixture
def note() -> Note:
    return Note()


def notes_of(note: Note) -> Notes:
    return Notes(note, MARKS, wall_clock)


@pytest.fixture(params=["stream", "account"])
async def full(
    request: pytest.FixtureRequest, instance: Instance, nats_version: str
) -> AsyncIterator[JetStreamContext]:
    """Ten messages, two consumers of others, and one place."""
    ours = request.param == "stream"
    server = NatsServer(instance, version=nats_version, name="full", config="" if ours else ACCOUNT)
    server.start()
    async with connected(server) as client:
        config: dict[str, object] = {
            "name": STREAM,
            "subjects": [STREAM],
            "storage": "file",
            "retention": "limits",
        }
        config |= {"max_consumers": 3} if ours else {}
        answer = await client.request(f"$JS.API.STREAM.CREATE.{STREAM}", json.dumps(config).encode())
        assert "error" not in json.loads(answer.data), answer.data
        js = client.jetstream()
        for step in ("virusscan", "policies"):
            await StartConsumer(client, step, None, 30).open(None)
        for number in range(10):
            await js.publish(STREAM, str(number).encode())
        yield js


@asynccontextmanager
async def connected(server: NatsServer) -> AsyncIterator[SafeClient]:
    client = await connect(NatsOptions(servers=(server.address,), user="me", password="x"))
    try:
        yield client
    finally:
        await client.close()


async def acknowledge(js: JetStreamContext, place: ConsumerPosition, sequence: int, note: Note) -> None:
    """As the owner of a place does, up to its next renewal of the Lease."""
    reader = await js.pull_subscribe_bind(place.consumer, stream=STREAM)
    for message in await reader.fetch(sequence - place.first + 1):
        if message.metadata.sequence.stream == sequence:
            await message.ack_sync()
    await reader.unsubscribe()
    stored = (await js.get_msg(STREAM, seq=sequence)).time
    assert stored is not None
    assert place.note is not None
    position = PositionNote(place.note, notes_of(note).text, wall_clock)
    position.read(sequence, round(stored.timestamp() * 1000))
    position.acknowledged(sequence)
    note.kept = position()


def noted(note: Note) -> tuple[int, bool]:
    """The first position to be read, and whether it is the note of an owner that reads."""
    body = json.loads(note.kept)
    return body["first"], "noted" in body


async def ours(js: JetStreamContext) -> list[str]:
    return [each.name for each in await js.consumers_info(STREAM) if "step" not in each.name]


async def test_each_owner_goes_on_where_the_last_one_was(full: JetStreamContext, note: Note) -> None:
    place = await take_over(full, Shard(), 1, notes=notes_of(note))
    assert (place.consumer, place.first, place.backlog, noted(note)) == ("uploadpp-0-e1", 1, 10, (1, True))
    await acknowledge(full, place, 4, note)
    for epoch, handed_over in ((2, False), (3, True)):
        place = await take_over(full, Shard(), epoch, handed_over=handed_over, notes=notes_of(note))
        assert (place.epoch, place.first, place.backlog, place.predecessors) == (epoch, 5, 6, ())
        assert await ours(full) == [place.consumer]
        assert noted(note) == (5, True)


@pytest.mark.parametrize("start_from", [StartFrom.ALL, StartFrom.NEW])
@pytest.mark.parametrize("death", ["before", "after", "place taken"])
async def test_killed_in_between(
    full: JetStreamContext, note: Note, death: str, start_from: StartFrom
) -> None:
    """No message is left out, and none that was acknowledged is read again."""
    first = await take_over(full, Shard(), 5, StartFrom.ALL, notes=notes_of(note))
    await acknowledge(full, first, 4, note)
    if death != "place taken":
        note.dies = death
        with pytest.raises(KilledError):
            await take_over(full, Shard(), 6, start_from, notes=notes_of(note))
        assert await ours(full) == [first.consumer]
        assert noted(note) == (5, death == "before")
    else:
        delete = full.delete_consumer

        async def taken(stream: str, consumer: str) -> bool:
            """A third step comes, just when ours was removed."""
            full.delete_consumer = delete  # type: ignore[method-assign]
            await delete(stream, consumer)
            await full.add_consumer(STREAM, ConsumerConfig(name="step", durable_name="step"))
            return True

        full.delete_consumer = taken  # type: ignore[method-assign]
        with pytest.raises(ConsumerLimitError, match=r"maximum consumers limit reached.*raise max_consumers"):
            await take_over(full, Shard(), 6, start_from, notes=notes_of(note))
        assert await ours(full) == []
        with pytest.raises(ConsumerLimitError):
            await take_over(full, Shard(), 7, start_from, notes=notes_of(note))
        await full.delete_consumer(STREAM, "step")
    note.dies = ""
    place = await take_over(full, Shard(), 1, start_from, notes=notes_of(note))
    assert (place.first, place.stream) == (5, first.stream)
    assert place.epoch > first.epoch, "a name may be that of somebody who was only paused"
    assert noted(note) == (5, True)


async def test_of_a_shorter_stream_what_was_stored_since_is_read(full: JetStreamContext, note: Note) -> None:
    place = await take_over(full, Shard(), 1, notes=notes_of(note))
    await acknowledge(full, place, 8, note)
    note.dies = "after"
    with pytest.raises(KilledError):
        await take_over(full, Shard(), 2, notes=notes_of(note))
    await full.delete_consumer(STREAM, place.consumer)
    body = json.loads(note.kept)
    del body["signature"]  # an earlier version does not sign
    note.kept, note.dies = json.dumps({**body, "first": 1000}), ""
    again = await take_over(full, Shard(), 3, notes=notes_of(note))
    assert again.stream == f"{place.stream}+1"
    assert again.first == 11
    await full.publish(STREAM, b"x")
    assert acknowledged(await full.consumer_info(STREAM, again.consumer)) == 10


@pytest.mark.parametrize("counts", [(1, 2), (2, 1), (3, 2), (3, 1)])
async def test_another_number_of_shards(
    instance: Instance, nats_version: str, note: Note, counts: tuple[int, int]
) -> None:
    """Where there are places for the larger number, and for the smaller one not even one."""
    server = NatsServer(instance, version=nats_version, name="shards")
    server.start()
    old, new = counts
    async with connected(server) as client:
        js = client.jetstream()
        config: dict[str, object] = {
            "name": STREAM,
            "subjects": [STREAM],
            "storage": "file",
            "retention": "limits",
        }
        config |= {"max_consumers": max(old, new) + (old > new > 1)}
        await client.request(f"$JS.API.STREAM.CREATE.{STREAM}", json.dumps(config).encode())
        for number in range(10):
            await js.publish(STREAM, str(number).encode())
        for index in range(old):
            place = await take_over(js, Shard(index, old), 1, notes=notes_of(note))
            await acknowledge(js, place, 4 + index, note)
        places = [await take_over(js, Shard(index, new), 2, notes=notes_of(note)) for index in range(new)]
        assert {place.first for place in places} == {5}
        assert sorted(await ours(js)) == sorted(place.consumer for place in places)


async def test_without_a_place_the_servers_words_and_the_remedy(full: JetStreamContext, note: Note) -> None:
    await full.add_consumer(STREAM, ConsumerConfig(name="third", durable_name="third"))
    for keeper in (notes_of(note), None):
        with pytest.raises(ConsumerLimitError) as found:
            await take_over(full, Shard(), 1, notes=keeper)
        assert "maximum consumers limit reached" in str(found.value)
        assert "no room for the consumer uploadpp-0-e0; raise max_consumers" in str(found.value)
    with pytest.raises(ConsumerLimitError, match="no room for the consumer uploadpp-step-other; raise"):
        await StartConsumer(cast("SafeClient", full._nc), "other", None, 30).open(None)
