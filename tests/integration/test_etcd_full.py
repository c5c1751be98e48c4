"""etcd has no space left and takes no write until somebody has made some: the API server answers 500."""

import json

import aiohttp

from e2e.cluster.instance import Instance
from e2e.cluster.kubectl import Kubectl
from e2e.cluster.local import LocalCluster
from e2e.cluster.nats import NatsServer
from e2e.operator_process import Operator, OperatorOptions
from tests.driver import Driver, histories, samples, start_working, until, until_reasons

LEASE_SECONDS = 2


async def alarm(cluster: LocalCluster, action: str) -> None:
    body = json.dumps({"action": action, "memberID": 0, "alarm": "NOSPACE"})
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{cluster.etcd.url}/v3/maintenance/alarm", data=body) as answer,
    ):
        assert answer.status == 200, await answer.text()


async def readyz(operator: Operator) -> str:
    async with aiohttp.ClientSession() as session, session.get(f"{operator.url}/readyz") as answer:
        return await answer.text()


async def test_uploads_go_on_while_etcd_has_no_space_and_are_recorded_later(
    cluster: LocalCluster,
    instance: Instance,
    nats: NatsServer,
    namespace: str,
    driver: Driver,
    kubectl: Kubectl,
) -> None:
    """For longer than a Lease: it cannot be renewed, and nobody else can take it."""
    settings = {"UPLOADPP_LEASE_DURATION": f"{LEASE_SECONDS}s"}
    options = OperatorOptions(cluster.kubeconfig, nats.address, namespace, environment=settings)
    operator = await start_working(Operator(instance, options))
    uploads = [f"u{number}" for number in range(10)]
    await alarm(cluster, "ACTIVATE")
    try:
        await driver.upload(*uploads, pause=2 * LEASE_SECONDS / len(uploads))
        await driver.until_released(*uploads)

        async def is_said() -> bool:
            return "database space exceeded" in await readyz(operator)

        await until(is_said)
    finally:
        await alarm(cluster, "DEACTIVATE")
    await until_reasons(kubectl, dict.fromkeys(uploads, "Completed"))
    await until(lambda: _ready(operator))
    found = await histories(driver.js)
    assert {tuple(found[each].steps) for each in uploads} == {("policies", "virusscan")}
    assert {found[each].finished for each in uploads} == {("continue",)}
    assert samples(operator.metrics(), "uploadpp_shard_epoch") == {'shard="0"': 1}, "it stayed the owner"


async def _ready(operator: Operator) -> bool:
    return await readyz(operator) == "OK\n"
