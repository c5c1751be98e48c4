"""Findings about the legacy service (docs/findings.md) that only real servers can show."""

import asyncio

from nats.aio.client import Client

from e2e.cluster.kubectl import Kubectl
from e2e.cluster.local import LocalCluster
from e2e.cluster.nats import NatsServer
from tests.integration.test_store import DONE, UPLOAD, connect, resource
from uploadpp.api.codec import to_status
from uploadpp.kube.errors import ConflictError
from uploadpp.kube.store import Store
from uploadpp.wire.connection import NatsOptions
from uploadpp.wire.connection import connect as connect_nats


async def test_f22_two_writers_cannot_overwrite_each_other(
    cluster: LocalCluster, namespace: str, kubectl: Kubectl
) -> None:
    async with await connect(cluster.kubeconfig) as api:
        store = Store(api, namespace)
        made = await store.create(resource(namespace))
        writes = (store.write_status(UPLOAD.id, made.version, to_status(each)) for each in (UPLOAD, DONE))
        results = await asyncio.gather(*writes, return_exceptions=True)
    assert [isinstance(result, ConflictError) for result in results].count(True) == 1
    won = (UPLOAD, DONE)[isinstance(results[0], ConflictError)]
    assert kubectl.json("get", "upp", UPLOAD.id)["status"]["progress"] == to_status(won)["progress"]


async def _until(client: Client, *, connected: bool) -> None:
    while client.is_connected is not connected:  # noqa: ASYNC110 -- nothing to wait on
        await asyncio.sleep(0.05)


async def test_f38_the_connection_to_nats_is_never_given_up(nats: NatsServer) -> None:
    client = await connect_nats(NatsOptions(servers=(nats.url,)))
    try:
        assert client.options["max_reconnect_attempts"] == -1
        nats.kill()
        await _until(client, connected=False)
        nats.start()
        await _until(client, connected=True)
        answer = await client.request("$JS.API.INFO", timeout=60)
        assert b"account_info_response" in answer.data
    finally:
        await client.close()
