"""Consumers of others on the stream, with settings that nobody has foreseen."""

import json
from typing import Any

import pytest
from nats.js.errors import APIError

from uploadpp.core.sharding import Shard
from uploadpp.steps.consumer import StartConsumer
from uploadpp.wire.client import SafeClient
from uploadpp.wire.legacy_consumers import find
from uploadpp.wire.stream import STREAM, StartFrom, list_consumers, reads_behind, take_over


async def make(client: SafeClient, name: str, **settings: object) -> None:
    """Make a consumer as somebody does whose library is another one."""
    config = {"durable_name": name, "ack_policy": "explicit", "deliver_policy": "all", **settings}
    request = json.dumps({"stream_name": STREAM, "config": config}).encode()
    answer = await client.request(f"$JS.API.CONSUMER.CREATE.{STREAM}.{name}", request)
    assert "error" not in json.loads(answer.data), answer.data


TIMES = [
    "2026-01-01T00:00:00.5-05:00",
    "2026-01-01T00:00:00-05:00",
    "0001-01-01T00:00:00+14:00",
    "0001-01-01T00:00:00.123456789+14:00",
    "9999-12-31T23:59:59-14:00",
    "9999-12-31T23:59:59.999999999Z",
]


async def test_s8_no_consumer_of_others_stops_anybody(client: SafeClient) -> None:
    """Its times are in its own zone, or beyond what UTC holds: one such stopped every replica and step."""
    js = client.jetstream()
    for number in range(3):
        await js.publish(STREAM, b"%d" % number)
    for number, at in enumerate(TIMES):
        start: dict[str, Any] = {"deliver_policy": "by_start_time", "opt_start_time": at}
        await make(client, f"other-{number}", **start)
        await make(client, f"paused-{number}", pause_until=at)
    hostile = {"deliver_policy": "by_start_time", "opt_start_time": TIMES[2]}
    for name in ("postprocessing", "postprocessing-pull", "uploadpp-step-virusscan"):
        await make(client, name, **hostile)
    assert len(await list_consumers(js)) == 2 * len(TIMES) + 3
    assert len(await find(js)) == 2
    assert (await reads_behind(js, StartFrom.AUTO))[0] == 0
    place = await take_over(js, Shard(), 1)
    assert (place.first, place.backlog) == (1, 3)
    starts = StartConsumer(client, "virusscan", None, 30)
    await starts.open(None)
    assert starts.bound
    await starts.close()


@pytest.mark.parametrize("said", ["main-queue@1+one", "main-queue@1+" + "9" * 5000, "x" * 4000, "\n\u202e"])
async def test_s8_what_a_consumer_says_of_the_stream_is_checked(client: SafeClient, said: str) -> None:
    """Called like ours, and behind the end of the stream: nobody could take over, or record anything."""
    js = client.jetstream()
    await js.publish(STREAM, b"1")
    metadata = {"uploadpp.io/incarnation": said, "uploadpp.io/signed-after": "9" * 20}
    behind: dict[str, Any] = {"deliver_policy": "by_start_sequence", "opt_start_seq": 10**9}
    await make(client, "uploadpp-0-e7", ack_policy="all", metadata=metadata, **behind)
    place = await take_over(js, Shard(), 1)
    assert place.epoch == 8
    assert place.stream.startswith(f"{STREAM}@2")
    assert len(place.stream) < 128


async def test_a_late_take_over_does_not_move_the_consumer_of_the_owner(client: SafeClient) -> None:
    """A replica that was paused makes a consumer whose name is taken by now; the simulation relies on it."""
    js = client.jetstream()
    for number in range(3):
        await js.publish(STREAM, b"%d" % number)
    place = await take_over(js, Shard(), 1)
    subscription = await js.pull_subscribe_bind(place.consumer, STREAM)
    await (await subscription.fetch(2))[-1].ack_sync()
    config = (await js.consumer_info(STREAM, place.consumer)).config
    found = await js.add_consumer(STREAM, config)
    assert found.ack_floor is not None
    assert found.ack_floor.stream_seq == 2
    with pytest.raises(APIError, match="start sequence can not be updated"):
        await js.add_consumer(STREAM, config.evolve(opt_start_seq=2))
