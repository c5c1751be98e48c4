"""What the verbs do to uploads that the real operator runs."""

import asyncio
import json
import os
import signal
import subprocess
import threading
import time
from base64 import b64decode
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.request import urlopen

import pytest

from e2e.cluster.instance import Instance
from e2e.cluster.kubectl import Kubectl
from e2e.cluster.local import LocalCluster
from e2e.cluster.nats import NatsServer
from e2e.operator_process import Operator, OperatorOptions
from tests.driver import bytes_received, start_working
from tests.legacyservice import FakeLegacyService
from tests.plugin.conftest import Plugin
from tests.plugin.resources import Json, Writer
from uploadpp.testing.events import new_message, step_finished, upload_ready

STEPS = ("virusscan", "policies")


@pytest.fixture
def operator(
    cluster: LocalCluster, nats: NatsServer, instance: Instance, namespace: str
) -> Iterator[Operator]:
    """The real operator in the test's namespace."""
    options = OperatorOptions(cluster.kubeconfig, nats.address, namespace, STEPS)
    process = Operator(instance, options)
    asyncio.run(start_working(process))
    yield process
    process.stop()


def send(nats: NatsServer, *events: bytes) -> None:
    """Publish events as the other services would."""

    async def publish() -> None:
        from nats import connect  # noqa: PLC0415 -- the fixture has the name

        client = await connect(nats.url)
        for event in events:
            await client.jetstream().publish("main-queue", event)
        await client.close()

    asyncio.run(publish())


async def events_of(nats: NatsServer) -> list[tuple[str, str]]:
    """Type and upload of everything in the stream."""
    from nats import connect  # noqa: PLC0415 -- the fixture has the name

    client = await connect(nats.url)
    js = client.jetstream()
    count = (await js.stream_info("main-queue")).state.messages
    messages = [await js.get_msg("main-queue", seq) for seq in range(1, count + 1)]
    await client.close()
    events = [json.loads(message.data or b"{}") for message in messages]
    payloads = [json.loads(b64decode(event["Payload"])) for event in events]
    return [(e["Metadata"]["eventtype"], p["UploadID"]) for e, p in zip(events, payloads, strict=True)]


def until(writer: Writer, name: str, test: Callable[[Json], bool]) -> None:
    """Wait until the status of the upload is as wanted."""
    deadline = time.monotonic() + 60
    while True:
        found = next((i for i in writer.list() if i["metadata"]["name"] == name), {})
        if "status" in found and test(found["status"]):
            return
        assert time.monotonic() < deadline, found
        time.sleep(0.05)


def stage(writer: Writer, name: str, wanted: str) -> None:
    """Wait until the STATUS is the wanted one."""

    def stands(status: Json) -> bool:  # after a while, the first condition is that no service listens
        return any(each["type"] == "Succeeded" and each["reason"] == wanted for each in status["conditions"])

    until(writer, name, stands)


@pytest.mark.usefixtures("operator")
def test_restart_resume_suspend_cancel(patient: Plugin, writer: Writer, nats: NatsServer) -> None:
    send(nats, *(bytes_received(name) for name in ("one", "two", "three", "four")))
    for name in ("one", "two", "three", "four"):
        stage(writer, name, "Running")

    resumed = patient("resume", "one")
    assert resumed.out.endswith("/one resumed, now Running, step virusscan (attempt 2)\n")
    old = patient("restart", "-u", "one")  # the old command let the current step start again
    assert old.out.endswith("/one resumed, now Running, step virusscan (attempt 3)\n")
    restarted = patient("restart", "one")
    assert restarted.out.endswith("/one restarted, now Running, step virusscan\n")
    skipped = patient("restart", "one", "--from-step", "policies")
    assert skipped.out.endswith("/one restarted, now Running, step policies\n")
    assert writer.get("one")["status"]["run"] == 3

    assert patient("suspend", "two").out.endswith("/two suspended, now Running, step virusscan\n")
    send(nats, new_message("PostprocessingStepFinished", step_finished("two", "virusscan", "continue")))
    stage(writer, "two", "Suspended")
    assert patient("unsuspend", "two").out.endswith("/two unsuspended, now Running, step policies\n")

    assert patient("cancel", "three").out.endswith("/three cancelled, now AwaitingReady\n")
    send(nats, new_message("UploadReady", upload_ready("three", failed=True)))
    stage(writer, "three", "Cancelled")
    refused = patient("restart", "three")
    assert refused.code == 1
    assert "--force" in refused.out
    forced = patient("restart", "three", "--force")
    assert forced.out.endswith("/three restarted, now Running, step virusscan\n"), forced
    assert writer.get("three")["spec"]["desiredState"] == "Active"

    many = patient("restart", "-s", "virusscan")
    assert many.code == 0
    assert "2 resumed" in many.err
    assert {line.split("/")[1].split()[0] for line in many.out.splitlines()} == {"three", "four"}


@pytest.mark.usefixtures("operator")
def test_a_whole_step_goes_on_by_one_event(patient: Plugin, writer: Writer, nats: NatsServer) -> None:
    names = [f"upload-{i:02}" for i in range(60)]
    send(nats, bytes_received("elsewhere"), *(bytes_received(name) for name in names))
    for name in ("elsewhere", *names):
        stage(writer, name, "Running")
    send(nats, new_message("PostprocessingStepFinished", step_finished("elsewhere", "virusscan", "continue")))
    until(writer, "elsewhere", lambda status: status.get("currentStep") == "policies")
    done = patient("restart", "-s", "virusscan")
    assert done.code == 0, done
    # The answer of one stands for all; the plugin waits only so long for the resources of the others.
    shown = done.out.count("resumed, now Running, step virusscan (attempt 2)")
    assert shown >= 1
    assert shown + done.out.count("resumed; the resource does not show it yet") == 60, done
    assert "60 resumed" in done.err
    for name in names:
        until(writer, name, lambda status: bool(status["steps"][0]["attempts"] == 2))
    assert [(u["status"]["steps"][0]["attempts"], u["status"]["run"]) for u in writer.list()] == [
        (1 if u["metadata"]["name"] == "elsewhere" else 2, 1) for u in writer.list()
    ]
    said = asyncio.run(events_of(nats))
    kinds = [kind for kind, _ in said]
    assert kinds.count("events.ResumePostprocessing") == 1
    assert kinds.count("events.StartPostprocessingStep") == 61 + 1 + 60
    asking = next(u["metadata"]["name"] for u in writer.list() if "restart" in u["spec"])
    place = kinds.index("events.ResumePostprocessing")
    assert said[place + 1] == ("events.StartPostprocessingStep", asking)  # its status is the answer for all


@pytest.mark.usefixtures("operator")
def test_wait_says_how_it_ended(patient: Plugin, writer: Writer, nats: NatsServer) -> None:
    send(nats, bytes_received("good"), bytes_received("bad"))
    stage(writer, "good", "Running")
    stage(writer, "bad", "Running")
    late = patient("wait", "good", "--timeout", "200ms")
    assert late.code == 3
    assert "timed out: good is Running" in late.err
    waiting = patient.start("wait", "good", "--timeout", "120s")
    again = patient.start("restart", "bad", "--wait", "--timeout", "120s")
    send(nats, new_message("PostprocessingStepFinished", step_finished("good", "virusscan", "continue")))
    # An answer that comes before its question counts for nothing.
    until(writer, "good", lambda status: status.get("currentStep") == "policies")
    send(nats, new_message("PostprocessingStepFinished", step_finished("good", "policies", "continue")))
    stage(writer, "good", "AwaitingReady")
    send(nats, new_message("UploadReady", upload_ready("good", failed=False)))
    assert waiting.communicate(timeout=60)[0].endswith("/good Completed\n")
    assert waiting.returncode == 0
    until(writer, "bad", lambda status: status.get("run") == 2)
    send(nats, new_message("PostprocessingStepFinished", step_finished("bad", "virusscan", "delete")))
    stage(writer, "bad", "AwaitingReady")
    send(nats, new_message("UploadReady", upload_ready("bad", failed=True)))
    assert again.communicate(timeout=60)[0].endswith("/bad restarted, now Deleted\n")
    assert again.returncode == 1
    assert patient("wait", "bad").code == 1
    assert patient("wait", "good", "bad").code == 1
    refused = patient("restart", "good")
    assert refused.code == 1
    assert "no longer holds the upload; use restart --force" in refused.out
    deadline = time.monotonic() + 60
    while "RestartRefused" not in patient("events", "good").out:  # Events are written in the background
        assert time.monotonic() < deadline
    assert "RestartRefused" in patient("status", "good").out


def test_doctor(pp: Plugin, operator: Operator) -> None:
    found = pp("doctor", "--metrics-url", f"{operator.url}/metrics", COLUMNS="300")
    assert found.code == 0, found.out
    assert "holds Lease" in found.out
    assert "event stream: 0 unread messages" in found.out
    shown = "\n".join(what_the_page_shows_of_the_operator(pp, f"{operator.url}/metrics"))
    assert "holds Lease" in shown
    assert "event stream: 0 unread messages" in shown
    operator.stop()
    stopped = pp("doctor")
    assert stopped.code == 1
    assert "no operator is running" in stopped.out
    assert "kubectl get pods" in stopped.out


def what_the_page_shows_of_the_operator(pp: Plugin, metrics: str) -> list[str]:
    """The findings that `kubectl pp ui` sends to the browser."""
    running = pp.start("ui", "--metrics-url", metrics)
    assert running.stdout is not None
    try:
        live = running.stdout.readline().strip() + "live"
        with urlopen(live, timeout=30) as stream:  # noqa: S310 -- on loopback
            while True:
                if stream.readline() == b"event: operator\n":
                    findings = json.loads(stream.readline().removeprefix(b"data: "))
                    if findings:
                        return [finding["text"] for finding in findings]
    finally:
        running.send_signal(signal.SIGINT)
        _, err = running.communicate(timeout=30)
        assert "Traceback" not in err


def test_doctor_has_the_operators_own_words_while_it_holds(
    pp: Plugin, operator: Operator, nats: NatsServer
) -> None:
    """Its Lease is held and renewed, its metrics look well, and no upload moves."""

    async def doctor_beside_the_legacy_service() -> list[str]:
        async with FakeLegacyService(nats.url):
            async with asyncio.timeout(60):
                while "on hold" not in (said := await asyncio.to_thread(examine)):  # noqa: ASYNC110
                    await asyncio.sleep(0.2)
        async with asyncio.timeout(60):
            while "is ready" not in (after := await asyncio.to_thread(examine)):  # noqa: ASYNC110
                await asyncio.sleep(0.2)
        return [said, after]

    def examine() -> str:
        found = pp("doctor", "--metrics-url", f"{operator.url}/metrics", COLUMNS="300")
        return f"{found.code} {found.out}"

    held, after = asyncio.run(doctor_beside_the_legacy_service())
    assert held.startswith("1 ")
    assert "does not process uploads: on hold: the legacy service is running (postprocessing)" in held
    assert "switch it off: services.postprocessing.image" in held
    assert "legacy service" not in after
    assert "all owners have the sealing key" in after


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (
            {"state": {"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}}},
            "is not running: ImagePullBackOff: no such image",
        ),
        (
            {
                "state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 5m0s"}},
                "lastState": {"terminated": {"exitCode": 2, "message": "uploadpp: STEPS: bad"}},
            },
            "is not running: CrashLoopBackOff: back-off 5m0s: uploadpp: STEPS: bad",
        ),
    ],
    ids=["image", "crash"],
)
def test_doctor_says_why_a_pod_does_not_run(pp: Plugin, writer: Writer, status: Json, words: str) -> None:
    pods = f"/api/v1/namespaces/{pp.namespace}/pods"
    containers = [{"name": "operator", "image": "none"}]
    labels = {"app.kubernetes.io/name": "upload-postprocessing"}
    body = {"metadata": {"name": "some", "labels": labels}, "spec": {"containers": containers}}
    writer.request("POST", pods, body)
    container = {
        "name": "operator",
        "image": "none",
        "imageID": "",
        "ready": False,
        "restartCount": 3,
        **status,
    }
    told = {"phase": "Pending", "containerStatuses": [container]}
    writer.request("PATCH", f"{pods}/some/status", {"status": told})
    found = pp("doctor", COLUMNS="300")
    assert found.code == 1
    assert f"Pod some {words}" in found.out


@pytest.fixture
def address() -> Iterator[str]:
    """An address of this machine alone, and one that the API server talks to: not 127.0.0.1."""
    found = f"198.18.{os.getpid() % 200 + 20}.7"
    added = subprocess.run(
        ["ip", "addr", "add", f"{found}/32", "dev", "lo"], capture_output=True, text=True, check=False
    )
    if added.returncode:
        pytest.skip(f"no address can be added to lo: {added.stderr.strip()}")
    yield found
    subprocess.run(["ip", "addr", "del", f"{found}/32", "dev", "lo"], check=True)


def test_doctor_reads_the_metrics_of_a_pod(
    pp: Plugin, writer: Writer, operator: Operator, address: str, kubectl: Kubectl
) -> None:
    """Through kubectl proxy and the API server's proxy, where no port of the operator is reachable else."""
    metrics = operator.metrics().encode()
    problem: list[bytes] = []

    class Pod(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            unready = bool(problem) and self.path == "/readyz"
            self.send_response(503 if unready else 200 if self.path == "/metrics" else 404)
            self.end_headers()
            self.wfile.write(problem[0] if unready else metrics)

        def log_message(self, *_: object) -> None:
            pass

    lease = json.loads(kubectl("get", "lease", "uploadpp-shard-0", "-n", pp.namespace, "-o", "json"))
    name = lease["spec"]["holderIdentity"].rpartition("_")[0].lower()
    pods = f"/api/v1/namespaces/{pp.namespace}/pods"
    secrets = f"/api/v1/namespaces/{pp.namespace}/secrets"
    writer.request("POST", secrets, {"metadata": {"name": "key"}, "stringData": {"sealing.key": "hunter2"}})
    source = {"secret": {"name": "key", "items": [{"key": "sealing.key", "path": "sealing.key"}]}}
    spec = {
        "nodeName": "n",
        "containers": [{"name": "operator", "image": "none"}],
        "volumes": [{"name": "credentials", "projected": {"sources": [source]}}],
    }
    labels = {"app.kubernetes.io/name": "upload-postprocessing"}
    writer.request("POST", pods, {"metadata": {"name": name, "labels": labels}, "spec": spec})
    status = {"phase": "Running", "podIP": address, "podIPs": [{"ip": address}]}
    writer.request("PATCH", f"{pods}/{name}/status", {"status": status})
    server = ThreadingHTTPServer((address, 9255), Pod)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    found = pp("doctor")
    problem.append(b"cannot publish: NATS refuses a subject\n")
    unready = pp("doctor", COLUMNS="300")
    server.shutdown()
    server.server_close()
    assert found.code == 0, found
    assert "event stream: 0 unread messages" in found.out
    assert ", its Secret is " in unready.out
    assert unready.code == 1
    assert f"operator {name} does not process uploads: cannot publish: NATS refuses a subject" in unready.out


@pytest.mark.usefixtures("operator")
def test_plain_watch_tells_every_step(pp: Plugin, writer: Writer, nats: NatsServer) -> None:
    watching = pp.start("watch")
    send(nats, bytes_received("one"))
    stage(writer, "one", "Running")
    assert watching.stdout is not None
    while "one  Running" not in watching.stdout.readline():  # what ends before it looks is not shown
        assert watching.poll() is None
    named = pp.start("watch", "one")
    assert named.stdout is not None
    assert "one  Running, step virusscan" in named.stdout.readline()
    send(nats, new_message("PostprocessingStepFinished", step_finished("one", "virusscan", "continue")))
    assert "one  Running, step policies" in named.stdout.readline()
    send(nats, new_message("PostprocessingStepFinished", step_finished("one", "policies", "delete")))
    assert "one  AwaitingReady" in named.stdout.readline()
    send(nats, new_message("UploadReady", upload_ready("one", failed=True)))
    assert "one  Deleted" in named.communicate(timeout=30)[0]  # and it ends by itself
    assert named.returncode == 0
    while "one  Deleted" not in watching.stdout.readline():
        assert watching.poll() is None
    watching.send_signal(2)
    assert watching.communicate(timeout=30)[0] == ""
    assert watching.returncode == 0
    assert json.loads(pp("stats", "-o", "json").out)["counts"] == [
        {"step": "-", "state": "Deleted", "uploads": 1}
    ]
