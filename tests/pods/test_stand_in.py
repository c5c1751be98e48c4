"""The legacy service's Deployment with our image in it: install, upgrade and rollback, beside the operator.

The chart is one of our own, with the shape that ocis-charts and opencloud-microservices render: command,
variables, probe, security context, autoscaler and disruption budget.
"""

import asyncio
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from e2e.cluster.helm import Helm
from e2e.cluster.kubectl import Kubectl
from e2e.cluster.waiting import wait_until
from tests.driver import Driver
from tests.pods import guide
from tests.pods.conftest import Clock
from tests.pods.load import under_load
from tests.pods.site import NAMESPACE, RELEASE, Site

pytestmark = pytest.mark.timeout(900)
together = pytest.mark.asyncio(loop_scope="session")  # with the fixture `driver`

CHART = str(Path(__file__).with_name("oldchart"))
POD = "app=postprocessing"
NEVER = "1000990000"
"""A user of nobody, as OpenShift gives to each project."""
PLAYED = """
import asyncio, os, signal, nats
async def main():
    client = await nats.connect(os.environ["OCIS_EVENTS_ENDPOINT"])
    name, stream = "postprocessing", "main-queue"
    await client.jetstream().subscribe(stream, name, durable=name, stream=stream, manual_ack=True)
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    await stop.wait()
    await client.close()
asyncio.run(main())
"""
"""The real service as far as the operator can see it: it reads through its consumer. It drives nothing."""

PRODUCTS: dict[str, dict[str, Any]] = {
    "ocis": {"program": "ocis", "variables": "OCIS"},
    "opencloud": {
        "program": "opencloud",
        "variables": "OC",
        "strategy": {"type": "Recreate", "rollingUpdate": None},
    },
}


class OldChart:
    """The other chart's release, in a namespace of its own."""

    def __init__(self, site: Site, namespace: str, values: dict[str, Any]) -> None:
        self._site = site
        self.namespace = namespace
        self.kubectl = Kubectl(site.kubeconfig, namespace)
        self._helm = Helm(namespace, site.kubeconfig)
        repository, tag = (each.rpartition("=")[2] for each in site.image_values())
        image = {"repository": repository, "tag": tag}
        self._values = {**values, "image": image, "nats": f"nats.{NAMESPACE}.svc:9233"}
        self._played = {"played": ["python", "-c", PLAYED], "variables": "OCIS"}

    def install(self) -> None:
        """As it was before: the service itself."""
        self._wait("install", "old", CHART, values={**self._values, **self._played})

    def upgrade(self, **changed: Any) -> None:  # noqa: ANN401 -- values
        """With our image in the place of the service's."""
        self._wait("upgrade", "old", CHART, values={**self._values, **changed})

    def rollback(self, revision: int) -> None:
        """To an earlier revision."""
        self._wait("rollback", "old", str(revision))

    def _wait(self, *args: str, **values: dict[str, Any]) -> None:
        self._helm(*args, "--wait", "--timeout=100s", **values)

    def named(self, pod: dict[str, Any]) -> list[dict[str, Any]]:
        """What is left of a Pod: how it is, while it is there."""
        name = pod["metadata"]["name"]
        found = self.kubectl.json("get", "pods", f"--field-selector=metadata.name={name}")["items"]
        return [each["status"] for each in found]

    def pods(self) -> list[dict[str, Any]]:
        """Its Pods, but for those that are about to end."""
        found = self.kubectl.json("get", "pods", f"--selector={POD}")["items"]
        return [pod for pod in found if "deletionTimestamp" not in pod["metadata"]]


@pytest.fixture(scope="module", params=list(PRODUCTS))
def old(request: pytest.FixtureRequest, site: Site) -> Iterator[OldChart]:
    """The other chart, with the service itself, and the operator beside it."""
    namespace = f"old-{request.param}"
    Kubectl(site.kubeconfig)("create", "namespace", namespace)
    chart = OldChart(site, namespace, PRODUCTS[request.param])
    if not json.loads(site.helm("list", f"--filter=^{RELEASE}$", "--output=json")):
        install, _, _ = guide.commands()
        site.type([*install, *site.image_values()])
    yield chart
    Kubectl(site.kubeconfig)("delete", "namespace", namespace, "--wait=false")


READY = """
import urllib.error, urllib.request
try:
    urllib.request.urlopen("http://127.0.0.1:9255/readyz")
except urllib.error.HTTPError as error:
    print(error.read().decode())
"""
"""Asks the operator itself: its log says the same thing only once in half a minute."""
HOLDING = "the legacy service is running"


def unready(site: Site) -> str:
    """What the operator's readiness says is wrong; empty when it is ready."""
    return "".join(site.kubectl("exec", pod, "--", "python", "-c", READY) for pod in site.pods())


@together
async def test_one_value_switches_the_legacy_service_off_and_on(
    site: Site, driver: Driver, clock: Clock, old: OldChart
) -> None:
    old.install()
    assert wait_until(lambda: HOLDING in unready(site), 60), unready(site)
    started = time.monotonic()
    old.upgrade()
    assert wait_until(lambda: not unready(site), 60), unready(site)
    clock.note(f"helm upgrade --wait of {old.namespace} until the operator works", time.monotonic() - started)
    (pod,) = old.pods()
    assert "only takes the place" in old.kubectl("logs", pod["metadata"]["name"])
    assert pod["spec"]["containers"][0]["securityContext"]["readOnlyRootFilesystem"]

    # Each further upgrade of that chart, with an autoscaler and a budget, disturbs no upload.
    done = await under_load(site, driver, lambda: old.upgrade(autoscaling=True, budget=True))
    clock.note(f"longest wait of an upload during an upgrade of {old.namespace}", done.longest_wait_seconds)
    await under_load(site, driver, lambda: old.upgrade(labels={"changed": "yes"}))

    # The way back, and in again.
    old.rollback(1)
    assert wait_until(lambda: HOLDING in unready(site), 60), unready(site)
    old.rollback(2)
    assert wait_until(lambda: not unready(site), 60), unready(site)
    await under_load(site, driver, lambda: None)

    await asyncio.sleep(8)  # until it has been probed
    (pod,) = old.pods()
    assert [each["restartCount"] for each in pod["status"]["containerStatuses"]] == [0]
    old.kubectl("delete", "pod", pod["metadata"]["name"], "--wait=false")
    assert wait_until(lambda: not old.named(pod), 15), old.named(pod)  # after 30 seconds it would be killed


def test_it_runs_as_anybody_without_any_right(site: Site) -> None:
    """Any user, a read-only root file system, no capability, no token: under the restricted standard."""
    repository, tag = (each.rpartition("=")[2] for each in site.image_values())
    security = {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    container = {
        "name": "postprocessing",
        "image": f"{repository}:{tag}",
        "imagePullPolicy": "IfNotPresent",
        "command": ["ocis"],
        "args": ["postprocessing", "server"],
        "env": [{"name": "POSTPROCESSING_DEBUG_ADDR", "value": "0.0.0.0:9255"}],
        "securityContext": security,
        "readinessProbe": {"httpGet": {"path": "/readyz", "port": 9255}, "periodSeconds": 1},
    }
    user = {"runAsNonRoot": True, "runAsUser": int(NEVER), "seccompProfile": {"type": "RuntimeDefault"}}
    body = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "stand-in"},
        "spec": {"automountServiceAccountToken": False, "securityContext": user, "containers": [container]},
    }
    site.kubectl("apply", "--filename=-", stdin=json.dumps(body))
    site.kubectl("wait", "--for=condition=Ready", "pod/stand-in", "--timeout=60s", timeout=70)
    assert f"\t{NEVER}\t" in site.kubectl("exec", "stand-in", "--", "cat", "/proc/1/status")
    assert site.kubectl("exec", "stand-in", "--", "opencloud", "postprocessing", "health") == ""
    site.kubectl("delete", "pod", "stand-in")
