"""What an upload costs the API server when nothing else happens, by the server's own count."""

import asyncio
import re
import sys
from collections import Counter

from e2e.cluster.instance import Instance
from e2e.cluster.kubectl import Kubectl
from e2e.cluster.local import LocalCluster
from e2e.cluster.nats import NatsServer
from e2e.operator_process import Operator, OperatorOptions
from tests.driver import Driver, start_working, until_reasons

STEPS = ("policies", "virusscan")
UPLOADS = 5
SERIES = re.compile(r"^apiserver_request_total\{(.*)\} (\S+)$", re.MULTILINE)
WRITES = {"POST", "PUT", "PATCH", "APPLY", "DELETE", "DELETECOLLECTION"}


def writes(cluster: LocalCluster) -> Counter[str]:
    """Successful and failed writes so far, by verb, resource and subresource."""
    found: Counter[str] = Counter()
    for labels, value in SERIES.findall(cluster.metrics()):
        label = dict(re.findall(r'(\w+)="([^"]*)"', labels))
        # A review stores nothing.
        if label["verb"] in WRITES and label["resource"] != "selfsubjectaccessreviews":
            found["/".join(filter(None, (label["verb"], label["resource"], label["subresource"])))] += int(
                float(value)
            )
    return found


async def test_idle_cost_of_an_upload(
    cluster: LocalCluster, instance: Instance, nats: NatsServer, namespace: str, kubectl: Kubectl
) -> None:
    # A resource is removed once the Lease has noted that its messages are not read again: two renewals.
    settings = {"UPLOADPP_TTL_COMPLETED": "2s", "UPLOADPP_LEASE_DURATION": "5s"}
    operator = Operator(
        instance, OperatorOptions(cluster.kubeconfig, nats.address, namespace, STEPS, settings)
    )
    async with Driver(nats.url, pause=0.3) as driver:
        await start_working(operator)
        before = writes(cluster)
        seen = []
        for number in range(UPLOADS):
            await driver.upload(f"upload-{number}")
            await driver.until_released(f"upload-{number}")
            await asyncio.sleep(0.5)
            seen += (await asyncio.to_thread(kubectl.json, "get", "upp", "--show-managed-fields"))["items"]
        await until_reasons(kubectl, {})
    cost = writes(cluster) - before
    ours = {what: count for what, count in cost.items() if "uploadpostprocessings" in what}
    per_upload = sum(ours.values()) / UPLOADS
    sys.stdout.write(f"API writes per idle upload with {len(STEPS)} steps: {per_upload:g} ({ours})\n")
    assert per_upload <= len(STEPS) + 4
    assert set(cost) - set(ours) <= {"PUT/leases"}, "nothing but the lease is written besides"
    assert seen
    for item in seen:
        assert "annotations" not in item["metadata"]
        assert "finalizers" not in item["metadata"]
        assert "ownerReferences" not in item["metadata"]
        assert {each["manager"] for each in item["metadata"]["managedFields"]} == {"uploadpp"}
    assert kubectl.json("get", "events")["items"] == []
