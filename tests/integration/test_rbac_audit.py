"""The chart's Role against what the operator asks for, as the audit log of the API server has it."""

import asyncio
import itertools
import json
from collections.abc import Iterator
from contextlib import suppress
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest

from e2e.cluster.helm import Helm
from e2e.cluster.instance import Instance
from e2e.cluster.kubectl import Kubectl, apply_crds
from e2e.cluster.local import LocalCluster
from e2e.cluster.nats import NatsServer
from e2e.operator_process import Operator, OperatorOptions
from tests.driver import Driver, start_working, until, until_reasons
from tests.integration.test_policies import RULES, policy
from uploadpp.api import API_VERSION
from uploadpp.core.sharding import BUCKET_LABEL, bucket_of
from uploadpp.kube.api import MERGE_PATCH, Api
from uploadpp.kube.credentials import find_credentials
from uploadpp.kube.errors import NotFoundError

NAMESPACE = "audited"
VALUES: dict[str, Any] = {
    "sealingKey": {"existingSecret": "key"},
    "policies": {"enabled": True, "webhook": {"enabled": False}},
    "fullnameOverride": "operator",
}
Right = tuple[str, str]
"""A verb, and a resource with its group and subresource."""
ENVIRONMENT = {
    "UPLOADPP_POLICIES": "enabled",
    "UPLOADPP_TTL_COMPLETED": "15s",
    "UPLOADPP_TTL_FAILED": "4s",
    "UPLOADPP_LEASE_DURATION": "2s",
    "UPLOADPP_SHARDS": "2",
}
REVIEWS = {("create", "selfsubjectaccessreviews.authorization.k8s.io")}
"""Everybody may ask what they are allowed to do."""


@pytest.fixture(scope="module")
def audit_log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the API server writes what it was asked for."""
    return tmp_path_factory.mktemp("audit") / "audit.log"


@pytest.fixture(scope="module")
def cluster(audit_log: Path) -> Iterator[LocalCluster]:
    """A control plane that writes down who asks for what."""
    policy = audit_log.with_name("policy.yaml")
    rules = [{"level": "Metadata", "omitStages": ["RequestReceived"]}]
    policy.write_text(json.dumps({"apiVersion": "audit.k8s.io/v1", "kind": "Policy", "rules": rules}))
    flags = (f"--audit-policy-file={policy}", f"--audit-log-path={audit_log}", "--audit-log-mode=blocking")
    with LocalCluster(apiserver_args=flags) as running:
        apply_crds(running.kubeconfig)
        yield running


def granted(rendered: list[dict[str, Any]]) -> set[Right]:
    """What the Roles of a chart allow, without the names."""
    rules = [rule for each in rendered if each["kind"] == "Role" for rule in each["rules"]]
    return {
        (verb, f"{resource}.{group}".rstrip("."))
        for rule in rules
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


def asked(audit_log: Path, user: str) -> dict[Right, set[int]]:
    """What a user has asked the API server for, and the status codes of the answers."""
    found: dict[Right, set[int]] = {}
    for line in audit_log.read_text().split("\n")[:-1]:  # the last one may still be written
        event = json.loads(line)
        if event["user"]["username"] != user or "objectRef" not in event:
            continue
        thing = event["objectRef"]
        resource = "/".join(filter(None, (thing["resource"], thing.get("subresource"))))
        right = (event["verb"], f"{resource}.{thing.get('apiGroup', '')}".rstrip("."))
        found.setdefault(right, set()).add(event["responseStatus"]["code"])
    return found


def install(kubectl: Kubectl) -> list[dict[str, Any]]:
    """Apply the chart's account and Roles; what was applied."""
    kinds = {"ServiceAccount", "Role", "RoleBinding"}
    made = [each for each in Helm(NAMESPACE).render("upp", VALUES) if each["kind"] in kinds]
    kubectl("apply", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": made}))
    return made


async def live(driver: Driver, kubectl: Kubectl) -> None:
    """Have uploads that end and expire, and that a person labels, restarts, makes and deletes."""
    driver.outcome = lambda upload, _step, _attempt: "retry" if upload == "failing" else "continue"
    await driver.upload("failing", "restarted")
    await driver.until_released("restarted")
    await until_reasons(kubectl, {"failing": "BackingOff", "restarted": "Completed"})
    wrong = f"{(bucket_of('failing') + 1) % 64:02d}"
    kubectl("label", "upp", "failing", f"{BUCKET_LABEL}={wrong}", "--overwrite")
    for token in ("1", "2"):  # the same Event twice
        restart = json.dumps({"spec": {"restart": {"token": token}}})
        kubectl("patch", "upp", "restarted", "--type=merge", f"--patch={restart}")
        await asyncio.sleep(1)
    await until_relabelled(kubectl, wrong)
    kubectl("delete", "upp", "failing", "--wait=false")


async def until_relabelled(kubectl: Kubectl, wrong: str) -> None:
    """Wait until the operator has put its label back."""

    async def restored() -> bool:
        return bool(kubectl.json("get", "upp", "failing")["metadata"]["labels"][BUCKET_LABEL] != wrong)

    await until(restored)


async def edit(api: Api) -> None:
    """Edit all uploads and policies, again and again: the operator's writes meet newer versions."""
    number = 0
    while True:
        number += 1
        body = {"metadata": {"annotations": {"edited": str(number)}}}
        for kind in ("uploadpostprocessings", "postprocessingpolicies"):
            path = f"/apis/{API_VERSION}/namespaces/{NAMESPACE}/{kind}"
            for each in (await api.request("GET", path))["items"]:
                with suppress(NotFoundError):
                    name = each["metadata"]["name"]
                    await api.request("PATCH", f"{path}/{name}", body, content_type=MERGE_PATCH)


async def upload_on(driver: Driver) -> None:
    """Announce an upload now and then."""
    for number in itertools.count():
        await driver.upload(f"more-{number}", pause=0.1)


async def test_the_role_grants_what_is_asked_for_and_nothing_else(
    cluster: LocalCluster, audit_log: Path, instance: Instance, nats: NatsServer, tmp_path: Path
) -> None:
    Kubectl(cluster.kubeconfig)("create", "namespace", NAMESPACE)
    kubectl = Kubectl(cluster.kubeconfig, NAMESPACE)
    made = install(kubectl)
    account = next(each["metadata"]["name"] for each in made if each["kind"] == "ServiceAccount")
    shown = kubectl.json("config", "view", "--raw")
    shown["users"][0]["user"] = {"token": kubectl("create", "token", account).strip()}
    config = tmp_path / "kubeconfig"
    config.write_text(json.dumps(shown))
    options = OperatorOptions(config, nats.address, NAMESPACE, ("virusscan",), ENVIRONMENT)
    operator = Operator(instance, options)
    kubectl("apply", "--filename=-", stdin=policy("all", RULES))
    await start_working(operator)
    user = f"system:serviceaccount:{NAMESPACE}:{account}"

    async def all_asked() -> bool:
        return asked(audit_log, user).keys() >= granted(made)

    async with (
        Driver(nats.url) as driver,
        Api(find_credentials({"KUBECONFIG": str(cluster.kubeconfig)})) as api,
    ):
        await live(driver, kubectl)
        people = [asyncio.create_task(each) for each in (edit(api), upload_on(driver))]
        with suppress(TimeoutError):
            await until(all_asked)
        for each in people:
            each.cancel()
        await asyncio.gather(*people, return_exceptions=True)
    await asyncio.to_thread(operator.stop)
    found = asked(audit_log, user)
    assert {right for right, codes in found.items() if HTTPStatus.FORBIDDEN in codes} == set()
    assert found.keys() - REVIEWS == granted(made)
