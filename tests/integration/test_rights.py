"""Rights and credentials that go and come back: it is said within seconds, and no upload is lost."""

import asyncio
import json
from pathlib import Path

import pytest

from e2e.cluster.instance import Instance
from e2e.cluster.kubectl import Kubectl, KubectlError
from e2e.cluster.local import LocalCluster
from e2e.cluster.nats import NatsServer
from e2e.operator_process import Operator, OperatorOptions
from tests.driver import Driver, histories, start_working, until, until_reasons
from tests.integration.test_refusals import acknowledged, readyz

UPLOADS = {"apiGroups": ["uploadpp.io"], "resources": ["uploadpostprocessings"]}
ALL = ("get", "list", "watch", "create", "patch", "delete")
SOON_SECONDS = 25


class Account:
    """A service account with a Role that is edited while the operator runs."""

    def __init__(self, kubectl: Kubectl, namespace: str) -> None:
        self._kubectl = kubectl
        self.namespace = namespace
        kubectl("create", "serviceaccount", "operator")
        self.allow()
        who = f"--serviceaccount={namespace}:operator"
        kubectl("create", "rolebinding", "operator", "--role=operator", who)

    def allow(self, *verbs: str, status: bool = True) -> None:
        """Have the Role grant these verbs on uploads, all of them by default, and what else is needed."""
        rules = [
            {**UPLOADS, "verbs": [*(verbs or ALL)]},
            {
                "apiGroups": ["coordination.k8s.io"],
                "resources": ["leases"],
                "verbs": ["get", "create", "update"],
            },
            {"apiGroups": [""], "resources": ["events"], "verbs": ["create", "patch"]},
        ]
        if status:
            rules.append({**UPLOADS, "resources": ["uploadpostprocessings/status"], "verbs": ["patch"]})
        role = {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "Role",
            "metadata": {"name": "operator"},
            "rules": rules,
        }
        self._kubectl("apply", "--filename=-", stdin=json.dumps(role))


@pytest.fixture
def account(kubectl: Kubectl, namespace: str) -> Account:
    return Account(kubectl, namespace)


@pytest.fixture
def operator(
    account: Account, instance: Instance, nats: NatsServer, kubectl: Kubectl, tmp_path: Path
) -> Operator:
    """An operator that reads its token from a file."""
    token = tmp_path / "token"
    token.write_text(kubectl("create", "token", "operator").strip())
    shown = json.loads(kubectl("config", "view", "--raw", "--output=json"))
    shown["users"][0]["user"] = {"tokenFile": str(token)}
    config = tmp_path / "kubeconfig"
    config.write_text(json.dumps(shown))
    short = {"UPLOADPP_LEASE_DURATION": "3s"}
    return Operator(instance, OperatorOptions(config, nats.address, account.namespace, environment=short))


async def until_told(operator: Operator, status: int, *words: str, patience: float = SOON_SECONDS) -> None:
    async def told() -> bool:
        found, text = await readyz(operator)
        return found == status and all(word in text for word in words)

    await until(told, patience)


MISSING = {
    "create": (("get", "list", "watch", "patch", "delete"), True, "create uploadpostprocessings"),
    "status": (ALL, False, "patch uploadpostprocessings/status"),
    "patch": (("get", "list", "watch", "create", "delete"), True, "patch uploadpostprocessings"),
    "delete": (("get", "list", "watch", "create", "patch"), True, "delete uploadpostprocessings"),
}


@pytest.mark.parametrize("case", MISSING.values(), ids=MISSING)
async def test_a_right_that_goes_is_named_while_idle_and_comes_back(
    driver: Driver,
    operator: Operator,
    account: Account,
    kubectl: Kubectl,
    case: tuple[tuple[str, ...], bool, str],
) -> None:
    verbs, status, words = case
    await start_working(operator)
    account.allow(*verbs, status=status)
    await until_told(operator, 503, "cannot record: no permission to", words)
    await driver.upload("u1")
    await driver.until_released("u1")
    account.allow()
    await until_told(operator, 200, patience=60)
    await until_reasons(kubectl, {"u1": "Completed"})
    await until(lambda: acknowledged(driver))
    history = (await histories(driver.js))["u1"]
    assert (len(history.steps), len(history.finished)) == (2, 1)


async def test_a_token_that_expires_is_named_and_renewed_from_its_file(
    driver: Driver, operator: Operator, kubectl: Kubectl, tmp_path: Path
) -> None:
    await start_working(operator)
    good = (tmp_path / "token").read_text()
    kubectl("delete", "serviceaccount", "operator")
    await until_told(operator, 503, "401")
    await driver.upload("u1")
    await driver.until_released("u1")
    kubectl("create", "serviceaccount", "operator")
    renewed = kubectl("create", "token", "operator").strip()
    assert renewed != good
    (tmp_path / "token").write_text(renewed)
    await until_told(operator, 200, patience=60)
    await until_reasons(kubectl, {"u1": "Completed"})
    await until(lambda: acknowledged(driver))


async def test_a_verbose_probe_lists_the_abilities_without_secrets(
    driver: Driver, operator: Operator, kubectl: Kubectl, tmp_path: Path
) -> None:
    await start_working(operator)
    await driver.upload("u1")
    await until_reasons(kubectl, {"u1": "Completed"})
    text = (await readyz(operator, "?verbose"))[1]
    lines = text.splitlines()
    assert [line.partition(": ")[0] for line in lines] == [
        "[+]nats ok",
        "[+]rights ok",
        "[+]shard-0/pull ok",
        "[+]shard-0/publish ok",
        "[+]shard-0/record ok",
        "[+]shard-0/work ok",
        "readyz check passed",
    ]
    assert sum("last proven" in line for line in lines) == 3
    assert (tmp_path / "token").read_text() not in text


async def test_a_namespace_that_is_being_removed_takes_no_uploads(
    driver: Driver, operator: Operator, kubectl: Kubectl, namespace: str, cluster: LocalCluster
) -> None:
    """Without controllers it stays so until somebody finishes it; then it is made again."""
    await start_working(operator)
    kubectl("delete", "namespace", namespace, "--wait=false")
    await driver.upload("u1")
    await driver.until_released("u1")
    await until_told(operator, 503, "being terminated")
    body = json.dumps({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
    admin = Kubectl(cluster.kubeconfig)
    admin("replace", f"--raw=/api/v1/namespaces/{namespace}/finalize", "--filename=-", stdin=body)
    async with asyncio.timeout(30):
        while True:
            try:
                admin("create", "namespace", namespace)
                break
            except KubectlError:
                await asyncio.sleep(0.2)
    await until_told(operator, 200, patience=60)
    await until_reasons(kubectl, {"u1": "Completed"})
    await until(lambda: acknowledged(driver))
