"""Three real NATS servers with a replicated stream: killed, restarted, cut off, frozen, with slow links."""

import asyncio
import itertools
import os
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest
from nats.errors import Error as NatsError
from nats.js.api import AckPolicy, ConsumerConfig
from nats.js.errors import APIError

from e2e.cluster.instance import Instance
from e2e.cluster.kubectl import Kubectl
from e2e.cluster.local import LocalCluster
from e2e.cluster.natscluster import Member, NatsCluster
from e2e.operator_process import Operator, OperatorOptions
from tests.driver import (
    Driver,
    bytes_received,
    histories,
    samples,
    start_working,
    until,
    until_reasons,
)
from tests.natsinstallation import Installation, make_stream
from uploadpp.core.sharding import Shard
from uploadpp.testing.events import STREAM
from uploadpp.wire.connection import NatsOptions, connect
from uploadpp.wire.listing import consumers_of
from uploadpp.wire.stream import take_over

pytestmark = pytest.mark.skipif(
    not os.environ.get("UPLOADPP_TEST_NATS_CLUSTER"),
    reason="`make nats-cluster` runs it alone",
)

OWNER = "uploadpp-0-e1"
START_SECONDS = 120
LAG_SECONDS = 0.05
ROOM = 8 << 20
"""Bytes that the streams of a server may take."""
PIECE = b"x" * (1 << 18)
RETRIED = {"UPLOADPP_STEP_SETTINGS": '{"policies":{"timeoutSeconds":4},"virusscan":{"timeoutSeconds":4}}'}
Start = Callable[[Driver, Member], "asyncio.Future[Installation]"]


@pytest.fixture(scope="module")
def running() -> Iterator[NatsCluster]:
    with NatsCluster(config=f"jetstream {{ max_file_store: {ROOM} }}") as made:
        yield made


@pytest.fixture
async def servers(running: NatsCluster) -> NatsCluster:
    """All of them work, and nothing is in the stream."""
    for member in running.members:
        member.link.mend()
        member.link.lag_seconds = 0
        running.rejoin(member)
    await asyncio.to_thread(running.start)
    await make_stream(running.urls)
    return running


@pytest.fixture
def install(
    servers: NatsCluster, cluster: LocalCluster, instance: Instance, namespace: str, kubectl: Kubectl
) -> "Install":
    def made(driver: Driver, at: Member, **settings: str) -> Installation:
        """An operator that is told of one server; it hears of the others from that one."""
        options = OperatorOptions(cluster.kubeconfig, at.link.address, namespace, environment=settings)
        operator = Operator(instance, options)
        operator.start(START_SECONDS)
        return Installation(servers, driver, operator, kubectl, namespace)

    return made


Install = Callable[..., Installation]


@pytest.mark.parametrize("is_connected", [True, False])
async def test_the_leader_is_killed(servers: NatsCluster, install: Install, *, is_connected: bool) -> None:
    """An id that was published is known to the next leader too."""
    leader = await asyncio.to_thread(servers.leader_of, STREAM)
    others = servers.others(leader)
    async with Driver([each.url for each in others]) as driver:
        installation = install(driver, leader if is_connected else others[0])
        await start_working(installation.operator)
        consumer = await driver.js.consumer_info(STREAM, OWNER)
        assert consumer.config.num_replicas == 0, "as many as the stream has"
        assert consumer.cluster is not None
        assert len(consumer.cluster.replicas or ()) == 2
        once = {"Nats-Msg-Id": "once"}
        async with installation:
            first = await driver.js.publish(STREAM, bytes_received("once"), headers=once)
            await asyncio.to_thread(leader.kill)
            await installation.until_released(3)
            again = await driver.js.publish(STREAM, bytes_received("once"), headers=once)
            assert (again.seq, again.duplicate) == (first.seq, True)
            installation.uploads.append("once")


async def test_a_rolling_restart(servers: NatsCluster, install: Install) -> None:
    async with Driver(servers.urls) as driver, install(driver, servers.members[0]) as installation:
        for member in servers.members:
            await asyncio.to_thread(member.restart)
            await installation.until_released(1)


@pytest.mark.parametrize("how", ["cut off", "frozen", "a dead link"])
async def test_a_server_that_is_of_no_use_is_left(servers: NatsCluster, install: Install, how: str) -> None:
    """Uploads continue at the others while it is so, and /readyz says what is wrong until then."""
    leader = await asyncio.to_thread(servers.leader_of, STREAM)
    at = servers.others(leader)[0]
    async with (
        Driver([each.url for each in servers.others(at)]) as driver,
        install(driver, at) as installation,
    ):
        match how:
            case "cut off":
                await asyncio.to_thread(servers.isolate, at)
            case "frozen":
                at.pause()
            case _:
                at.link.hold()
        try:
            await installation.until_said(f"JetStream has not answered through {at.link.address}")
            await installation.until_released(2)
        finally:
            match how:
                case "cut off":
                    await asyncio.to_thread(servers.rejoin, at)
                case "frozen":
                    at.resume()
                case _:
                    at.link.mend()


async def test_slow_and_flapping_links(servers: NatsCluster, install: Install) -> None:
    async with Driver(servers.urls) as driver, install(driver, servers.members[0]):
        for member in servers.members:
            member.link.lag_seconds = LAG_SECONDS
        for member in itertools.islice(itertools.cycle(servers.members), 9):
            member.link.cut()
            await asyncio.sleep(0.5)
            member.link.mend()


async def test_a_connection_that_takes_nothing_more_is_left(servers: NatsCluster) -> None:
    """The library would wait until all is sent: forever, if the other side hangs."""
    at = servers.members[0]
    client = await connect(NatsOptions(servers=(at.link.address,)))
    try:
        at.link.hold()
        for _ in range(40):
            await client.publish("elsewhere", PIECE)
        await client.force_reconnect()
        await until(lambda: _is(client.is_connected))
        await client.flush()
        assert client.stats["reconnects"] == 1
    finally:
        at.link.mend()
        await client.close()


async def test_the_stream_gets_replicas_while_uploads_run(servers: NatsCluster, install: Install) -> None:
    await make_stream(servers.urls, replicas=1)
    async with Driver(servers.urls) as driver, install(driver, servers.members[0]) as installation:
        config = (await driver.js.stream_info(STREAM)).config
        await driver.js.update_stream(config.evolve(num_replicas=3))
        await installation.until_released(2)

        async def is_replicated() -> bool:
            cluster = (await driver.js.consumer_info(STREAM, OWNER)).cluster
            return cluster is not None and len(cluster.replicas or ()) == 2

        await until(is_replicated)


async def test_the_servers_have_no_room(servers: NatsCluster, install: Install) -> None:
    """What they do not take is sent again when there is room."""
    async with Driver(servers.urls) as driver, install(driver, servers.members[0]) as installation:
        await driver.js.add_stream(name="other", subjects=["other"], num_replicas=3)
        installation.operator.pause()
        await driver.upload("waits-1", "waits-2")
        try:
            await fill(driver)
        finally:
            installation.operator.resume()
        await installation.until_said("cannot publish: the stream rejected an event: insufficient")
        await driver.js.delete_stream("other")
        installation.uploads += ["waits-1", "waits-2"]


async def fill(driver: Driver) -> None:
    """Store until the servers take no more."""
    with suppress(APIError):
        while True:
            await driver.js.publish("other", PIECE)


async def test_a_purge_and_an_age_limit(servers: NatsCluster, install: Install, kubectl: Kubectl) -> None:
    """A step whose start is gone is started again after its time; what is read in time is not missed."""
    async with Driver(servers.urls) as driver:
        operator = install(driver, servers.members[0], **RETRIED).operator
        uploads = ["purged-1", "purged-2"]
        driver.silent = True
        await driver.upload(*uploads)

        async def are_started() -> bool:
            found = await histories(driver.js)
            return all(upload in found for upload in uploads)

        await until(are_started)
        await driver.js.purge_stream(STREAM)
        driver.silent = False
        config = (await driver.js.stream_info(STREAM)).config
        await driver.js.update_stream(config.evolve(max_age=2, duplicate_window=2))
        uploads += ["aged-1", "aged-2", "aged-3"]
        await driver.upload(*uploads[2:], pause=1)
        await driver.until_released(*uploads)
        await until_reasons(kubectl, dict.fromkeys(uploads, "Completed"))
        assert not any(samples(operator.metrics(), "uploadpp_messages_missed_total").values())


async def test_a_consumer_whose_server_is_down(servers: NatsCluster) -> None:
    """One of somebody else's is left out of the list, and a shard can be taken over. Ours never is."""
    client = await connect(NatsOptions(servers=tuple(servers.urls)))
    try:
        js = client.jetstream()
        before = await take_over(js, Shard(), 1)
        made = await js.add_consumer(
            STREAM, ConsumerConfig(durable_name="aaa", num_replicas=1, ack_policy=AckPolicy.EXPLICIT)
        )
        assert made.cluster is not None
        server = next(each for each in servers.members if each.name == made.cluster.leader)
        await asyncio.to_thread(server.kill)
        lists: list[set[str]] = []

        async def is_listed() -> bool:
            with suppress(NatsError, TimeoutError):
                lists.append({each.name for each in await consumers_of(js, STREAM)})
            return bool(lists)

        await until(is_listed)
        assert lists == [{before.consumer}]

        async def is_taken() -> bool:
            with suppress(NatsError, TimeoutError):
                after = await take_over(js, Shard(), before.epoch)
                assert (after.stream, after.first) == (before.stream, before.first)
                return True
            return False

        await until(is_taken)
    finally:
        await client.close()


async def _is(value: bool) -> bool:  # noqa: FBT001 -- a condition of `until`
    return value
