"""Three real NATS servers with a replicated stream: killed, restarted, cut off, frozen, with slow links."""

import asyncio
import itertools
from collections.abc import Callable, Iterator

import pytest

from e2e.cluster.instance import Instance
from e2e.cluster.kubectl import Kubectl
from e2e.cluster.local import LocalCluster
from e2e.cluster.natscluster import Member, NatsCluster
from e2e.operator_process import Operator, OperatorOptions
from tests.driver import Driver, bytes_received, start_working
from tests.natsinstallation import ENDED, Installation, make_stream
from uploadpp.testing.events import STREAM

OWNER = "uploadpp-0-e1"
LAG_SECONDS = 0.05
Start = Callable[[Driver, Member], "asyncio.Future[Installation]"]


@pytest.fixture(scope="module")
def running() -> Iterator[NatsCluster]:
    with NatsCluster() as made:
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
) -> Callable[[Driver, Member], Installation]:
    def made(driver: Driver, at: Member) -> Installation:
        """An operator that is told of one server; it hears of the others from that one."""
        operator = Operator(instance, OperatorOptions(cluster.kubeconfig, at.link.address, namespace))
        operator.start(90)
        return Installation(servers, driver, operator, kubectl, namespace)

    return made


Install = Callable[[Driver, Member], Installation]


@pytest.mark.parametrize("is_connected", [True, False])
async def test_the_leader_is_killed(servers: NatsCluster, install: Install, *, is_connected: bool) -> None:
    """An operator at another server works on. An id that was published is known to the next leader too."""
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
        assert is_connected or ENDED not in installation.log()


async def test_a_rolling_restart(servers: NatsCluster, install: Install) -> None:
    async with Driver(servers.urls) as driver:
        installation = install(driver, servers.members[0])
        async with installation:
            for member in servers.members:
                await asyncio.to_thread(member.restart)
                await installation.until_released(1)
        assert ENDED not in installation.log()


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
