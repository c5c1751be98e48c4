"""The local cluster does what tests of crashes rely on, and leaves nothing behind."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nats as nats_client
import pytest

from e2e.cluster.existing import ExistingCluster
from e2e.cluster.http import get
from e2e.cluster.identity import ProcessIdentity
from e2e.cluster.instance import Instance, reap_leftovers
from e2e.cluster.kubeconfig import write_kubeconfig
from e2e.cluster.kubectl import Kubectl, KubectlError, apply_crds
from e2e.cluster.local import LocalCluster
from e2e.cluster.nats import NatsServer
from e2e.cluster.waiting import wait_until
from e2e.paths import REPO

CRD = """
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: widgets.test.uploadpp.io}
spec:
  group: test.uploadpp.io
  scope: Namespaced
  names: {kind: Widget, plural: widgets}
  versions:
    - name: v1
      served: true
      storage: true
      schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}
"""

# Starts NATS in an instance of its own, says where, and waits to be killed.
CALLER = """
import json, sys, time
from e2e.cluster.instance import Instance
from e2e.cluster.nats import NatsServer
instance = Instance.temporary("orphan")
instance.detached = sys.argv[1] == "without-death-signal"
server = NatsServer(instance)
server.start()
print(json.dumps([str(instance.folder), server.process.pid]), flush=True)
time.sleep(60)
"""


@pytest.fixture(scope="module")
def breakable() -> Iterator[LocalCluster]:
    """A cluster that no other test module uses while its servers are killed."""
    with LocalCluster() as running:
        yield running


def start_caller(mode: str) -> tuple[subprocess.Popen[str], Path, ProcessIdentity]:
    caller = subprocess.Popen(
        [sys.executable, "-c", CALLER, mode], cwd=REPO, stdout=subprocess.PIPE, text=True
    )
    assert caller.stdout is not None
    folder, pid = json.loads(caller.stdout.readline())
    server = ProcessIdentity.of(pid)
    assert server is not None
    return caller, Path(folder), server


def kill_caller(caller: subprocess.Popen[str]) -> None:
    caller.kill()
    caller.communicate()


def test_fixture_cluster_serves_a_namespace(kubectl: Kubectl, namespace: str) -> None:
    kubectl("create", "configmap", "some", "--from-literal=a=b")
    assert kubectl.json("get", "configmap", "some")["metadata"]["namespace"] == namespace
    with pytest.raises(KubectlError, match="NotFound"):
        kubectl("get", "configmap", "other")


def test_fixture_cluster_issues_service_account_tokens_and_enforces_rbac(
    cluster: LocalCluster, kubectl: Kubectl, namespace: str, tmp_path: Path
) -> None:
    kubectl("create", "serviceaccount", "nobody")
    kubectl("create", "role", "reader", "--verb=get", "--resource=secrets")
    kubectl("create", "rolebinding", "reader", "--role=reader", f"--serviceaccount={namespace}:nobody")
    path = tmp_path / "kubeconfig"
    write_kubeconfig(
        path,
        server=cluster.apiserver.url,
        ca=cluster.apiserver.ca_file.read_bytes(),
        token=kubectl("create", "token", "nobody").strip(),
    )
    limited = Kubectl(path, namespace)

    def may_look() -> bool:
        """The API server learns of a binding a moment after it has stored it."""
        try:
            limited("get", "secret", "absent")
        except KubectlError as error:
            return "NotFound" in str(error)
        return False

    assert wait_until(may_look, 30)
    with pytest.raises(KubectlError, match="Forbidden"):
        limited("get", "configmap", "absent")


def test_apiserver_metrics(cluster: LocalCluster) -> None:
    assert "apiserver_request_total" in cluster.metrics()


def test_existing_cluster_is_checked_and_left_alone(cluster: LocalCluster) -> None:
    provider = ExistingCluster({"UPLOADPP_KUBECONFIG": str(cluster.kubeconfig)})
    assert provider.start() == cluster.kubeconfig
    provider.stop()
    assert cluster.apiserver.process is not None


@pytest.mark.parametrize("kill", [False, True], ids=["graceful", "killed"])
@pytest.mark.parametrize("server", ["apiserver", "etcd"])
def test_restart_keeps_data_and_address(breakable: LocalCluster, server: str, *, kill: bool) -> None:
    kubectl = Kubectl(breakable.kubeconfig)
    name = f"kept-{server}-{kill}".lower()
    kubectl("create", "configmap", name)
    service = getattr(breakable, server)
    before, url = service.process, service.url
    service.restart(kill=kill)
    assert service.process not in (None, before)
    assert service.url == url
    breakable.apiserver.wait_ready()
    assert kubectl("get", "configmap", name, "--output=name").strip() == f"configmap/{name}"


def test_frozen_apiserver_does_not_answer(breakable: LocalCluster) -> None:
    kubectl = Kubectl(breakable.kubeconfig)
    breakable.apiserver.pause()
    try:
        with pytest.raises(KubectlError):
            kubectl("get", "namespaces", "--request-timeout=1s")
    finally:
        breakable.apiserver.resume()
    assert "default" in kubectl("get", "namespaces")


def test_apply_crds_waits_until_served(breakable: LocalCluster, tmp_path: Path) -> None:
    (tmp_path / "widget.yaml").write_text(CRD)
    apply_crds(breakable.kubeconfig, tmp_path)
    widget = {"apiVersion": "test.uploadpp.io/v1", "kind": "Widget", "metadata": {"name": "one"}}
    kubectl = Kubectl(breakable.kubeconfig, "default")
    kubectl("create", "--filename=-", stdin=json.dumps(widget))
    assert kubectl.json("get", "widgets")["items"][0]["metadata"]["name"] == "one"


def test_stop_leaves_nothing() -> None:
    cluster = LocalCluster()
    cluster.start()
    folder = cluster.instance.folder
    processes = list(cluster.instance.processes().values())
    assert len(processes) == 2
    cluster.stop()
    assert not folder.exists()
    assert not any(process.alive() for process in processes)


def test_servers_die_with_a_killed_caller() -> None:
    caller, folder, server = start_caller("with-death-signal")
    kill_caller(caller)
    assert wait_until(lambda: not server.alive(), 30)
    reap_leftovers()
    assert not folder.exists()


def test_next_start_ends_what_survived_a_killed_caller() -> None:
    caller, folder, server = start_caller("without-death-signal")
    reap_leftovers()
    assert server.alive(), "reaped while its owner lives"
    kill_caller(caller)
    Instance.temporary("next").close()
    assert not server.alive()
    assert not folder.exists()


def test_process_with_a_reused_pid_is_left_alone(instance: Instance) -> None:
    bystander = subprocess.Popen(["sleep", "60"])
    try:
        identity = ProcessIdentity.of(bystander.pid)
        assert identity is not None
        earlier = vars(identity) | {"started": identity.started - 1}
        instance.save("processes/etcd", earlier)
        instance.close()
        assert bystander.poll() is None
        assert not ProcessIdentity(**earlier).send(signal.SIGKILL)
    finally:
        bystander.kill()
        bystander.wait()


async def stream_names(server: NatsServer) -> list[str]:
    client = await nats_client.connect(server.url)
    try:
        return [info.config.name or "" for info in await client.jetstream().streams_info()]
    finally:
        await client.close()


async def test_nats_keeps_or_loses_its_streams(nats: NatsServer) -> None:
    client = await nats_client.connect(nats.url)
    await client.jetstream().add_stream(name="main-queue", subjects=["main-queue"])
    await client.jetstream().publish("main-queue", b"one")
    await client.close()
    url = nats.url
    for kill in (False, True):
        nats.restart(kill=kill)
        assert nats.url == url
        assert await stream_names(nats) == ["main-queue"]
        state: dict[str, Any] = json.loads(get(f"{nats.monitor_url}/jsz"))
        assert state["messages"] == 1
    nats.restart_empty()
    assert await stream_names(nats) == []


def test_start_of_a_running_server_does_nothing(nats: NatsServer) -> None:
    process = nats.process
    nats.start()
    again = NatsServer(nats.instance)
    assert again.url == nats.url
    assert again.process == process


def test_broken_server_says_why(instance: Instance) -> None:
    started = time.monotonic()
    server = NatsServer(instance, store=Path("/proc/nowhere"))
    with pytest.raises(RuntimeError, match="nowhere"):
        server.start()
    assert time.monotonic() - started < NatsServer.start_timeout / 2
