"""Somebody who may write Leases and make consumers plays a replica with another number of shards (S8)."""

import asyncio
import json
from datetime import UTC, datetime

from nats.js.api import AckPolicy, ConsumerConfig

from e2e.cluster.http import get
from e2e.cluster.instance import Instance
from e2e.cluster.kubectl import Kubectl
from e2e.cluster.local import LocalCluster
from e2e.cluster.nats import NatsServer
from e2e.operator_process import Operator, OperatorOptions
from tests.driver import Driver, log_lines, start_working, until
from uploadpp.testing.events import STREAM

NAME = "uploadpp-shard-5"
LEASE = {
    "apiVersion": "coordination.k8s.io/v1",
    "kind": "Lease",
    "metadata": {"name": NAME, "annotations": {"uploadpp.io/shards": "64"}},
    "spec": {"holderIdentity": "nobody_x", "leaseDurationSeconds": 15},
}


async def renew(kubectl: Kubectl) -> None:
    while True:
        now = datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
        patch = json.dumps({"spec": {"renewTime": now}})
        await asyncio.to_thread(kubectl, "patch", "lease", NAME, "--type=merge", "-p", patch)
        await asyncio.sleep(0.5)


async def test_s8_a_replica_with_other_shards_of_which_nothing_is_heard_is_named(
    cluster: LocalCluster, instance: Instance, nats: NatsServer, namespace: str, kubectl: Kubectl
) -> None:
    """Nobody works, so it is not ready; when the stranger stops, all goes on."""
    environment = {"UPLOADPP_LEASE_DURATION": "5s"}
    options = OperatorOptions(cluster.kubeconfig, nats.address, namespace, environment=environment)
    operator = Operator(instance, options)

    def problem() -> str:
        try:
            return get(f"{operator.url}/readyz")
        except OSError as error:
            body = getattr(error, "read", bytes)()
            return body.decode() if isinstance(body, bytes) else ""

    async def is_named() -> bool:
        found = await asyncio.to_thread(problem)
        return "another number of shards to stop: nobody_x" in found and f"renews the Lease {NAME}" in found

    async def is_logged() -> bool:
        said = [line["message"] for line in log_lines(operator.log.read_text())]
        return any("different number of shards" in each for each in said)

    async with Driver(nats.url) as driver:
        config = ConsumerConfig(durable_name="uploadpp-0of64-e1", ack_policy=AckPolicy.ALL)
        await driver.js.add_consumer(STREAM, config)
        await asyncio.to_thread(kubectl, "create", "-f", "-", stdin=json.dumps(LEASE))
        renewing = asyncio.create_task(renew(kubectl))
        await asyncio.to_thread(operator.start)
        await until(is_named, 60)
        await until(is_logged)  # at the next look
        renewing.cancel()
        await start_working(operator)
        await driver.upload("u1")
        await driver.until_released("u1")
    await asyncio.to_thread(operator.stop)
