"""What `kubectl wait`, `get` and `describe` say of an upload, in the states a person meets."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from e2e.cluster.instance import Instance
from e2e.cluster.kubectl import Kubectl
from e2e.cluster.local import LocalCluster
from e2e.cluster.nats import NatsServer
from e2e.operator_process import Operator, OperatorOptions
from tests.driver import Driver, histories, start_working

SETTINGS = {
    "UPLOADPP_STALL_AFTER": "1s",
    "UPLOADPP_LEASE_DURATION": "1s",
    "POSTPROCESSING_RETRY_BACKOFF_DURATION": "1h",
}
OUTCOMES = {"rejected": "abort", "deleted": "delete", "failing": "retry"}


@pytest.fixture
async def driver(nats: NatsServer) -> AsyncIterator[Driver]:
    async with Driver(nats.url, lambda upload, _step, _attempt: OUTCOMES.get(upload, "continue")) as driver:
        yield driver


@pytest.fixture
async def operator(
    driver: Driver, cluster: LocalCluster, instance: Instance, nats: NatsServer, namespace: str
) -> Operator:
    options = OperatorOptions(
        cluster.kubeconfig, nats.address, namespace, ("virusscan", "policies"), SETTINGS
    )
    del driver  # it makes the stream and hears the first start
    return await start_working(Operator(instance, options))


async def shown(kubectl: Kubectl, words: str, *command: str) -> None:
    """Return when a command shows some words."""
    async with asyncio.timeout(30):
        while words not in await asyncio.to_thread(kubectl, *command):  # noqa: ASYNC110
            await asyncio.sleep(0.2)


async def wait(kubectl: Kubectl, name: str, condition: str) -> dict[str, Any]:
    """The conditions by type, once one of them is as it should be."""
    await shown(kubectl, name, "get", "upp", "--no-headers")
    await asyncio.to_thread(kubectl, "wait", f"--for=condition={condition}", "--timeout=30s", f"upp/{name}")
    found = kubectl.json("get", "upp", name)["status"]["conditions"]
    return {each["type"]: each for each in found}


async def row(kubectl: Kubectl, name: str) -> list[str]:
    """Step, status and retries, as `kubectl get` shows them."""
    return (await asyncio.to_thread(kubectl, "get", "upp", name, "--no-headers")).split()[1:4]


async def patch(kubectl: Kubectl, name: str, **spec: object) -> None:
    change = json.dumps({"spec": spec})
    await asyncio.to_thread(kubectl, "patch", "upp", name, "--type=merge", f"--patch={change}")


async def test_a_missing_service_is_seen_everywhere_and_survives_a_restart(
    operator: Operator, driver: Driver, kubectl: Kubectl
) -> None:
    driver.silent = True
    await driver.upload("orphan")
    found = await wait(kubectl, "orphan", "Stalled")
    assert (found["Succeeded"]["status"], found["Succeeded"]["reason"]) == ("Unknown", "Stalled")
    assert found["Stalled"]["reason"] == "NoAnswerFromStep"
    assert "resume" in found["Stalled"]["message"]
    assert await row(kubectl, "orphan") == ["virusscan", "Stalled", "0"]
    await shown(kubectl, "Warning", "describe", "upp", "orphan")
    await asyncio.to_thread(operator.kill)
    await start_working(operator)
    assert await row(kubectl, "orphan") == ["virusscan", "Stalled", "0"]
    assert (await histories(driver.js))["orphan"].steps == ["virusscan"], "started again by the restart"
    driver.silent = False
    await patch(kubectl, "orphan", restart={"token": "t1", "mode": "Resume"})
    found = await wait(kubectl, "orphan", "Finished")
    assert found.keys() == {"Succeeded", "Finished", "Acknowledged"}
    assert {each["status"] for each in found.values()} == {"True"}
    assert (await histories(driver.js))["orphan"].steps == ["virusscan", "virusscan", "policies"]


@pytest.mark.usefixtures("operator")
@pytest.mark.parametrize(
    ("upload", "reason", "status"),
    [("fine", "Completed", "True"), ("rejected", "Aborted", "False"), ("deleted", "Deleted", "False")],
)
async def test_every_end_is_waited_for(
    driver: Driver, kubectl: Kubectl, upload: str, reason: str, status: str
) -> None:
    await driver.upload(upload)
    found = await wait(kubectl, upload, f"Succeeded={status}")
    assert found["Succeeded"]["reason"] == reason
    assert (found["Finished"]["status"], found["Acknowledged"]["status"]) == ("True", "True")
    assert found["Succeeded"]["message"]


@pytest.mark.usefixtures("operator")
async def test_what_people_ask_for_is_a_condition(driver: Driver, kubectl: Kubectl) -> None:
    await driver.upload("failing")
    await shown(kubectl, "BackingOff", "get", "upp", "--no-headers")
    await patch(kubectl, "failing", desiredState="Suspended")
    found = await wait(kubectl, "failing", "Suspended")
    assert "set spec.desiredState to Active" in found["Suspended"]["message"]
    await patch(kubectl, "failing", desiredState="Cancelled", cancelPolicy="Delete")
    found = await wait(kubectl, "failing", "Finished")
    assert (found["Succeeded"]["status"], found["Succeeded"]["reason"]) == ("False", "Cancelled")
    assert "Suspended" not in found
