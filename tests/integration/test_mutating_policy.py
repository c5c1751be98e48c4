"""Policies of the cluster that change what we write: all is recorded in the end, and nothing is lost."""

import asyncio
import json

from e2e.cluster.kubectl import Kubectl
from e2e.operator_process import Operator
from tests.driver import (
    Driver,
    bytes_received,
    log_lines,
    samples,
    start_working,
    until,
    until_reasons,
)
from tests.integration.test_refusals import UNRECORDED, acknowledged
from tests.integration.test_webhooks import _is_refused, all_once, operator
from uploadpp.api import API_VERSION, KIND

__all__ = ["operator"]


def mutation(name: str, *expressions: str) -> str:
    """A MutatingAdmissionPolicy that changes uploads in the namespace of its name by JSON patches."""
    rule = {
        "apiGroups": ["uploadpp.io"],
        "apiVersions": ["*"],
        "operations": ["CREATE", "UPDATE"],
        "resources": ["uploadpostprocessings", "uploadpostprocessings/status"],
    }
    api = {"apiVersion": "admissionregistration.k8s.io/v1", "metadata": {"name": name}}
    namespaces = {"matchLabels": {"kubernetes.io/metadata.name": name}}
    objects = [
        {
            **api,
            "kind": "MutatingAdmissionPolicy",
            "spec": {
                "failurePolicy": "Fail",
                "reinvocationPolicy": "Never",
                "matchConstraints": {"resourceRules": [rule]},
                "mutations": [
                    {"patchType": "JSONPatch", "jsonPatch": {"expression": each}} for each in expressions
                ],
            },
        },
        {
            **api,
            "kind": "MutatingAdmissionPolicyBinding",
            "spec": {
                "policyName": name,
                "matchResources": {"namespaceSelector": namespaces},
            },
        },
    ]
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": objects})


OURS_GONE = """[
  JSONPatch{op: "add", path: "/metadata/finalizers", value: ["stranger.example/keep"]},
  JSONPatch{op: "add", path: "/metadata/annotations", value: {"stranger.example/checked": "yes"}},
  JSONPatch{op: "replace", path: "/metadata/labels", value: {"uploadpp.io/bucket":
    object.metadata.?labels["uploadpp.io/bucket"].orValue("00"), "team": "files"}},
  JSONPatch{op: "add", path: "/spec/cancelPolicy", value: "Delete"}
]"""
END_GONE = """has(object.status) && has(object.status.completionTime)
  ? [JSONPatch{op: "remove", path: "/status/completionTime"}] : []"""
PROBE = {"apiVersion": API_VERSION, "kind": KIND, "metadata": {"name": "probe", "labels": {}}}


async def test_a_policy_of_the_cluster_changes_what_we_make(
    driver: Driver, operator: Operator, kubectl: Kubectl, namespace: str
) -> None:
    """Our labels gone, a foreign finalizer, a status without its end: nothing is lost, all is recorded."""
    operator.options.environment["UPLOADPP_TTL_COMPLETED"] = "2s"  # type: ignore[index]
    await start_working(operator)
    policy = mutation(namespace, OURS_GONE, END_GONE)
    probe = json.dumps({**PROBE, "spec": {"upload": {"id": "probe"}}})

    async def stands() -> bool:
        words = ("create", "--dry-run=server", "--output=json", "--filename=-")
        found = json.loads(await asyncio.to_thread(kubectl, *words, stdin=probe))
        return "team" in found["metadata"].get("labels", {})

    kubectl("apply", "--filename=-", stdin=policy)
    try:
        await until(stands)
        await driver.upload("u1")
        await driver.until_released("u1")
        await until(lambda: _is_refused(operator, "Changed"))
        said = [x["message"] for x in log_lines(operator.log.read_text()) if "not written" in x["message"]]
        assert any("status.completionTime" in each for each in said), said
        assert not await acknowledged(driver)
    finally:
        kubectl("delete", "--filename=-", stdin=policy)
    await until(lambda: acknowledged(driver))

    async def leaves() -> bool:
        (found,) = (await asyncio.to_thread(kubectl.json, "get", "upp"))["items"]
        return "deletionTimestamp" in found["metadata"]

    await until(leaves)
    operator.kill()
    await start_working(operator)
    await driver.upload("u2")
    await driver.until_released("u2")
    await until_reasons(kubectl, {"u1": "Completed"})  # its finalizer is somebody else's
    kubectl("patch", "upp", "u1", "--type=merge", "--patch", '{"metadata":{"finalizers":null}}')
    await until_reasons(kubectl, {})
    await all_once(driver)


FINALIZER = '{"metadata":{"finalizers":["stranger.example/keep"]}}'


async def test_an_upload_that_comes_again_while_its_resource_waits_for_a_finalizer(
    driver: Driver, operator: Operator, kubectl: Kubectl
) -> None:
    """It is recorded in a resource of its own: with the old one it would be forgotten in the middle."""
    operator.options.environment["UPLOADPP_TTL_COMPLETED"] = "5s"  # type: ignore[index]
    await start_working(operator)
    driver.silent = True
    await driver.upload("u1")
    await until_reasons(kubectl, {"u1": "Running"})
    kubectl("patch", "upp", "u1", "--type=merge", "--patch", FINALIZER)
    await driver.again()
    await driver.until_released("u1")

    async def leaves() -> bool:
        (found,) = (await asyncio.to_thread(kubectl.json, "get", "upp"))["items"]
        return "deletionTimestamp" in found["metadata"]

    async def is_put_away() -> bool:
        """The operator has heard that it leaves: an upload that comes before that goes on in the old one."""
        return samples(operator.metrics(), "uploadpp_uploads_recorded") == {"": 0}

    await until(leaves)
    await until(is_put_away)
    driver.silent = True
    await driver.say(bytes_received("u1", URL="https://storage.test/data/u1?again"))

    async def waits() -> bool:
        return samples(operator.metrics(), UNRECORDED) == {"": 1}

    await until(waits)
    kubectl(
        "patch",
        "upp",
        "u1",
        "--type=merge",
        "--patch",
        FINALIZER.replace('["stranger.example/keep"]', "null"),
    )
    await until_reasons(kubectl, {"u1": "Running"})
    await driver.again()
    await until_reasons(kubectl, {"u1": "Completed"})
