"""Policies on real servers: known before the first upload, judged, and refused when they are wrong."""

import asyncio
import base64
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from e2e.cluster.certificates import write_certificates
from e2e.cluster.instance import Instance
from e2e.cluster.kubectl import Kubectl, KubectlError
from e2e.cluster.local import LocalCluster
from e2e.cluster.nats import NatsServer
from e2e.cluster.ports import free_port
from e2e.cluster.requests import ApiRequests
from e2e.operator_process import Operator, OperatorOptions
from tests.driver import samples, start_working, until
from uploadpp.api import API_VERSION

RULES: list[dict[str, Any]] = [
    {"name": "videos", "match": 'file.mimeType.startsWith("video/")', "steps": [{"name": "policies"}]},
    {"name": "all"},
]
LONGEST_STALL_SECONDS = 3.0
"""All at once, these policies take ten; a busy machine may stop any process for a second or two."""
WRONG: list[dict[str, Any]] = [{"name": "typo", "match": "file.siez > 1"}]


def policy(name: str, rules: list[dict[str, Any]], **spec: Any) -> str:  # noqa: ANN401 -- fields
    """A policy as it is applied."""
    return json.dumps(
        {
            "apiVersion": API_VERSION,
            "kind": "PostprocessingPolicy",
            "metadata": {"name": name},
            "spec": {"rules": rules, **spec},
        }
    )


def apply(kubectl: Kubectl, name: str, rules: list[dict[str, Any]], *words: str, **spec: Any) -> str:  # noqa: ANN401 -- fields
    """Apply a policy; what kubectl says."""
    return kubectl("apply", "--filename=-", *words, stdin=policy(name, rules, **spec))


def ready_condition(kubectl: Kubectl, name: str) -> dict[str, Any]:
    """The condition Ready of a policy; empty before there is one."""
    found: dict[str, Any] = kubectl.json("get", "upppol", name).get("status") or {}
    return next((each for each in found.get("conditions", []) if each["type"] == "Ready"), {})


@pytest.fixture
def options(cluster: LocalCluster, nats: NatsServer, namespace: str) -> OperatorOptions:
    environment = {"UPLOADPP_LEASE_DURATION": "2s", "UPLOADPP_POLICIES": "enabled"}
    return OperatorOptions(
        cluster.kubeconfig, nats.address, namespace, ("virusscan", "policies"), environment
    )


async def test_the_status_says_whether_a_policy_can_be_used(
    instance: Instance, options: OperatorOptions, kubectl: Kubectl
) -> None:
    apply(kubectl, "good", RULES)
    apply(kubectl, "wrong", WRONG, order=1)
    operator = Operator(instance, options)
    await start_working(operator)
    await asyncio.to_thread(kubectl, "wait", "--for=condition=Ready", "upppol/good", "--timeout=60s")
    await asyncio.to_thread(kubectl, "wait", "--for=condition=Ready=False", "upppol/wrong", "--timeout=60s")
    assert ready_condition(kubectl, "good")["reason"] == "Accepted"
    said = ready_condition(kubectl, "wrong")
    assert said["reason"] == "InvalidExpression"
    assert "rule typo: match: character " in said["message"]

    async def counted() -> bool:
        return samples(operator.metrics(), "uploadpp_policies") == {'ready="true"': 1, 'ready="false"': 1}

    await until(counted)
    # A change is noticed, also by the condition.
    apply(kubectl, "wrong", RULES, order=1)
    await asyncio.to_thread(kubectl, "wait", "--for=condition=Ready", "upppol/wrong", "--timeout=60s")
    assert kubectl.json("get", "upppol", "wrong")["status"]["observedGeneration"] == 2

    async def idle() -> bool:
        before = kubectl.json("get", "upppol", "good")["metadata"]["resourceVersion"]
        await asyncio.sleep(2)
        return bool(kubectl.json("get", "upppol", "good")["metadata"]["resourceVersion"] == before)

    assert await idle()
    operator.stop()


async def test_policies_with_large_labels_are_read(
    instance: Instance, options: OperatorOptions, cluster: LocalCluster, namespace: str
) -> None:
    """A page of twenty was longer than an answer may be, and no operator started any more."""
    labels = {f"l{number:05}-{'x' * 50}": "y" * 60 for number in range(7_500)}
    create(cluster, namespace, [json.loads(policy(f"p{number:02}", RULES)) for number in range(20)], labels)
    operator = Operator(instance, options)
    await start_working(operator)

    async def known() -> bool:
        return samples(operator.metrics(), "uploadpp_policies") == {'ready="true"': 20, 'ready="false"': 0}

    await until(known)
    operator.stop()


@contextmanager
def pauses() -> Iterator[list[float]]:
    """For how many seconds a thread that has nothing to do was not let on, each time."""
    found, ended = [0.0], threading.Event()

    def note() -> None:
        began = time.monotonic()
        while not ended.wait(0.1):
            found.append(time.monotonic() - began - 0.1)
            began = time.monotonic()

    noting = threading.Thread(target=note)
    noting.start()
    try:
        yield found
    finally:
        ended.set()
        noting.join()


async def test_long_policies_stop_neither_probes_nor_leases(
    instance: Instance, options: OperatorOptions, cluster: LocalCluster, namespace: str, kubectl: Kubectl
) -> None:
    long = "||".join(["file.size == 1"] * 60)
    rules = [
        {"name": f"r{number}", "match": f"{long}||file.size > {10**15 + number}"} for number in range(64)
    ]
    create(cluster, namespace, [json.loads(policy(f"p{number:02}", rules)) for number in range(40)])
    operator = Operator(instance, options)
    with pauses() as longest:
        await start_working(operator)
        (stall,) = samples(operator.metrics(), "uploadpp_loop_longest_stall_seconds").values()
    assert stall < LONGEST_STALL_SECONDS + max(longest), "for longer than this machine itself"
    await asyncio.to_thread(kubectl, "wait", "--for=condition=Ready", "upppol/p00", "--timeout=60s")
    await asyncio.to_thread(kubectl, "wait", "--for=condition=Ready=False", "upppol/p39", "--timeout=60s")
    assert ready_condition(kubectl, "p39")["reason"] == "LimitExceeded"
    operator.stop()


def create(
    cluster: LocalCluster,
    namespace: str,
    policies: list[dict[str, Any]],
    labels: dict[str, str] | None = None,
) -> None:
    """Create policies."""
    api = ApiRequests(cluster.kubeconfig)
    for each in policies:
        each["metadata"]["labels"] = labels or {}
        api.create(f"/apis/{API_VERSION}/namespaces/{namespace}/postprocessingpolicies", each)


async def test_the_webhook_refuses_a_wrong_expression_on_every_replica(
    instance: Instance, options: OperatorOptions, kubectl: Kubectl, namespace: str, tmp_path: Path
) -> None:
    write_certificates(tmp_path)
    operators, ports = [], [free_port(), free_port()]
    for number, port in enumerate(ports):
        environment = {
            **options.environment,
            "UPLOADPP_WEBHOOK_ADDR": f"127.0.0.1:{port}",
            "UPLOADPP_WEBHOOK_CERT_FILE": str(tmp_path / "server.crt"),
            "UPLOADPP_WEBHOOK_KEY_FILE": str(tmp_path / "server.key"),
        }
        given = OperatorOptions(
            options.kubeconfig, options.nats_address, options.namespace, options.steps, environment
        )
        operators.append(Operator(instance, given, name=f"operator-{number}"))
    await start_working(*operators)
    for port in ports:  # one of them has no shard
        configuration = webhook_configuration(namespace, port, tmp_path / "ca.crt")
        kubectl("apply", "--filename=-", stdin=json.dumps(configuration))
        try:
            await until_refused(kubectl, "wrong", WRONG, words="rule typo: match: character ")
            with pytest.raises(KubectlError) as refused:
                apply(kubectl, "wrong", WRONG)
            assert "denied the request: this PostprocessingPolicy cannot be used: rule typo" in str(
                refused.value
            )
            assert "created" in apply(kubectl, f"good-{port}", RULES)
            unknown: list[dict[str, Any]] = [{"name": "all", "steps": [{"name": "later"}]}]
            assert "created" in apply(kubectl, f"warned-{port}", unknown)
        finally:
            kubectl("delete", "validatingwebhookconfiguration", namespace)
    for each in operators:
        each.stop()


def webhook_configuration(namespace: str, port: int, authority: Path) -> dict[str, Any]:
    """The API server asks the operator before it stores a policy."""
    return {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": namespace},
        "webhooks": [
            {
                "name": "policies.uploadpp.io",
                "admissionReviewVersions": ["v1"],
                "sideEffects": "None",
                "failurePolicy": "Fail",
                "timeoutSeconds": 5,
                "rules": [
                    {
                        "apiGroups": ["uploadpp.io"],
                        "apiVersions": ["v1alpha1"],
                        "resources": ["postprocessingpolicies"],
                        "operations": ["CREATE", "UPDATE"],
                    }
                ],
                "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}},
                "clientConfig": {
                    "url": f"https://127.0.0.1:{port}/policies/review",
                    "caBundle": base64.b64encode(authority.read_bytes()).decode(),
                },
            }
        ],
    }


async def until_refused(kubectl: Kubectl, name: str, rules: list[dict[str, Any]], *, words: str) -> None:
    """Wait until the API server asks the webhook."""

    async def refused() -> bool:
        try:
            await asyncio.to_thread(apply, kubectl, name, rules, "--dry-run=server")
        except KubectlError as error:
            return words in str(error)
        return False

    await until(refused)


class Account:
    """A service account that may or may not read policies."""

    def __init__(self, kubectl: Kubectl, namespace: str, folder: Path) -> None:
        self._kubectl = kubectl
        kubectl("create", "serviceaccount", "operator")
        self.allow(policies=False)
        who = f"--serviceaccount={namespace}:operator"
        kubectl("create", "rolebinding", "operator", "--role=operator", who)
        shown = json.loads(kubectl("config", "view", "--raw", "--output=json"))
        shown["users"][0]["user"] = {"token": kubectl("create", "token", "operator").strip()}
        self.kubeconfig = folder / "kubeconfig"
        self.kubeconfig.write_text(json.dumps(shown))

    def allow(self, *, policies: bool) -> None:
        """Have the Role grant what the operator needs."""
        ours = ["uploadpostprocessings", "uploadpostprocessings/status"]
        if policies:
            ours += ["postprocessingpolicies", "postprocessingpolicies/status"]
        rules = [
            {"apiGroups": ["uploadpp.io"], "resources": ours, "verbs": ["*"]},
            {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["*"]},
            {"apiGroups": [""], "resources": ["events"], "verbs": ["create", "patch"]},
        ]
        role = {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "Role",
            "metadata": {"name": "operator"},
            "rules": rules,
        }
        self._kubectl("apply", "--filename=-", stdin=json.dumps(role))
