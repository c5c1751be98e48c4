"""Uploads do not move, each time for another reason: `doctor` ends with 1 and names it."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from cryptography.fernet import Fernet

from e2e.cluster.instance import Instance
from e2e.cluster.kubectl import Kubectl
from e2e.cluster.nats import NatsServer
from e2e.cluster.waiting import wait_until
from e2e.operator_process import Operator, OperatorOptions
from tests.driver import bytes_received
from tests.integration.test_rights import Account
from tests.plugin.conftest import Plugin
from tests.plugin.resources import Json, Writer
from tests.plugin.test_goldens import STATES, stalled
from tests.plugin.test_operator import address, send, stage, until
from uploadpp.testing.events import new_message, step_finished

__all__ = ["address"]

LABELS = {"app.kubernetes.io/name": "upload-postprocessing"}
STEP = {"app.kubernetes.io/name": "upload-postprocessing-step", "uploadpp.io/step": "virusscan"}
PATIENCE_SECONDS = 40.0


def until_named(pp: Plugin, words: str, *arguments: str) -> str:
    """Ask until it names the cause; returns all that it says."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        found = pp("doctor", *arguments, COLUMNS="300")
        if words in found.out:
            assert found.code == 1, found.out
            return found.out
        assert time.monotonic() < deadline, found.out
        time.sleep(0.2)


@pytest.fixture
def operator(
    kubectl: Kubectl, instance: Instance, nats: NatsServer, namespace: str, tmp_path: Path
) -> Iterator[Operator]:
    """The real operator, with the rights of an account whose Role can be taken away."""
    Account(kubectl, namespace)
    shown = json.loads(kubectl("config", "view", "--raw", "--output=json"))
    shown["users"][0]["user"] = {"token": kubectl("create", "token", "operator").strip()}
    config = tmp_path / "operators-kubeconfig"
    config.write_text(json.dumps(shown))
    settings = {"UPLOADPP_LEASE_DURATION": "2s", "UPLOADPP_STALL_AFTER": "1s"}
    options = OperatorOptions(config, nats.address, namespace, ("virusscan", "policies"), settings)
    made = Operator(instance, options)
    made.start()
    yield made
    made.stop()


def test_what_keeps_uploads_from_moving_is_named(
    pp: Plugin, writer: Writer, operator: Operator, nats: NatsServer, kubectl: Kubectl
) -> None:
    metrics = f"--metrics-url={operator.url}/metrics"
    until_named(pp, "no service listens for step virusscan: its uploads wait", metrics)

    send(nats, bytes_received("one"), bytes_received("two"))
    stage(writer, "two", "Running")
    kubectl("patch", "upp", "two", "--type=merge", '--patch={"spec":{"desiredState":"Suspended"}}')
    edited = kubectl.json("get", "upp", "two")["metadata"]["generation"]
    until(writer, "two", lambda status: bool(status.get("observedGeneration", 0) >= edited))
    send(nats, new_message("PostprocessingStepFinished", step_finished("two", "virusscan", "continue")))
    stage(writer, "two", "Suspended")
    said = until_named(pp, "one has been stuck for ", metrics)
    assert "none of them makes progress" in said
    assert "1 uploads are suspended" in said
    assert "kubectl pp unsuspend --all" in said

    kubectl("delete", "rolebinding", "operator")
    assert "does not process uploads: " in until_named(pp, "no permission to ", metrics)
    kubectl(
        "create", "rolebinding", "operator", "--role=operator", f"--serviceaccount={pp.namespace}:operator"
    )
    # Without its rights, which take a moment to come back, it could not give its Lease back.
    assert wait_until(lambda: "the operator does not" not in pp("doctor", metrics).out, PATIENCE_SECONDS)

    operator.stop()
    until_named(pp, "no operator is running: Lease ", metrics)
    key = operator.sealing_key_file.read_bytes()
    operator.sealing_key_file.write_bytes(Fernet.generate_key())
    operator.launch()
    until_named(pp, "the operator does not have the key that sealed uploads in flight", metrics)
    operator.stop()
    operator.sealing_key_file.write_bytes(key)
    operator.start()
    nats.stop()
    until_named(pp, "the operator does not process uploads: NATS is not connected", metrics)


def test_all_uploads_wait_for_a_person(pp: Plugin, writer: Writer) -> None:
    """A held upload alone is for a person, not wrong; but nothing moves any more."""
    writer.put(STATES["held"]("held"))
    said = until_named(pp, "none of them makes progress")
    assert "held has been stuck for " in said
    writer.put(STATES["backing-off"]("moving"))
    assert "none of them makes progress" not in pp("doctor").out
    writer.put(stalled("stuck"))
    assert "stuck has been stuck for " in pp("doctor").out


def deployment(name: str, labels: Json, replicas: int, status: Json) -> tuple[Json, Json]:
    spec = {
        "replicas": replicas,
        "selector": {"matchLabels": labels},
        "template": {
            "metadata": {"labels": labels},
            "spec": {"containers": [{"name": "operator", "image": "none"}]},
        },
    }
    return {"metadata": {"name": name, "labels": labels}, "spec": spec}, {"status": status}


QUOTA = 'pods "some" is forbidden: exceeded quota: pods'
REFUSED = {"conditions": [{"type": "ReplicaFailure", "status": "True", "message": QUOTA}]}
DEPLOYMENTS = {
    "operator-scaled-to-0": (LABELS, 0, {}, "no operator is running: Deployment some is scaled to 0"),
    "operator-quota": (LABELS, 1, REFUSED, f"Deployment some cannot create its Pods: {QUOTA}"),
    "step-without-pods": (STEP, 1, {}, "the step service virusscan has no ready Pod"),
    "step-quota": (STEP, 1, REFUSED, f"the step service virusscan cannot create its Pods: {QUOTA}"),
}


@pytest.mark.parametrize(("labels", "replicas", "status", "words"), DEPLOYMENTS.values(), ids=DEPLOYMENTS)
def test_why_there_is_no_pod(
    pp: Plugin, writer: Writer, labels: Json, replicas: int, status: Json, words: str
) -> None:
    path = f"/apis/apps/v1/namespaces/{pp.namespace}/deployments"
    body, told = deployment("some", labels, replicas, status)
    writer.request("POST", path, body)
    writer.request("PATCH", f"{path}/some/status", told)
    until_named(pp, words)


@pytest.fixture
def pod(pp: Plugin, writer: Writer, address: str) -> Iterator[Callable[[str, Json, str], None]]:
    """Makes a running Pod that says why it is not ready."""
    servers: list[ThreadingHTTPServer] = []

    def make(name: str, labels: Json, words: str) -> None:
        class Probed(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(503 if self.path == "/readyz" else 404)
                self.end_headers()
                self.wfile.write(words.encode())

            def log_message(self, *_: object) -> None:
                pass

        server = ThreadingHTTPServer((address, 9255), Probed)
        servers.append(server)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        path = f"/api/v1/namespaces/{pp.namespace}/pods"
        spec = {"nodeName": "n", "containers": [{"name": "operator", "image": "none"}]}
        writer.request("POST", path, {"metadata": {"name": name, "labels": labels}, "spec": spec})
        status = {"phase": "Running", "podIP": address, "podIPs": [{"ip": address}]}
        writer.request("PATCH", f"{path}/{name}/status", {"status": status})

    yield make
    for server in servers:
        server.shutdown()
        server.server_close()


def test_a_lease_that_a_stranger_keeps(
    pp: Plugin, writer: Writer, pod: Callable[[str, Json, str], None]
) -> None:
    """It is renewed, so it looks well; and our own Pod only stands by, for nobody."""
    leases = f"/apis/coordination.k8s.io/v1/namespaces/{pp.namespace}/leases"
    now = time.strftime("%Y-%m-%dT%H:%M:%S.000000Z", time.gmtime())
    spec = {"holderIdentity": "nobody_1", "leaseDurationSeconds": 3600, "renewTime": now}
    writer.request("POST", leases, {"metadata": {"name": "uploadpp-shard-0"}, "spec": spec})
    words = "standing by for nobody_1, which has sent no heartbeat on NATS for 20 s"
    pod("operator-1", LABELS, words)
    until_named(pp, f"operator operator-1 does not process uploads: {words}")


def test_a_step_says_why_it_is_not_ready(
    pp: Plugin, writer: Writer, pod: Callable[[str, Json, str], None]
) -> None:
    path = f"/apis/apps/v1/namespaces/{pp.namespace}/deployments"
    writer.request("POST", path, deployment("scan", STEP, 1, {})[0])
    pod("scan-1", STEP, "clamd at tcp:clamd:3310 does not answer")
    words = "the step service virusscan has no ready Pod: scan-1: clamd at tcp:clamd:3310 does not answer"
    until_named(pp, words)


def told(writer: Writer, pp: Plugin, name: str, spec: Json, status: Json) -> Json:
    """A Pod of the operator as the kubelet would describe it."""
    path = f"/api/v1/namespaces/{pp.namespace}/pods"
    body = {"metadata": {"name": name, "labels": LABELS}, "spec": spec}
    made = writer.request("POST", path, body)
    writer.request("PATCH", f"{path}/{name}/status", {"status": status})
    return made


def test_a_secret_that_is_missing(pp: Plugin, writer: Writer) -> None:
    """The Pod itself only says that it is being created, forever; its Events say why."""
    waiting = {"waiting": {"reason": "ContainerCreating"}}
    container = {"name": "operator", "image": "none", "imageID": "", "ready": False, "restartCount": 0}
    status = {"phase": "Pending", "containerStatuses": [{**container, "state": waiting}]}
    pod = told(writer, pp, "some", {"containers": [{"name": "operator", "image": "none"}]}, status)
    assert "Pod some" not in pp("doctor", COLUMNS="300").out
    missing = 'MountVolume.SetUp failed for volume "credentials" : secret "nats-ca" not found'
    about = {"kind": "Pod", "namespace": pp.namespace, "name": "some", "uid": pod["metadata"]["uid"]}
    for number, message in enumerate(("an older one", missing)):
        event = {
            "metadata": {"name": f"some.{number}"},
            "involvedObject": about,
            "type": "Warning",
            "reason": "FailedMount",
            "message": message,
            "lastTimestamp": f"2026-11-28T10:00:0{number}Z",
        }
        writer.request("POST", f"/api/v1/namespaces/{pp.namespace}/events", event)
    until_named(pp, f"Pod some is not running: FailedMount: {missing}")


VIEWER = (
    "uploadpostprocessings.uploadpp.io,pods,pods/log,events,"
    "leases.coordination.k8s.io,deployments.apps,jobs.batch"
)


def test_who_may_not_ask_the_pods_is_told_that_the_operator_is_not_ready(
    pp: Plugin, writer: Writer, kubectl: Kubectl
) -> None:
    """Somebody with the role `view`: the Lease is held and renewed, and nothing else can be read."""
    leases = f"/apis/coordination.k8s.io/v1/namespaces/{pp.namespace}/leases"
    now = time.strftime("%Y-%m-%dT%H:%M:%S.000000Z", time.gmtime())
    lease = {"holderIdentity": "some_1", "leaseDurationSeconds": 3600, "renewTime": now}
    writer.request("POST", leases, {"metadata": {"name": "uploadpp-shard-0"}, "spec": lease})
    status = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}
    told(writer, pp, "some", {"containers": [{"name": "operator", "image": "none"}]}, status)
    verbs = "--verb=get,list,watch,create,patch"
    kubectl("create", "role", "viewer", verbs, f"--resource={VIEWER}", f"--namespace={pp.namespace}")
    kubectl("create", "rolebinding", "viewer", "--role=viewer", "--user=jane", f"--namespace={pp.namespace}")
    well = pp("doctor", "--as=jane", COLUMNS="300")
    assert well.code == 0, well.out
    unready = {"status": {"conditions": [{"type": "Ready", "status": "False"}]}}
    writer.request("PATCH", f"/api/v1/namespaces/{pp.namespace}/pods/some/status", unready)
    until_named(pp, "operator some does not process uploads: its readiness probe fails", "--as=jane")


ENDED = {"startTime": "2026-11-28T10:00:00Z"}
REACHED = "Job has reached the specified backoff limit"
FINISHED = {
    "done": (
        {
            **ENDED,
            "succeeded": 1,
            "completionTime": "2026-11-28T10:00:09Z",
            "conditions": [{"type": each, "status": "True"} for each in ("SuccessCriteriaMet", "Complete")],
        },
        "Job second is done",
    ),
    "failed": (
        {
            **ENDED,
            "failed": 1,
            "conditions": [
                {"type": each, "status": "True", "message": REACHED} for each in ("FailureTarget", "Failed")
            ],
        },
        f"Job second has failed: {REACHED}",
    ),
    "running": ({}, "Job second has not ended yet: second-x: Unschedulable: no node"),
}


@pytest.mark.parametrize(("status", "words"), FINISHED.values(), ids=FINISHED)
def test_the_job_that_no_operator_runs_beside(pp: Plugin, writer: Writer, status: Json, words: str) -> None:
    path = f"/apis/apps/v1/namespaces/{pp.namespace}/deployments"
    writer.request("POST", path, deployment("some", LABELS, 0, {})[0])
    spec = {"restartPolicy": "Never", "containers": [{"name": "release", "image": "none"}]}
    jobs = f"/apis/batch/v1/namespaces/{pp.namespace}/jobs"
    for name, component in (("first", "adopt"), ("second", "release")):
        labels = {**LABELS, "app.kubernetes.io/component": component}
        body = {"metadata": {"name": name, "labels": labels}, "spec": {"template": {"spec": spec}}}
        writer.request("POST", jobs, body)
        time.sleep(1.1)  # the second one is newer
    if status:
        writer.request("PATCH", f"{jobs}/second/status", {"status": status})
    unscheduled = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "no node"}
    pods = f"/api/v1/namespaces/{pp.namespace}/pods"
    labels = {"batch.kubernetes.io/job-name": "second"}
    writer.request("POST", pods, {"metadata": {"name": "second-x", "labels": labels}, "spec": spec})
    writer.request("PATCH", f"{pods}/second-x/status", {"status": {"conditions": [unscheduled]}})
    said = until_named(pp, f"no operator is running: Deployment some is scaled to 0; {words}")
    assert f"kubectl logs job/second -n {pp.namespace}; to start the operator, helm upgrade" in said
