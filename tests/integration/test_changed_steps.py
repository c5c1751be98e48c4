"""A rollout that changes the steps, while uploads are under way that no resource tells of."""

import asyncio

import pytest

from e2e.cluster.instance import Instance
from e2e.cluster.kubectl import Kubectl
from e2e.cluster.local import LocalCluster
from e2e.cluster.nats import NatsServer
from e2e.operator_process import Operator, OperatorOptions
from tests.driver import Driver, histories, start_working, until_reasons

BEFORE = ("policies", "virusscan")
SETTINGS = {"UPLOADPP_LEASE_DURATION": "1s"}
UPLOADS = [f"upload-{number}" for number in range(40)]


@pytest.mark.parametrize(
    "after",
    [("virusscan", "policies"), ("index", "virusscan", "policies"), ()],
    ids=["reordered", "one more", "none left"],
)
async def test_uploads_that_nobody_has_recorded_keep_their_steps(
    cluster: LocalCluster,
    instance: Instance,
    nats: NatsServer,
    namespace: str,
    kubectl: Kubectl,
    after: tuple[str, ...],
) -> None:
    """Their first steps have begun; then the operator is killed, and the next one has another list."""

    def operator(name: str, steps: tuple[str, ...]) -> Operator:
        return Operator(
            instance, OperatorOptions(cluster.kubeconfig, nats.address, namespace, steps, SETTINGS), name=name
        )

    first = operator("before", BEFORE)
    async with Driver(nats.url, silent=True) as nobody:
        await start_working(first)
        cluster.apiserver.pause()
        try:
            await nobody.upload(*UPLOADS)
            async with asyncio.timeout(30):
                while len(await histories(nobody.js)) < len(UPLOADS):  # noqa: ASYNC110 -- a test may poll
                    await asyncio.sleep(0.1)
            await asyncio.to_thread(first.kill)
        finally:
            cluster.apiserver.resume()
    async with Driver(nats.url) as driver:
        await start_working(operator("after", after))
        await driver.until_released(*UPLOADS)
        await until_reasons(kubectl, dict.fromkeys(UPLOADS, "Completed"))
        found = await histories(driver.js)
    assert {upload: (each.steps, each.finished) for upload, each in found.items()} == dict.fromkeys(
        UPLOADS, ([*BEFORE], ("continue",))
    )
    statuses = [item["status"]["steps"] for item in kubectl.json("get", "upp")["items"]]
    assert {tuple((step["name"], step["state"]) for step in steps) for steps in statuses} == {
        tuple((step, "Succeeded") for step in BEFORE)
    }
