"""SIGTERM at every moment of an operator's life, and an API server that hangs for longer than a Lease."""

import asyncio

import pytest

from e2e.cluster.instance import Instance
from e2e.cluster.kubectl import Kubectl, apply_crds
from e2e.cluster.local import LocalCluster
from e2e.cluster.nats import NatsServer
from e2e.operator_process import Operator, OperatorOptions
from tests.driver import Driver, bytes_received, histories, log_lines, samples, start_working, until

SOON_SECONDS = 9
"""With nothing to store and nobody to ask for long: less than the 10 s that are left for that."""
GRACE_SECONDS = 30
"""Well within the 45 seconds of a Pod, on a busy machine."""
CRD = "crd/uploadpostprocessings.uploadpp.io"
TRACEBACK = "Traceback"


@pytest.fixture
def operator(cluster: LocalCluster, instance: Instance, nats: NatsServer, namespace: str) -> Operator:
    return Operator(instance, OperatorOptions(cluster.kubeconfig, nats.address, namespace))


async def says(operator: Operator, words: str) -> None:
    """Wait until this is in the log."""

    async def said() -> bool:
        return operator.log.exists() and words in operator.log.read_text()

    await until(said)


async def ends(operator: Operator, seconds: float) -> None:
    """It is told to end, and does so by itself, in words."""
    process = operator.process
    assert process is not None
    await asyncio.to_thread(operator.stop, seconds)
    lines = log_lines(operator.log.read_text())
    assert lines[-1]["message"] == "stopped", lines[-3:]
    assert TRACEBACK not in operator.log.read_text()


async def test_before_the_api_server_answers(operator: Operator, cluster: LocalCluster) -> None:
    cluster.apiserver.pause()
    try:
        operator.launch()
        await says(operator, "connected to NATS")
        await ends(operator, GRACE_SECONDS)
    finally:
        cluster.apiserver.resume()


async def test_before_the_crd_is_there(operator: Operator, cluster: LocalCluster, kubectl: Kubectl) -> None:
    await asyncio.to_thread(kubectl, "delete", CRD, "--timeout=150s", timeout=160)
    try:
        operator.launch()
        await says(operator, "the CRD is not installed")
        await ends(operator, SOON_SECONDS)
    finally:
        apply_crds(cluster.kubeconfig)


async def test_while_it_replays(operator: Operator, driver: Driver) -> None:
    """What was read and not stored is for the next one."""
    await start_working(operator)
    operator.kill()
    uploads = [f"u{number}" for number in range(300)]
    for each in uploads:
        await driver.client.publish("main-queue", bytes_received(each))
    await driver.client.flush()
    operator.launch()
    await says(operator, '"messages": 300')
    await ends(operator, GRACE_SECONDS)
    await start_working(operator)
    await driver.until_released(*uploads)
    told = await histories(driver.js)
    assert {len(each.steps) for each in told.values()} == {2}
    assert {each.finished for each in told.values()} == {("continue",)}


@pytest.mark.parametrize("away", ["API server", "NATS"])
async def test_while_it_works_and_somebody_is_away(
    operator: Operator, driver: Driver, cluster: LocalCluster, nats: NatsServer, kubectl: Kubectl, away: str
) -> None:
    driver.silent = True
    await start_working(operator)
    await driver.upload("u1")
    kubectl("wait", "--for=create", "--timeout=30s", "upp/u1")
    gone = cluster.apiserver if away == "API server" else nats
    gone.pause()
    try:
        await ends(operator, GRACE_SECONDS)
    finally:
        gone.resume()
    await start_working(operator)
    await driver.again()
    await driver.until_released("u1")
    assert (await histories(driver.js))["u1"].steps == ["policies", "virusscan"]


async def test_an_api_server_that_hangs_for_longer_than_a_lease_moves_nothing(
    cluster: LocalCluster,
    instance: Instance,
    driver: Driver,
    nats: NatsServer,
    namespace: str,
    kubectl: Kubectl,
) -> None:
    """The owner goes on, the standby waits, and nobody takes the shard when the API server is back."""
    settings = {"UPLOADPP_LEASE_DURATION": "5s"}
    options = OperatorOptions(cluster.kubeconfig, nats.address, namespace, environment=settings)
    owner, standby = (Operator(instance, options, name=name) for name in ("owner", "standby"))
    await start_working(owner)
    await asyncio.to_thread(standby.start)
    before = lease(kubectl)
    cluster.apiserver.pause()
    try:
        uploads = [f"u{number}" for number in range(12)]
        await driver.upload(*uploads, pause=1)
        await driver.until_released(*uploads)
    finally:
        cluster.apiserver.resume()

    async def is_renewed() -> bool:
        return lease(kubectl)["renewTime"] > before["renewTime"]

    await until(is_renewed)
    await asyncio.sleep(6)  # longer than the Lease: a swap would have come by now
    now = lease(kubectl)
    assert (now["holderIdentity"], now["leaseTransitions"]) == (
        before["holderIdentity"],
        before["leaseTransitions"],
    )
    assert sum(samples(owner.metrics(), "uploadpp_shard_owned").values()) == 1
    told = await histories(driver.js)
    assert {len(each.steps) for each in told.values()} == {2}


def lease(kubectl: Kubectl) -> dict[str, str]:
    found: dict[str, str] = kubectl.json("get", "lease", "uploadpp-shard-0")["spec"]
    return {"leaseTransitions": "", **found}
