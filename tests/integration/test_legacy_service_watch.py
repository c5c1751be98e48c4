"""The legacy service is noticed whenever it comes, not only at our start."""

import asyncio
import logging
from dataclasses import replace

import nats as nats_client
import pytest
from nats.aio.client import Client
from nats.js import JetStreamContext
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy

from e2e.cluster.instance import Instance
from e2e.cluster.nats import NatsServer
from uploadpp.core.commands import Notice
from uploadpp.ownership.legacy_service import LegacyNews, LegacyServiceError, LegacyServiceWatch
from uploadpp.telemetry.metrics import Metrics
from uploadpp.wire import legacy_consumers
from uploadpp.wire.legacy_consumers import Policy, Readers, advance, find, is_behind, remove
from uploadpp.wire.stream import LEGACY_DURABLES, STREAM, ensure_stream

pytestmark = pytest.mark.each_nats


async def until(service: LegacyServiceWatch, *, problem: bool) -> None:
    async with asyncio.timeout(20):
        while bool(service.problem) is not problem:  # noqa: ASYNC110 -- a test may poll
            await asyncio.sleep(0.02)


async def test_it_comes_back_and_goes_again(nats: NatsServer, caplog: pytest.LogCaptureFixture) -> None:
    ours, theirs = [await nats_client.connect(nats.url, reconnect_time_wait=0.1) for _ in range(2)]
    metrics = Metrics()
    try:
        await ensure_stream(ours.jetstream(timeout=1))
        service = LegacyServiceWatch(ours.jetstream(timeout=1), metrics, look_seconds=0.05)
        await asyncio.wait_for(service.wait(), 10)
        running = asyncio.create_task(service.run())
        await theirs.jetstream().subscribe(STREAM, "postprocessing", durable="postprocessing")
        await until(service, problem=True)
        assert metrics.registry.get_sample_value("uploadpp_legacy_service_members") == 1
        async with asyncio.timeout(10):  # it is said a moment later
            while not any("EXCLUDE_RUN_SERVICES" in r.message for r in caplog.records):  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        assert all(r.levelno == logging.ERROR for r in caplog.records if "EXCLUDE_RUN" in r.message)
        nats.kill()
        while not any("cannot check" in record.message for record in caplog.records):  # noqa: ASYNC110
            await asyncio.sleep(0.02)
        nats.start()
        await until(service, problem=True)
        await theirs.close()
        await until(service, problem=False)
        assert metrics.registry.get_sample_value("uploadpp_legacy_service_members") == 0
        running.cancel()
    finally:
        for each in (ours, theirs):
            if not each.is_closed:
                await each.close()


async def test_it_ends_the_work_when_it_is_to_hold(nats: NatsServer) -> None:
    ours, theirs = [await nats_client.connect(nats.url) for _ in range(2)]
    news: list[Notice] = []
    try:
        await ensure_stream(ours.jetstream())
        told = LegacyNews(news.append)
        service = LegacyServiceWatch(
            ours.jetstream(), Metrics(), look_seconds=0.05, policy=Policy(), news=told
        )
        await asyncio.wait_for(service.wait(), 10)
        running = asyncio.create_task(service.run())
        await theirs.jetstream().subscribe(STREAM, "postprocessing", durable="postprocessing")
        with pytest.raises(LegacyServiceError, match="on hold: the legacy service is running") as found:
            await asyncio.wait_for(running, 10)
        assert found.value.members == ("postprocessing",)
        assert [notice.reason for notice in news] == ["LegacyServiceRuns"]
    finally:
        await theirs.close()
        await ours.close()


@pytest.mark.parametrize("durable", LEGACY_DURABLES)
async def test_its_settings_are_those_it_had(nats: NatsServer, durable: str) -> None:
    """An administrator may have changed them, and the service refuses a consumer of another kind."""
    client = await nats_client.connect(nats.url)
    js = client.jetstream()
    try:
        await ensure_stream(js)
        config = ConsumerConfig(
            durable_name=durable,
            deliver_policy=DeliverPolicy.NEW,
            ack_policy=AckPolicy.EXPLICIT,
            ack_wait=77.0,
            max_ack_pending=17,
            max_deliver=9,
            description="tuned",
            metadata={"team": "storage"},
        )
        if durable == "postprocessing":
            inbox = client.new_inbox()
            config = config.evolve(deliver_subject=inbox, deliver_group=durable, filter_subject=STREAM)
        made = (await js.add_consumer(STREAM, config)).config
        for _ in range(5):
            await js.publish(STREAM, b"an event")
        await until_counted(js, 5)
        assert [is_behind(each) for each in await find(js)] == [True]
        assert await advance(client, durable) == 5
        (anew,) = await find(js)
        assert not is_behind(anew)
        assert replace(anew.config, name=None, metadata=None) == replace(made, name=None, metadata=None)
        assert (anew.config.metadata or {}).get("team") == "storage"
        await js.publish(STREAM, b"another event")
        await until_counted(js, 1)
        assert await remove(client, durable)
        assert await find(js) == []
        assert await advance(client, durable) is None
        assert not await remove(client, durable)
    finally:
        await client.close()


async def until_counted(js: JetStreamContext, pending: int) -> None:
    """A server counts what a consumer has still to deliver after it has confirmed the message."""
    async with asyncio.timeout(10):
        while [each.num_pending for each in await find(js)] != [pending]:  # noqa: ASYNC110
            await asyncio.sleep(0.02)


async def until_read(client: Client) -> None:
    """The server notices in its own time that somebody reads."""
    async with asyncio.timeout(10):
        while not (await client.jetstream().consumer_info(STREAM, "postprocessing")).push_bound:  # noqa: ASYNC110
            await asyncio.sleep(0.02)


async def test_nothing_is_moved_under_somebody_who_reads(nats: NatsServer) -> None:
    ours, theirs = [await nats_client.connect(nats.url) for _ in range(2)]
    try:
        await ensure_stream(ours.jetstream())
        await theirs.jetstream().subscribe(STREAM, "postprocessing", durable="postprocessing")
        await until_read(ours)
        before = (await ours.jetstream().consumer_info(STREAM, "postprocessing")).created
        assert await advance(ours, "postprocessing") is None
        assert not await remove(ours, "postprocessing")
        assert (await ours.jetstream().consumer_info(STREAM, "postprocessing")).created == before
    finally:
        await theirs.close()
        await ours.close()


async def test_a_service_between_two_requests_is_not_overlooked(nats: NatsServer) -> None:
    """It has taken messages since the last look, though it waits for none at this moment."""
    client = await nats_client.connect(nats.url)
    js = client.jetstream()
    try:
        await ensure_stream(js)
        subscription = await js.pull_subscribe(STREAM, durable="postprocessing-pull", stream=STREAM)
        readers = Readers()
        assert readers.among(await find(js)) == []
        await js.publish(STREAM, b"an event")
        (message,) = await subscription.fetch(1)
        assert readers.among(await find(js)) == ["postprocessing-pull"]
        await message.ack_sync()
        assert readers.among(await find(js)) == ["postprocessing-pull"]
        assert readers.among(await find(js)) == []
        await js.publish(STREAM, b"another one")
        await advance(client, "postprocessing-pull")
        assert readers.among(await find(js)) == [], "our own move is not a reader"
    finally:
        await client.close()


WITHOUT_CREATE = """
authorization {
  users = [
    {user: all, password: all}
    {user: some, password: some, permissions: {
      publish: {deny: ["$JS.API.CONSUMER.CREATE.main-queue.postprocessing-pull"]}
    }}
  ]
}
"""


async def test_a_place_that_cannot_be_made_again_is_made_by_the_service(
    instance: Instance, nats_version: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Said in the log; the work goes on, and the service makes a consumer when it starts."""
    monkeypatch.setattr(legacy_consumers, "REQUEST_SECONDS", 0.5)
    server = NatsServer(instance, version=nats_version, name="narrow", config=WITHOUT_CREATE)
    server.start()
    theirs = await nats_client.connect(server.url, user="all", password="all")
    ours = await nats_client.connect(server.url, user="some", password="some", error_cb=_ignore)
    try:
        js = theirs.jetstream()
        await ensure_stream(js)
        await js.pull_subscribe(STREAM, durable="postprocessing-pull", stream=STREAM)
        await js.publish(STREAM, b"an old event")
        service = LegacyServiceWatch(
            ours.jetstream(), Metrics(), look_seconds=0.05, policy=Policy(), client=ours
        )
        await asyncio.wait_for(service.wait(), 10)
        service.go_on(Read())
        running = asyncio.create_task(service.run())
        async with asyncio.timeout(60):  # a busy server is asked again after ten seconds
            while "cannot move" not in caplog.text or await find(js):  # noqa: ASYNC110 -- a test may poll
                await asyncio.sleep(0.02)
        assert not running.done()
        running.cancel()
        new = ConsumerConfig(deliver_policy=DeliverPolicy.NEW, ack_policy=AckPolicy.EXPLICIT)
        again = await js.pull_subscribe(STREAM, "postprocessing-pull", stream=STREAM, config=new)
        await js.publish(STREAM, b"a new event")
        assert [message.data for message in await again.fetch(1)] == [b"a new event"]
    finally:
        await theirs.close()
        await ours.close()


class Read:
    """All is read, and in etcd."""

    acknowledged = sequence = 1


async def _ignore(error: Exception) -> None:
    del error
