"""The operator as its administrator sees it: starts, hand-overs, secured NATS, and what is wrong."""

import asyncio
import json
import signal
import time
import urllib.error
from collections.abc import Callable
from pathlib import Path

import nats as nats_client
import pytest
from nats.aio.msg import Msg
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy

from e2e.cluster.certificates import write_certificates
from e2e.cluster.http import get
from e2e.cluster.instance import Instance
from e2e.cluster.kubectl import Kubectl
from e2e.cluster.local import LocalCluster
from e2e.cluster.nats import NatsServer
from e2e.operator_process import Operator, OperatorOptions
from tests.driver import Driver, histories, log_lines, samples, start_working, until_reasons
from uploadpp.testing.events import STREAM
from uploadpp.wire.encode import Outgoing
from uploadpp.wire.publisher import Publisher

LEASE = {"UPLOADPP_LEASE_DURATION": "2s"}


@pytest.fixture
def make(
    cluster: LocalCluster, instance: Instance, nats: NatsServer, namespace: str
) -> Callable[..., Operator]:
    """An operator of this test by its name, with settings or places other than the usual ones."""

    def made(name: str, **changes: str) -> Operator:
        settings = {**LEASE, **changes}
        options = OperatorOptions(cluster.kubeconfig, nats.address, namespace, environment=settings)
        return Operator(instance, options, name=name)

    return made


async def owns(operator: Operator) -> None:
    """Wait until an operator that runs owns the shard."""
    async with asyncio.timeout(60):
        while sum(samples(operator.metrics(), "uploadpp_shard_owned").values()) != 1:  # noqa: ASYNC110
            await asyncio.sleep(0.05)


def problem(operator: Operator) -> str:
    """What /readyz says is wrong; empty when it is ready or does not answer yet."""
    try:
        get(f"{operator.url}/readyz")
    except urllib.error.HTTPError as error:
        with error:
            return error.read().decode()
    except OSError:
        pass
    return ""


async def until_problem(operator: Operator, words: str) -> None:
    """Wait until /readyz names a problem with these words."""
    said = ""
    deadline = time.monotonic() + 30
    while words not in said and time.monotonic() < deadline:
        await asyncio.sleep(0.1)
        said = await asyncio.to_thread(problem, operator)
    assert words in said, operator.log_tail()


@pytest.mark.parametrize("graceful", [True, False], ids=["SIGTERM", "SIGKILL"])
async def test_the_next_replica_takes_over(
    make: Callable[..., Operator], nats: NatsServer, kubectl: Kubectl, *, graceful: bool
) -> None:
    first, second = make("operator-1", UPLOADPP_LEASE_DURATION="8s"), make("operator-2")
    async with Driver(nats.url) as driver:
        await start_working(first)
        await asyncio.to_thread(second.start)
        await driver.upload("a", "b")
        await driver.until_released("a", "b")
        await asyncio.to_thread(first.stop if graceful else first.kill)
        await owns(second)
        await driver.upload("c")
        await driver.until_released("c")
        await until_reasons(kubectl, dict.fromkeys("abc", "Completed"))
        assert {len(each.starts) for each in (await histories(driver.js)).values()} == {2}
    messages = [line["message"] for line in log_lines(first.log.read_text())]
    end = ["handing over", "lease released", "stopped"]
    assert [each for each in messages if each in end] == (end if graceful else [])
    (lease,) = kubectl.json("get", "leases")["items"]
    assert lease["spec"]["leaseTransitions"] == 2
    assert samples(second.metrics(), "uploadpp_shard_epoch") == {'shard="0"': 2}


async def test_stopping_is_quick_whatever_is_missing(make: Callable[..., Operator], nats: NatsServer) -> None:
    """Long before a Pod's 30 seconds are over: NATS away at the start, and lost while it works."""
    nats.kill()
    operator = make("operator")
    operator.launch()
    await until_problem(operator, "connecting to NATS")
    operator.stop(timeout=10)
    assert "Killed" not in operator.log.read_text()
    lines = log_lines(operator.log.read_text())
    assert any(line.get("servers", "").endswith(nats.address) for line in lines)
    assert lines[-1]["message"] == "stopped"
    nats.start()
    await start_working(operator)
    nats.kill()
    await until_problem(operator, "NATS is not connected")
    process = operator.process
    assert process is not None
    process.send(signal.SIGTERM)
    async with asyncio.timeout(20):
        while process.alive():  # noqa: ASYNC110 -- a test may poll
            await asyncio.sleep(0.1)


class SecuredNats(NatsServer):
    """Asks for TLS and a password."""

    certificates = Path()

    def argv(self) -> list[str]:
        files = [f"--tlscert={self.certificates}/server.crt", f"--tlskey={self.certificates}/server.key"]
        return [*super().argv(), "--tls", *files, "--user=mary", "--pass=hunter2"]


async def test_secured_nats(
    make: Callable[..., Operator], nats: NatsServer, instance: Instance, tmp_path: Path
) -> None:
    """A given authority is verified; what is refused is said, without the password."""
    nats.stop()
    write_certificates(tmp_path)
    server = SecuredNats(instance, store=tmp_path / "store")
    server.certificates = tmp_path
    server.start()
    settings = {
        "OCIS_EVENTS_ENABLE_TLS": "true",
        "OCIS_EVENTS_TLS_ROOT_CA_CERTIFICATE": str(tmp_path / "ca.crt"),
        "OCIS_EVENTS_AUTH_USERNAME": "mary",
        "OCIS_EVENTS_AUTH_PASSWORD": "hunter2",
    }
    operator = await start_working(make("operator", **settings))
    await asyncio.to_thread(operator.stop)
    for name, changes, words in (
        ("wrong-password", {"OCIS_EVENTS_AUTH_PASSWORD": "hunter3"}, "Authorization Violation"),
        ("unknown-authority", {"OCIS_EVENTS_TLS_ROOT_CA_CERTIFICATE": ""}, "certificate verify failed"),
    ):
        operator = make(name, **{**settings, **changes})
        operator.launch()
        await until_problem(operator, "connecting to NATS")
        async with asyncio.timeout(20):
            while words not in operator.log.read_text():  # noqa: ASYNC110 -- a test may poll
                await asyncio.sleep(0.1)
        operator.stop(timeout=10)
        assert "hunter" not in operator.log.read_text()
    insecure = {"OCIS_INSECURE": "true", "OCIS_EVENTS_TLS_ROOT_CA_CERTIFICATE": ""}
    await start_working(make("insecure", **{**settings, **insecure}))


@pytest.mark.parametrize("kind", ["push", "pull"])
async def test_it_waits_for_the_service_it_replaces(
    make: Callable[..., Operator], nats: NatsServer, kind: str
) -> None:
    """Two drivers on one stream ruin uploads (F14)."""
    operator = make("operator")
    async with Driver(nats.url) as driver:
        if kind == "push":
            inbox = driver.client.new_inbox()
            config = ConsumerConfig(
                durable_name="postprocessing",
                deliver_group="postprocessing",
                deliver_subject=inbox,
                deliver_policy=DeliverPolicy.NEW,
                ack_policy=AckPolicy.EXPLICIT,
            )
            await driver.js.add_consumer(STREAM, config)
            await driver.client.subscribe(inbox, queue="postprocessing", cb=_ignore)
            async with asyncio.timeout(60):
                while not (await driver.js.consumer_info(STREAM, "postprocessing")).push_bound:  # noqa: ASYNC110
                    await asyncio.sleep(0.02)  # NATS notices interest a moment later
        else:
            legacy = await driver.js.pull_subscribe(STREAM, durable="postprocessing-pull", stream=STREAM)
            pulling = asyncio.create_task(_pull_for_ever(legacy))
        await driver.client.flush()
        await asyncio.to_thread(operator.launch)
        async with asyncio.timeout(30):
            while "EXCLUDE_RUN_SERVICES" not in operator.log.read_text():  # noqa: ASYNC110
                await asyncio.sleep(0.1)
        await driver.upload("a")
        assert await asyncio.to_thread(problem, operator)
        await asyncio.sleep(1)
        assert await histories(driver.js) == {}
        if kind == "pull":
            pulling.cancel()
    await asyncio.to_thread(operator.kill)


async def _ignore(message: Msg) -> None:
    del message


async def _pull_for_ever(subscription: nats_client.js.JetStreamContext.PullSubscription) -> None:
    while True:
        try:
            await subscription.fetch(1, timeout=2)
        except TimeoutError:
            continue


async def test_missing_namespace_and_permission(
    make: Callable[..., Operator], cluster: LocalCluster, kubectl: Kubectl, namespace: str, tmp_path: Path
) -> None:
    lost = make("operator-1", UPLOADPP_NAMESPACE="no-such-namespace")
    lost.launch()
    await until_problem(lost, "create the namespace, or set UPLOADPP_NAMESPACE to another one")
    config = account(cluster, kubectl, tmp_path, "nobody")
    powerless = make("operator-2", KUBECONFIG=str(config))
    powerless.launch()
    await until_problem(powerless, "cannot get the lease")
    kubectl("create", "role", "leases", "--verb=*", "--resource=leases.coordination.k8s.io")
    bind(kubectl, namespace, "nobody", "leases")
    await until_problem(powerless, "cannot list resource")
    for operator in (lost, powerless):
        operator.stop(timeout=10)
        text = operator.log.read_text()
        assert "Traceback" not in text
        assert len(text.splitlines()) < 40


async def test_ready_only_when_changes_are_heard_of(
    make: Callable[..., Operator],
    cluster: LocalCluster,
    nats: NatsServer,
    kubectl: Kubectl,
    namespace: str,
    tmp_path: Path,
) -> None:
    """Without the right to watch, uploads go through all the same; an empty namespace becomes ready."""
    resources = "uploadpostprocessings.uploadpp.io,uploadpostprocessings.uploadpp.io/status"
    most = "--verb=get,list,create,update,patch,delete"
    kubectl("create", "role", "most", most, f"--resource={resources},leases.coordination.k8s.io,events")
    kubectl("create", "role", "watch", "--verb=watch", f"--resource={resources}")
    config = account(cluster, kubectl, tmp_path, "deaf")
    bind(kubectl, namespace, "deaf", "most")
    operator = make("operator", KUBECONFIG=str(config))
    operator.launch()
    await until_problem(operator, "the watch has not started: GET /apis/uploadpp.io/v1alpha1/namespaces/")
    assert 'cannot watch resource "uploadpostprocessings"' in await asyncio.to_thread(problem, operator)
    async with Driver(nats.url) as driver:
        await driver.upload("a")
        await driver.until_released("a")
    await until_reasons(kubectl, {"a": "Completed"})
    kubectl("delete", "upp", "a")
    operator.stop(timeout=10)
    assert log_lines(operator.log.read_text())[-1]["message"] == "stopped"
    bind(kubectl, namespace, "deaf", "watch")
    await asyncio.to_thread(operator.start)


def account(cluster: LocalCluster, kubectl: Kubectl, folder: Path, name: str) -> Path:
    """A kubeconfig for a new service account."""
    kubectl("create", "serviceaccount", name)
    token = kubectl("create", "token", name).strip()
    shown = kubectl("config", "view", "--raw", "--output=json")
    config = folder / f"{name}.kubeconfig"
    config.write_text(shown.replace(cluster.apiserver.token, token))
    return config


def bind(kubectl: Kubectl, namespace: str, account: str, role: str) -> None:
    """Give a service account a role."""
    who = f"--serviceaccount={namespace}:{account}"
    kubectl("create", "rolebinding", f"{account}-{role}", f"--role={role}", who)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"POSTPROCESSING_DELAY": "10"}, "POSTPROCESSING_DELAY='10'"),
        ({"POSTPROCESSING_DEBUG_ADDR": "192.0.2.1:9255"}, "POSTPROCESSING_DEBUG_ADDR=192.0.2.1:9255"),
        ({"KUBECONFIG": "/nonexistent"}, "no usable kubeconfig"),
        ({"UPLOADPP_SEALING_KEY_FILE": "/nonexistent"}, "UPLOADPP_SEALING_KEY_FILE=/nonexistent"),
        ({"UPLOADPP_SEALING_KEY_FILE": "/dev/null"}, "it is not a regular file"),
    ],
)
def test_unusable_configuration_ends_it_at_once(
    make: Callable[..., Operator], settings: dict[str, str], words: str
) -> None:
    operator = make("operator", **settings)
    operator.launch()
    child = operator.instance._children["operator"]
    assert child.wait(timeout=30) == 2
    text = operator.log.read_text()
    assert text.splitlines()[-1].startswith("uploadpp: ")
    assert words in text
    assert "Traceback" not in text


async def test_events_are_sent_again_under_the_same_id(
    nats: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An acknowledgement that got lost: the stream takes the event once, we learn where it stands."""
    monkeypatch.setattr("uploadpp.wire.publisher.RESEND_SECONDS", 0.1)
    async with Driver(nats.url) as driver:
        allowed = asyncio.Event()
        stored: asyncio.Queue[int] = asyncio.Queue()
        publisher = Publisher(driver.client, _pass, allowed.is_set)
        answer, lost = publisher._on_ack, list[Msg]()

        async def lose_first(message: Msg) -> None:
            if lost:
                await answer(message)
            lost.append(message)

        monkeypatch.setattr(publisher, "_on_ack", lose_first)
        running = [asyncio.create_task(work) for work in (publisher.run(), publisher.run_resends())]
        publisher.publish(Outgoing("e-1", b"once"), stored.put_nowait, pytest.fail)
        async with asyncio.timeout(60):
            while not lost:  # noqa: ASYNC110 -- a test may poll
                await asyncio.sleep(0.05)
        await asyncio.sleep(2.5)
        assert len(lost) == 1, "not sent again before the log was read to its end"
        allowed.set()
        assert await asyncio.wait_for(stored.get(), 60) == 1
        assert json.loads(lost[1].data)["duplicate"] is True
        assert (await driver.js.stream_info(STREAM)).state.messages == 1
        assert len(publisher) == 0
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


async def _pass() -> None:
    """Nobody stands in the way."""
