"""Several replicas share the shards of one stream, and lose nothing when one of them dies."""

import asyncio
from collections.abc import Callable, Iterable
from urllib.error import HTTPError

import pytest

from e2e.cluster.http import get
from e2e.cluster.instance import Instance
from e2e.cluster.kubectl import Kubectl
from e2e.cluster.local import LocalCluster
from e2e.cluster.nats import NatsServer
from e2e.operator_process import Operator, OperatorOptions
from tests.driver import Driver, histories, reasons, samples
from uploadpp.core.sharding import Shard
from uploadpp.testing.events import STREAM

LEASE = {"UPLOADPP_LEASE_DURATION": "2s"}
SETTLES = 90

Start = Callable[[int, int], Operator]


@pytest.fixture
def replica(cluster: LocalCluster, instance: Instance, nats: NatsServer, namespace: str) -> Start:
    """Starts replica number `number` of an installation with so many shards."""

    def start(number: int, shards: int) -> Operator:
        environment = {**LEASE, "UPLOADPP_SHARDS": str(shards), "HOSTNAME": f"replica-{number}"}
        options = OperatorOptions(cluster.kubeconfig, nats.address, namespace, environment=environment)
        made = Operator(instance, options, name=f"replica-{number}")
        made.start()
        return made

    return start


def owned(operators: Iterable[Operator]) -> list[int]:
    """How many shards each replica works on, most first."""
    counts = [int(sum(samples(each.metrics(), "uploadpp_shard_owned").values())) for each in operators]
    return sorted(counts, reverse=True)


async def until_spread(operators: list[Operator], wanted: list[int]) -> None:
    async with asyncio.timeout(SETTLES):
        while (await asyncio.to_thread(owned, operators)) != wanted:  # noqa: ASYNC110 -- metrics are polled
            await asyncio.sleep(0.3)


async def until_completed(kubectl: Kubectl, ids: set[str]) -> None:
    async with asyncio.timeout(SETTLES):
        while True:
            found = reasons(await asyncio.to_thread(kubectl.json, "get", "upp"))
            if found == dict.fromkeys(ids, "Completed"):
                return
            await asyncio.sleep(0.5)


async def check_each_ran_once(driver: Driver, ids: Iterable[str]) -> None:
    told = await histories(driver.js)
    for each in ids:
        assert told[each].steps == ["policies", "virusscan"]
        assert told[each].finished == ("continue",)


async def test_three_replicas_rebalance_four_shards_after_each_loss(
    driver: Driver, replica: Start, kubectl: Kubectl
) -> None:
    first, second, third = [await asyncio.to_thread(replica, number, 4) for number in (1, 2, 3)]
    await until_spread([first, second, third], [2, 1, 1])
    ids = [f"upload-{number:03d}" for number in range(240)]
    uploading = asyncio.create_task(driver.upload(*ids, pause=0.02))
    await asyncio.sleep(1)
    first.kill()
    await until_spread([second, third], [2, 2])
    await asyncio.to_thread(second.stop)
    await until_spread([third], [4])
    fourth = await asyncio.to_thread(replica, 4, 4)
    await until_spread([third, fourth], [2, 2])
    await uploading
    await driver.until_released(*ids)
    await until_completed(kubectl, set(ids))
    await check_each_ran_once(driver, ids)


async def test_the_number_of_shards_can_change(driver: Driver, replica: Start, kubectl: Kubectl) -> None:
    ids = [f"upload-{number:02d}" for number in range(90)]
    batches = ids[:30], ids[30:60], ids[60:]
    for number, (shards, batch) in enumerate(zip((1, 3, 2), batches, strict=True)):
        await driver.upload(*batch)  # read by whoever comes next, or by both layouts in turn
        running = await asyncio.to_thread(replica, number, shards)
        await until_spread([running], [shards])
        await driver.until_released(*batch)
        await asyncio.to_thread(running.stop)
        names = [each.name for each in await driver.js.consumers_info(STREAM)]
        consumers = {name.rpartition("-e")[0] for name in names if name.startswith("uploadpp-")}
        assert consumers == {Shard(i, shards).consumer_prefix.removesuffix("-e") for i in range(shards)}
    await until_completed(kubectl, set(ids))
    await check_each_ran_once(driver, ids)


async def test_another_number_of_shards_waits_until_the_old_replicas_are_gone(
    driver: Driver, replica: Start
) -> None:
    old = await asyncio.to_thread(replica, 1, 2)
    await until_spread([old], [2])
    new = await asyncio.to_thread(replica, 2, 1)
    await asyncio.sleep(5)
    assert owned([old, new]) == [2, 0]
    await driver.upload("a", "b", "c", "d")
    await driver.until_released("a", "b", "c", "d")
    await asyncio.to_thread(old.stop)
    await until_spread([new], [1])
    await driver.upload("e")
    await driver.until_released("e")
    await check_each_ran_once(driver, "abcde")


async def test_an_orderly_end_hands_over_without_waiting_for_the_lease(
    cluster: LocalCluster, instance: Instance, nats: NatsServer, namespace: str, driver: Driver
) -> None:
    options = OperatorOptions(
        cluster.kubeconfig, nats.address, namespace, environment={"UPLOADPP_LEASE_DURATION": "300s"}
    )
    first, second = (Operator(instance, options, name=name) for name in ("first", "second"))
    await asyncio.to_thread(first.start)
    await until_spread([first], [1])
    await asyncio.to_thread(second.start)  # ready while it stands by, or a rollout would hang
    await asyncio.to_thread(first.stop)
    await until_spread([second], [1])
    await driver.upload("a")
    await driver.until_released("a")


async def test_a_restarted_container_does_not_wait_for_itself(
    cluster: LocalCluster, instance: Instance, nats: NatsServer, namespace: str, driver: Driver
) -> None:
    """Killed within its Pod it works again at once; one in another Pod waits for the end of the Lease."""

    def container(pod: str, name: str) -> Operator:
        settings = {"UPLOADPP_LEASE_DURATION": "300s", "UPLOADPP_POD_UID": pod}
        return Operator(
            instance,
            OperatorOptions(cluster.kubeconfig, nats.address, namespace, environment=settings),
            name=name,
        )

    first, again, other = (
        container(pod, name) for pod, name in (("pod-1", "first"), ("pod-1", "again"), ("pod-2", "other"))
    )
    await asyncio.to_thread(first.start)
    await until_spread([first], [1])
    driver.pause = 2  # its step is running when the operator is killed
    await driver.upload("a")
    await asyncio.sleep(1)
    await asyncio.to_thread(first.kill)
    await asyncio.to_thread(other.start)
    await asyncio.sleep(3)
    assert owned([other]) == [0]
    await asyncio.to_thread(again.start)
    async with asyncio.timeout(60):  # and not after the 300 seconds of the Lease
        await until_spread([again, other], [1, 0])
    assert samples(again.metrics(), "uploadpp_shard_epoch") == {'shard="0"': 2}
    await driver.upload("b")
    await driver.until_released("a", "b")
    await check_each_ran_once(driver, "ab")


def readiness(operator: Operator) -> str:
    """What /readyz says while it answers 503."""
    try:
        get(f"{operator.url}/readyz")
    except HTTPError as error:
        return error.read().decode()
    return ""


async def test_an_operator_of_the_namespace_that_works_with_another_nats_is_not_ready(
    cluster: LocalCluster, instance: Instance, nats: NatsServer, namespace: str
) -> None:
    other = NatsServer(instance, name="other-nats")
    await asyncio.to_thread(other.start)
    first, second = (
        Operator(instance, OperatorOptions(cluster.kubeconfig, server.address, namespace), name=name)
        for name, server in (("first", nats), ("second", other))
    )
    await asyncio.to_thread(first.start)
    await until_spread([first], [1])
    await asyncio.to_thread(second.start)
    async with asyncio.timeout(60):
        while "if it works with another NATS" not in await asyncio.to_thread(readiness, second):  # noqa: ASYNC110 -- polled
            await asyncio.sleep(0.5)
    assert await asyncio.to_thread(readiness, first) == ""
