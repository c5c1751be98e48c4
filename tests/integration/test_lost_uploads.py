"""Uploads that the storage has lost, with a real operator, NATS, API server and data gateway."""

import asyncio
import socket
from pathlib import Path

import pytest

from e2e.cluster.instance import Instance
from e2e.cluster.kubectl import Kubectl
from e2e.cluster.local import LocalCluster
from e2e.cluster.nats import NatsServer
from e2e.demo.storage import Storage
from e2e.demo.wire import publish
from e2e.operator_process import Operator, OperatorOptions
from tests.driver import Driver, reasons, samples, start_working, until, until_reasons
from uploadpp.testing.events import bytes_received, resume

SHORT = {
    "UPLOADPP_READY_AFTER": "500ms",
    "UPLOADPP_STORAGE_CHECK_INTERVAL": "200ms",
    "UPLOADPP_UNANSWERED_AFTER": "1h",
    "UPLOADPP_LEASE_DURATION": "1s",
}


class Site:
    """One operator, and a storage it can reach."""

    def __init__(self, cluster: LocalCluster, instance: Instance, nats: NatsServer, namespace: str) -> None:
        self._options = (cluster.kubeconfig, nats.address, namespace)
        self._instance = instance
        self.operator: Operator | None = None

    async def start(self, *steps: str, **environment: str) -> Operator:
        """An operator that works."""
        options = OperatorOptions(*self._options, steps=steps, environment={**SHORT, **environment})
        self.operator = await start_working(Operator(self._instance, options))
        return self.operator


@pytest.fixture
def site(cluster: LocalCluster, instance: Instance, nats: NatsServer, namespace: str) -> Site:
    return Site(cluster, instance, nats, namespace)


async def test_an_upload_whose_folder_was_deleted_ends_as_gone(
    site: Site, nats: NatsServer, kubectl: Kubectl, tmp_path: Path
) -> None:
    operator = await site.start("delay", POSTPROCESSING_DELAY="1s", UPLOADPP_READY_AFTER="2s")
    async with Storage(tmp_path, nats.url) as storage:
        lost = await storage.upload("lost.txt", b"lost")
        storage.sessions.discard(lost)  # before its delay is over
        kept = await storage.upload("kept.txt", b"kept")
        await until_reasons(kubectl, {lost: "Gone", kept: "Completed"})
    assert storage.actions(lost).count("failed to get upload") in {2, 3}
    text = operator.log.read_text()
    assert "HTTP 404 for its download URL" in text
    assert not [token for token in storage.gateway.issued if token in text]


async def test_the_storage_is_told_to_have_asynchronous_uploads_at_the_first_404(
    site: Site, nats: NatsServer, kubectl: Kubectl, tmp_path: Path
) -> None:
    await site.start("virusscan")
    said = "unexpected status code from Download 404"
    async with (
        Storage(tmp_path, nats.url) as storage,
        Driver(nats.url, outcome=lambda *_: "retry", result=lambda _: {"ErrorMsg": said}),
    ):
        upload = await storage.upload("file.txt", b"content")
        storage.sessions.discard(upload)  # with synchronous uploads there is nothing left by now
        await until_reasons(kubectl, {upload: "Gone"})
    message = kubectl.json("get", "upp", upload)["status"]["conditions"][0]["message"]
    assert "OCIS_ASYNC_UPLOADS=true" in message
    assert "OC_ASYNC_UPLOADS=true" in message


def refused(operator: Operator) -> float:
    """How often the storage could not be asked."""
    return samples(operator.metrics(), "uploadpp_storage_checks_total").get('result="unreachable"', 0)


async def test_a_storage_that_refuses_connections_proves_nothing(
    site: Site, nats: NatsServer, kubectl: Kubectl
) -> None:
    operator = await site.start()
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # bound and not listening: refused
        url = f"http://127.0.0.1:{closed.getsockname()[1]}/data/secret-token"
        async with Driver(nats.url, silent=True) as driver:
            arrival = bytes_received("refused-1", URL=url)
            await publish(driver.js, "BytesReceived", arrival)
            async with asyncio.timeout(60):
                while refused(operator) < 3:  # noqa: ASYNC110 -- a test may poll
                    await asyncio.sleep(0.1)

    async def waits() -> bool:
        found = reasons(await asyncio.to_thread(kubectl.json, "get", "upp"))
        return found["refused-1"] in {"AwaitingReady", "Stalled"}

    await until(waits)
    text = operator.log.read_text()
    assert "cannot check whether the storage still has an upload" in text
    assert "secret-token" not in text


async def test_what_nobody_answers_for_ends_without_the_check_as_well(
    site: Site, nats: NatsServer, kubectl: Kubectl, tmp_path: Path
) -> None:
    operator = await site.start(UPLOADPP_STORAGE_CHECK="off", UPLOADPP_UNANSWERED_AFTER="1s")
    async with Storage(tmp_path, nats.url) as storage:
        storage.faults.lost_events = 100
        upload = await storage.upload("file.txt", b"content")
        await until_reasons(kubectl, {upload: "Unanswered"})
        assert storage.gateway.downloads == []
        storage.faults.lost_events = 0
        await publish(storage.js, "ResumePostprocessing", resume(upload))
        await until_reasons(kubectl, {upload: "Completed"})
    assert "storage_checks_total{" not in operator.metrics()
