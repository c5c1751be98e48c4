"""Very many resources of uploads that are over: a start does not wait until they are read."""

import asyncio
import json

from nats.js import JetStreamContext

from e2e.cluster.instance import Instance
from e2e.cluster.kubectl import Kubectl
from e2e.cluster.local import LocalCluster
from e2e.cluster.nats import NatsServer
from e2e.operator_process import Operator, OperatorOptions
from tests.driver import Driver, bytes_received, histories, log_lines, samples, start_working, until
from uploadpp.resources.relist import SOON_READ
from uploadpp.testing.events import STREAM
from uploadpp.wire.consumers import parse_name

SETTINGS = {"UPLOADPP_LEASE_DURATION": "1s"}
KEPT = SOON_READ + 50


async def until_completed(operator: Operator, count: int, js: JetStreamContext) -> None:
    """Wait until so many are completed, all of that is stored, and the stream knows that it is."""
    async with asyncio.timeout(120):
        while True:
            metrics = await asyncio.to_thread(operator.metrics)
            completed = samples(metrics, "uploadpp_uploads").get('stage="Completed",step=""', 0)
            readers = [each for each in await js.consumers_info(STREAM) if parse_name(each.name) is not None]
            waiting = sum((each.num_ack_pending or 0) for each in readers)
            if (completed, waiting) == (count, 0):
                return
            await asyncio.sleep(0.2)


async def until_noted(kubectl: Kubectl, js: JetStreamContext) -> None:
    """Wait until the Lease says that all of the log is in etcd: nothing of it is replayed then."""
    last = (await js.stream_info(STREAM)).state.last_seq

    async def noted() -> bool:
        (lease,) = (await asyncio.to_thread(kubectl.json, "get", "leases"))["items"]
        return bool(json.loads(lease["metadata"]["annotations"]["uploadpp.io/position"])["first"] > last)

    await until(noted, 60)


async def test_a_start_reads_only_what_is_not_over(
    cluster: LocalCluster, instance: Instance, nats: NatsServer, namespace: str
) -> None:
    options = OperatorOptions(cluster.kubeconfig, nats.address, namespace, ("virusscan",), SETTINGS)
    operator = Operator(instance, options)
    uploads = [f"kept-{number}" for number in range(KEPT)]
    async with Driver(nats.url) as driver:
        await start_working(operator)
        await asyncio.gather(
            *(driver.js.publish(STREAM, bytes_received(each), timeout=30) for each in uploads)
        )
        await until_completed(operator, KEPT, driver.js)
        await until_noted(Kubectl(cluster.kubeconfig, namespace), driver.js)
        await asyncio.to_thread(operator.kill)
        await driver.upload("kept-7", "new")  # the one again, to be replayed, and one that nobody knows
        await start_working(operator)
        await driver.until_released("new")
        await driver.upload("kept-8")
        await until_completed(operator, KEPT + 1, driver.js)
        found = await histories(driver.js)
    assert {tuple(each.steps) for each in found.values()} == {("virusscan",)}
    assert {each.finished for each in found.values()} == {("continue",)}
    replays = [line for line in log_lines(operator.log.read_text()) if line["message"] == "replaying the log"]
    assert [line["resources"] for line in replays] == [0, 0]
