"""Installed with real Helm on a real API server, run with only the token of the chart's ServiceAccount."""

import asyncio
import contextlib
import json
import re
import urllib.error
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from e2e.cluster.http import get
from e2e.cluster.instance import Instance
from e2e.cluster.kubectl import KubectlError
from e2e.cluster.local import LocalCluster
from e2e.cluster.nats import NatsServer
from e2e.demo.steps.service import Answer, serving
from e2e.demo.storage import Storage
from e2e.demo.wire import Event
from tests.chart.pod import NAME, POD_UID, Installation
from tests.driver import log_lines
from uploadpp.core.lease_claim import pod_of
from uploadpp.ownership.drain import LONGEST_SECONDS

USER, PASSWORD = "postprocessing", "made-up"


class GuardedNats(NatsServer):
    """A NATS server that wants a user and a password."""

    @property
    def url(self) -> str:
        """Where clients find it, with what they need to get in."""
        return f"nats://{USER}:{PASSWORD}@{self.address}"

    def argv(self) -> list[str]:
        """The command line."""
        return [*super().argv(), f"--user={USER}", f"--pass={PASSWORD}"]


@pytest.fixture
def nats(instance: Instance) -> NatsServer:
    server = GuardedNats(instance)
    server.start()
    return server


@pytest.fixture
def installation(
    bare_cluster: LocalCluster, instance: Instance, namespace: str, nats: NatsServer
) -> Installation:
    """What a platform team would install here, not yet installed; the login is in a Secret of its own."""
    made = Installation(
        bare_cluster,
        instance,
        namespace,
        {
            "nats": {
                "endpoints": [nats.address],
                "auth": {"userPassword": {"existingSecret": "nats-login"}},
            },
            "steps": [{"name": "virusscan", "timeoutSeconds": 60, "backoffSeconds": 1}, {"name": "policies"}],
            "rbac": {"aggregate": False},  # the release of one namespace after another has this name
        },
    )
    login = [f"--from-literal=username={USER}", f"--from-literal=password={PASSWORD}"]
    made.kubectl("create", "secret", "generic", "nats-login", *login)
    return made


@contextlib.asynccontextmanager
async def storage(nats: NatsServer, folder: Path) -> AsyncIterator[Storage]:
    """A storage, and both steps; the scanner needs a second try."""
    outcomes = iter(["retry"])

    async def scan(_: Event) -> Answer:
        return Answer(next(outcomes, "continue"))

    async def allow(_: Event) -> Answer:
        return Answer("continue")

    async with (
        serving(nats.url, "virusscan", scan),
        serving(nats.url, "policies", allow),
        Storage(folder, nats.url) as made,
    ):
        yield made


async def until(check: Callable[[], bool]) -> None:
    """Wait until it is so, with the services of this process at work meanwhile."""
    async with asyncio.timeout(60):
        while not await asyncio.to_thread(check):  # noqa: ASYNC110 -- other processes send no asyncio events
            await asyncio.sleep(0.1)


def reason(installation: Installation, upload: str) -> str:
    """Where an upload stands; empty when it has no resource or status yet."""
    with contextlib.suppress(KubectlError):
        conditions = installation.kubectl.json("get", "upp", upload).get("status", {}).get("conditions", [])
        return next((each["reason"] for each in conditions if each["type"] == "Succeeded"), "")
    return ""


async def test_an_upload_goes_through_with_the_rights_of_the_chart(
    installation: Installation, nats: NatsServer, tmp_path: Path
) -> None:
    installation.install()
    operator = installation.operator()
    operator.start()
    async with storage(nats, tmp_path) as store:
        upload = await store.upload("plan.pdf", b"a plan")
        await until(lambda: reason(installation, upload) == "Completed")
        assert store.actions(upload) == ["released"]
        await until(lambda: "RetryScheduled" in installation.kubectl("get", "events"))
    (lease,) = installation.kubectl.json("get", "leases")["items"]
    assert pod_of(lease["spec"]["holderIdentity"]) == POD_UID
    operator.stop()
    assert "forbidden" not in operator.log.read_text()


async def test_uninstalled_it_ends_calmly(
    installation: Installation, nats: NatsServer, tmp_path: Path
) -> None:
    """Helm takes the rights away while the Pod is ending. What cannot be done any more is said once each."""
    installation.install(leaseDurationSeconds=300)  # no renewal falls into the end
    operator = installation.operator()
    operator.start()
    async with storage(nats, tmp_path) as store:
        upload = await store.upload("plan.pdf", b"a plan")
        await until(lambda: reason(installation, upload) == "Completed")
        await asyncio.to_thread(installation.helm, "uninstall", NAME)
        late = [await store.upload(f"{number}.pdf", b"too late to be recorded") for number in range(30)]
        await until(lambda: all("released" in store.actions(each) for each in late))
        await until(lambda: "cannot create an Event" in operator.log.read_text())
        await until(lambda: "cannot tell whether unknown uploads" in operator.log.read_text())
        told = asyncio.get_running_loop().time()
        await asyncio.to_thread(operator.stop)
        took = asyncio.get_running_loop().time() - told
        assert took < LONGEST_SECONDS, "it has waited for what cannot be written"
    text = operator.log.read_text()
    lines = log_lines(text)
    # How long the loop has stood still, and whether one of the looks at our rights came in between, say
    # something about the machine.
    loud = [line for line in lines if line["level"] != "INFO"]
    rights = [line["message"] for line in loud if line["logger"].endswith(".rights")]
    assert len(rights) == len(set(rights)), text
    ours = [line for line in loud if not line["logger"].endswith((".stalls", ".rights"))]
    warnings = [re.split("[,:]", line["message"])[0] for line in ours]
    assert sorted(warnings[:-1]) == [
        "cannot create an Event",
        "cannot tell whether unknown uploads have resources",
        "checkpoint not written",
    ], text
    assert warnings[-1] == "lease not released", text
    assert "Traceback" not in text
    assert lines[-1]["message"] == "stopped"


def test_helm_test_sends_an_upload_through(installation: Installation) -> None:
    installation.install()
    operator = installation.operator()
    operator.start()
    done = installation.selftest()
    assert done.returncode == 0, done.stdout + done.stderr + operator.log_tail()
    assert "released the file and recorded it" in done.stdout
    assert installation.kubectl("get", "upp", "--output=name") == ""
    operator.stop()
    done = installation.selftest("--timeout=15")
    assert done.returncode == 1
    assert "no event of the operator on the stream within 15 s; is the operator ready?" in done.stderr
    assert installation.kubectl("get", "upp", "--output=name") == ""


LACKING = {
    ("uploadpostprocessings", "list"): 'cannot list resource "uploadpostprocessings"',
    ("uploadpostprocessings/status", "patch"): 'cannot patch resource "uploadpostprocessings/status"',
    ("leases", "create"): 'cannot create resource "leases"',
    ("leases", "get"): 'cannot get resource "leases"',
    ("events", "create"): 'cannot create resource "events"',
}


@pytest.mark.parametrize(("resource", "verb"), LACKING)
async def test_without_a_rule_the_operator_says_what_it_lacks(
    installation: Installation, nats: NatsServer, tmp_path: Path, resource: str, verb: str
) -> None:
    installation.install()
    rules = installation.kubectl.json("get", "role", NAME)["rules"]
    kept = [rule for rule in rules if resource not in rule["resources"] or verb not in rule["verbs"]]
    assert len(kept) == len(rules) - 1
    patch = json.dumps({"rules": kept})
    installation.kubectl("patch", "role", NAME, "--type=merge", f"--patch={patch}")
    operator = installation.operator()
    operator.launch()
    async with storage(nats, tmp_path) as store:
        await store.upload("plan.pdf", b"a plan")
        await until(lambda: LACKING[resource, verb] in operator.log.read_text().replace("\\", ""))
        if resource == "leases":
            await until(lambda: "cannot get the lease uploadpp-shard-0" in readiness(operator.url))
    operator.kill()


def readiness(url: str) -> str:
    """What /readyz says when it is not ready; empty when it is."""
    try:
        get(f"{url}/readyz")
    except urllib.error.HTTPError as error:
        with error:
            return error.read().decode()
    return ""


def test_upgrade_rollback_and_uninstall_keep_uploads_and_the_key(
    installation: Installation, namespace: str
) -> None:
    helm, kubectl = installation.helm, installation.kubectl
    notes = installation.install()
    assert f"kubectl --namespace {namespace} rollout status deployment/{NAME}" in notes
    assert "Steps: virusscan, policies" in notes
    upload = {
        "apiVersion": "uploadpp.io/v1alpha1",
        "kind": "UploadPostprocessing",
        "metadata": {"name": "u1"},
        "spec": {"upload": {"id": "u1"}},
    }
    kubectl("create", "--filename=-", stdin=json.dumps(upload))
    resource = kubectl.json("get", "upp", "u1")
    key = kubectl.json("get", "secret", f"{NAME}-sealing-key")["data"]

    installation.install(replicas=2, steps=[])
    assert kubectl.json("get", "deployment", NAME)["spec"]["replicas"] == 2
    assert kubectl("get", "pdb", "--output=name")
    helm("rollback", NAME, "1")
    assert kubectl.json("get", "deployment", NAME)["spec"]["replicas"] == 1
    assert not kubectl("get", "pdb", "--output=name")
    helm("uninstall", NAME)
    assert not kubectl("get", "deployments,roles,rolebindings,serviceaccounts", "--output=name")
    assert kubectl.json("get", "upp", "u1") == resource

    installation.install()
    assert kubectl.json("get", "secret", f"{NAME}-sealing-key")["data"] == key
    assert kubectl.json("get", "upp", "u1") == resource
