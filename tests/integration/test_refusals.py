"""An API server that does not take what we write: uploads go on, are recorded later, and it is said."""

import asyncio
import json
from typing import Any

import aiohttp
import pytest

from e2e.cluster.instance import Instance
from e2e.cluster.kubectl import Kubectl, KubectlError
from e2e.cluster.local import LocalCluster
from e2e.cluster.nats import NatsServer
from e2e.operator_process import Operator, OperatorOptions
from tests.driver import Driver, histories, log_lines, samples, start_working, until, until_reasons
from uploadpp.testing.events import STREAM

UNRECORDED = "uploadpp_uploads_unrecorded"
REFUSED = "uploadpp_records_refused_total"


@pytest.fixture
def operator(cluster: LocalCluster, instance: Instance, nats: NatsServer, namespace: str) -> Operator:
    return Operator(instance, OperatorOptions(cluster.kubeconfig, nats.address, namespace))


async def readyz(operator: Operator, query: str = "") -> tuple[int, str]:
    async with aiohttp.ClientSession() as session, session.get(f"{operator.url}/readyz{query}") as answer:
        return answer.status, await answer.text()


async def acknowledged(driver: Driver) -> bool:
    last = (await driver.js.stream_info(STREAM)).state.last_seq
    found = [each for each in await driver.js.consumers_info(STREAM) if each.name.startswith("uploadpp-")]
    return any(each.ack_floor is not None and each.ack_floor.stream_seq == last for each in found)


def policy(namespace: str, operation: str, resource: str) -> str:
    """A ValidatingAdmissionPolicy that denies an operation on uploads in one namespace."""
    rule = {
        "apiGroups": ["uploadpp.io"],
        "apiVersions": ["*"],
        "operations": [operation],
        "resources": [resource],
    }
    probes = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["configmaps"]}
    objects = [
        {
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "ValidatingAdmissionPolicy",
            "metadata": {"name": namespace},
            "spec": {
                "failurePolicy": "Fail",
                "matchConstraints": {"resourceRules": [rule, probes]},
                "validations": [{"expression": "false", "message": "closed for maintenance"}],
            },
        },
        {
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "ValidatingAdmissionPolicyBinding",
            "metadata": {"name": namespace},
            "spec": {
                "policyName": namespace,
                "validationActions": ["Deny"],
                "matchResources": {
                    "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}}
                },
            },
        },
    ]
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": objects})


async def deny(kubectl: Kubectl, namespace: str, operation: str, resource: str = "*") -> None:
    """Have the API server deny an operation, and wait until it does."""
    kubectl("apply", "--filename=-", stdin=policy(namespace, operation, resource))

    async def denied() -> bool:
        try:
            await asyncio.to_thread(kubectl, "create", "configmap", "probe", "--dry-run=server")
        except KubectlError as error:
            return "closed for maintenance" in str(error)
        return False

    await until(denied)


def allow(kubectl: Kubectl, namespace: str) -> None:
    kubectl("delete", "validatingadmissionpolicybinding,validatingadmissionpolicy", namespace)


async def test_a_policy_denies_every_resource_for_a_while(
    driver: Driver, operator: Operator, kubectl: Kubectl, namespace: str
) -> None:
    await start_working(operator)
    await deny(kubectl, namespace, "CREATE")
    uploads = [f"u{number}" for number in range(30)]
    try:
        await driver.upload(*uploads)
        await driver.until_released(*uploads)
        await until(lambda: acknowledged(driver))
        assert kubectl.json("get", "upp")["items"] == []
        assert samples(operator.metrics(), UNRECORDED) == {"": 30}
        assert samples(operator.metrics(), REFUSED)['reason="Policy"'] > 0
        assert (await readyz(operator))[0] == 200
        await until(lambda: _is(len(events_of(kubectl)) > 0))
        (event,) = events_of(kubectl)
        assert event["involvedObject"]["kind"] == "Lease"
        assert "closed for maintenance" in event["message"]
        said = [x for x in log_lines(operator.log.read_text()) if "not written" in x["message"]]
        assert len([each for each in said if each["reason"] == "Policy"]) == 1, said
    finally:
        allow(kubectl, namespace)
    await until_reasons(kubectl, dict.fromkeys(uploads, "Completed"))
    await until(lambda: _is(samples(operator.metrics(), UNRECORDED) == {"": 0}))
    for upload, history in (await histories(driver.js)).items():
        assert len(history.steps) == len(set(history.steps)), upload


async def test_a_policy_denies_every_status_for_a_while(
    driver: Driver, operator: Operator, kubectl: Kubectl, namespace: str
) -> None:
    """The resource says that the upload has not begun: so nothing is acknowledged before that is right."""
    await start_working(operator)
    await deny(kubectl, namespace, "UPDATE", "uploadpostprocessings/status")
    try:
        await driver.upload("u1")
        await driver.until_released("u1")
        await until(lambda: _is(samples(operator.metrics(), UNRECORDED) == {"": 1}))
        assert not await acknowledged(driver)
        operator.kill()
        await start_working(operator)
    finally:
        allow(kubectl, namespace)
    await until_reasons(kubectl, {"u1": "Completed"})
    await until(lambda: acknowledged(driver))
    history = (await histories(driver.js))["u1"]
    assert len(history.steps) == len(set(history.steps))


def events_of(kubectl: Kubectl) -> list[dict[str, Any]]:
    """Those that say that uploads are not recorded; they are written in the background."""
    found = kubectl.json("get", "events", "--field-selector=reason=UploadsNotRecorded")
    return list(found["items"])


async def _is(value: bool) -> bool:  # noqa: FBT001 -- a condition of `until`
    return value


async def test_a_quota_is_used_up_for_a_while(driver: Driver, operator: Operator, kubectl: Kubectl) -> None:
    await start_working(operator)
    kubectl("create", "quota", "uploads", "--hard=count/uploadpostprocessings.uploadpp.io=0")
    await driver.upload("u1", "u2")
    await driver.until_released("u1", "u2")
    await until(lambda: acknowledged(driver))
    kubectl("delete", "quota", "uploads")
    await until_reasons(kubectl, {"u1": "Completed", "u2": "Completed"})


async def test_an_api_server_that_hangs_is_named_within_seconds(
    driver: Driver, operator: Operator, cluster: LocalCluster, kubectl: Kubectl
) -> None:
    """Uploads go on; the probe says what is wrong and recovers by itself."""
    await start_working(operator)

    async def says() -> bool:
        status, text = await readyz(operator)
        return status == 503 and "cannot record" in text

    async def is_ready() -> bool:
        return (await readyz(operator))[0] == 200

    cluster.apiserver.pause()
    try:
        await driver.upload("u1")
        await driver.until_released("u1")
        await until(says, 20)
    finally:
        cluster.apiserver.resume()
    await until(is_ready)
    await until_reasons(kubectl, {"u1": "Completed"})
