"""The label that says to which shard a resource belongs is changed by somebody: with several shards."""

import asyncio

from e2e.cluster.instance import Instance
from e2e.cluster.kubectl import Kubectl
from e2e.cluster.local import LocalCluster
from e2e.cluster.nats import NatsServer
from e2e.operator_process import Operator, OperatorOptions
from tests.driver import Driver, histories, until, until_reasons
from uploadpp.core.sharding import BUCKET_LABEL, bucket_label, bucket_of

UPLOADS = [f"u{number}" for number in range(6)]
SHARDS = 2


def relabel(kubectl: Kubectl) -> None:
    """Each belongs to the other shard by its label."""
    for each in UPLOADS:
        wrong = f"{(bucket_of(each) + 1) % 64:02d}"
        kubectl("label", "upp", each, f"{BUCKET_LABEL}={wrong}", "--overwrite")


async def labels(kubectl: Kubectl) -> dict[str, str]:
    found = await asyncio.to_thread(kubectl.json, "get", "upp")
    return {each["metadata"]["name"]: each["metadata"]["labels"][BUCKET_LABEL] for each in found["items"]}


async def test_a_changed_label_loses_no_upload(
    cluster: LocalCluster,
    instance: Instance,
    nats: NatsServer,
    namespace: str,
    driver: Driver,
    kubectl: Kubectl,
) -> None:
    """The watch of its owner says that the resource is deleted; the other owner is told of it."""
    settings = {"UPLOADPP_SHARDS": str(SHARDS)}
    operator = Operator(
        instance, OperatorOptions(cluster.kubeconfig, nats.address, namespace, environment=settings)
    )
    await asyncio.to_thread(operator.start)
    driver.silent = True
    await driver.upload(*UPLOADS)
    await until_reasons(kubectl, dict.fromkeys(UPLOADS, "Running"))
    right = {each: bucket_label(each) for each in UPLOADS}

    async def are_right() -> bool:
        return await labels(kubectl) == right

    await asyncio.to_thread(relabel, kubectl)
    await until(are_right)
    await driver.again()
    await driver.until_released(*UPLOADS)
    await until_reasons(kubectl, dict.fromkeys(UPLOADS, "Completed"))
    assert {tuple(each.steps) for each in (await histories(driver.js)).values()} == {
        ("policies", "virusscan")
    }
