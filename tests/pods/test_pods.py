"""The life of an installation on a cluster with real Pods, in the order in which an administrator lives it.

Each test goes on where the one before has ended; run the whole file (`make e2e`).
"""

import asyncio
import json
import time

import pytest

from tests.driver import Driver, log_lines
from tests.pods import guide
from tests.pods.conftest import Clock
from tests.pods.load import under_load
from tests.pods.site import NAMESPACE, POD_SELECTOR, RELEASE, Site

pytestmark = pytest.mark.timeout(900)
together = pytest.mark.asyncio(loop_scope="session")  # with the fixture `driver`

LONG_LEASE = {"leaseDurationSeconds": 120}
"""Whoever has to wait for the end of this Lease is found out: the uploads would not be done in time."""
NEVER = 1000990000
"""A user of nobody, as OpenShift gives to each project."""
FEW = 6
"""Lines about what cannot be done any more, however many uploads there are."""


def test_installed_as_the_guide_says(site: Site, clock: Clock) -> None:
    install, selftest, look = guide.commands()
    started = time.monotonic()
    notes = site.type([*install, *site.image_values()])
    clock.note("helm install --wait", time.monotonic() - started)
    assert f"helm --namespace {NAMESPACE} test {RELEASE}" in notes
    started = time.monotonic()
    assert "Phase:          Succeeded" in site.type(selftest)
    clock.note("helm test", time.monotonic() - started)
    site.type(look)


def test_it_has_no_rights_on_its_node(site: Site) -> None:
    (pod,) = site.pods()
    status = site.kubectl("exec", pod, "--", "cat", "/proc/1/status")
    found = dict(line.split(":", 1) for line in status.splitlines())
    assert found["Uid"].split() == ["65532"] * 4
    assert int(found["CapEff"], 16) == int(found["CapBnd"], 16) == 0
    assert found["NoNewPrivs"].strip() == "1"
    assert found["Seccomp"].strip() == "2"  # a filter
    mounts = site.kubectl("exec", pod, "--", "cat", "/proc/1/mounts").splitlines()
    options = {line.split()[1]: line.split()[3].split(",")[0] for line in mounts}
    assert options["/"] == "ro"
    assert options["/etc/uploadpp"] == "ro"


@together
async def test_uploads_go_through(site: Site, driver: Driver, clock: Clock) -> None:
    done = await under_load(site, driver, lambda: None)
    clock.note("longest wait of an upload for its first step, undisturbed", done.longest_wait_seconds)
    assert f"{done.ids[0]}.pdf" in site.kubectl("get", "upp", done.ids[0], "--output=wide")
    assert "Completed" in site.kubectl("describe", "upp", done.ids[0])


@together
async def test_it_works_as_a_user_that_the_cluster_has_chosen(
    site: Site, driver: Driver, clock: Clock
) -> None:
    """As OpenShift does: a user that the image does not know, of the group root."""
    anybody = {"runAsUser": NEVER, "runAsGroup": 0, "fsGroup": NEVER}
    done = await under_load(site, driver, lambda: site.upgrade(podSecurityContext=anybody))
    clock.note("longest wait during helm upgrade to another user", done.longest_wait_seconds)
    (pod,) = site.pods()
    status = site.kubectl("exec", pod, "--", "cat", "/proc/1/status")
    found = dict(line.split(":", 1) for line in status.splitlines())
    assert found["Uid"].split() == [str(NEVER)] * 4
    assert int(found["CapBnd"], 16) == 0


@together
async def test_a_deleted_pod_loses_nothing(site: Site, driver: Driver, clock: Clock) -> None:
    site.upgrade(**LONG_LEASE)
    (pod,) = site.pods()
    done = await under_load(site, driver, lambda: replace(site, pod))
    clock.note("longest wait while the only Pod is replaced", done.longest_wait_seconds)


@together
async def test_a_killed_container_does_not_wait_for_itself(site: Site, driver: Driver, clock: Clock) -> None:
    if not site.has_its_processes_here:
        pytest.skip("the processes of this cluster are elsewhere")
    (pod,) = site.pods()
    done = await under_load(site, driver, lambda: site.kill_container(pod))
    clock.note("longest wait while the only container is killed and started again", done.longest_wait_seconds)
    assert site.pods() == [pod]


@together
async def test_an_upgrade_hands_over(site: Site, driver: Driver, clock: Clock) -> None:
    done = await under_load(site, driver, lambda: site.upgrade(**LONG_LEASE, log={"level": "debug"}))
    clock.note("longest wait during helm upgrade, one replica", done.longest_wait_seconds)
    site.upgrade(**LONG_LEASE, replicas=2, podDisruptionBudget={"enabled": True})
    assert len(site.pods()) == 2
    done = await under_load(
        site, driver, lambda: site.upgrade(**LONG_LEASE, replicas=2, podAnnotations={"changed": "yes"})
    )
    clock.note("longest wait during helm upgrade, two replicas", done.longest_wait_seconds)


@together
async def test_a_standby_takes_over_from_a_drained_node(site: Site, driver: Driver, clock: Clock) -> None:
    owner = site.owner()
    assert owner in site.pods()
    done = await under_load(site, driver, lambda: evict(site, owner))
    clock.note("longest wait when the working one of two Pods is evicted", done.longest_wait_seconds)
    assert site.owner() != owner


@together
async def test_a_rollback_hands_over(site: Site, driver: Driver, clock: Clock) -> None:
    revision = len(json.loads(site.helm("history", RELEASE, "--output=json")))
    back = ["rollback", RELEASE, str(revision - 1), "--wait", "--timeout=100s"]
    done = await under_load(site, driver, lambda: site.helm(*back))
    clock.note("longest wait during helm rollback", done.longest_wait_seconds)


@together
async def test_the_plugin_finds_everything_in_order(site: Site, driver: Driver) -> None:
    done = await under_load(site, driver, lambda: None)
    report = site.type(["kubectl", "pp", "doctor", f"--namespace={NAMESPACE}"])
    assert "✔ event stream: 0 unread messages" in report, report  # the metrics of the Pod could be asked for
    logs = site.type(["kubectl", "pp", "logs", done.ids[0], f"--namespace={NAMESPACE}"])
    assert done.ids[0] in logs


@together
async def test_uninstalled_and_installed_again(site: Site, driver: Driver, clock: Clock) -> None:
    """Helm takes the operator's rights away while it ends; with the usual Lease that is soon over."""
    await asyncio.to_thread(site.upgrade)
    before, log = uploads(site), site.follow_log()
    assert before

    def uninstall_and_install() -> None:
        site.helm("uninstall", RELEASE, "--wait")
        site.kubectl(
            "wait", "--for=delete", "pods", f"--selector={POD_SELECTOR}", "--timeout=60s", timeout=70
        )
        assert uploads(site) >= before
        install, _, _ = guide.commands()
        site.type([*install, *site.image_values()])

    done = await under_load(site, driver, uninstall_and_install)
    clock.note("longest wait during helm uninstall and helm install", done.longest_wait_seconds)
    lines = log_lines(log.read_text())
    assert lines[-1]["message"] == "stopped"
    complaints = [line["message"] for line in lines if line["level"] not in {"INFO", "DEBUG"}]
    assert len(complaints) <= FEW, complaints
    assert "the permissions were removed, as when the release is uninstalled" in complaints[-1]


def test_every_pod_ended_in_time_and_by_itself(site: Site) -> None:
    statuses = site.exit_statuses()
    assert len(statuses) >= 8, statuses  # those that the tests before have replaced
    assert set(statuses.values()) == {"0"}, "137 is a process that was killed when its grace period was over"


def replace(site: Site, pod: str) -> None:
    """Delete a Pod, and wait until another one works in its place."""
    site.kubectl("delete", "pod", pod)
    site.kubectl("rollout", "status", f"deployment/{RELEASE}", "--timeout=100s", timeout=110)


def evict(site: Site, pod: str) -> None:
    """As `kubectl drain` does: the disruption budget is asked."""
    body = {
        "apiVersion": "policy/v1",
        "kind": "Eviction",
        "metadata": {"name": pod, "namespace": NAMESPACE},
    }
    path = f"/api/v1/namespaces/{NAMESPACE}/pods/{pod}/eviction"
    site.kubectl("create", f"--raw={path}", "--filename=-", stdin=json.dumps(body))
    site.kubectl("wait", "--for=delete", f"pod/{pod}", "--timeout=60s", timeout=70)
    site.kubectl("rollout", "status", f"deployment/{RELEASE}", "--timeout=100s", timeout=110)


def uploads(site: Site) -> set[str]:
    """The names of all resources."""
    return {item["metadata"]["name"] for item in site.kubectl.json("get", "upp")["items"]}
