"""What several of these tests share."""

from collections.abc import AsyncIterator

import pytest

from e2e.cluster.instance import Instance
from e2e.cluster.kubectl import Kubectl
from e2e.cluster.local import LocalCluster
from e2e.cluster.nats import NatsServer
from e2e.operator_process import Operator, OperatorOptions
from tests.adopting import SETTINGS, STEPS, Site, World
from tests.driver import Driver
from tests.goservice import GoService
from tests.middlebox import Middlebox
from uploadpp.wire.client import SafeClient
from uploadpp.wire.connection import NatsOptions, connect
from uploadpp.wire.stream import ensure_stream


@pytest.fixture
async def client(nats: NatsServer) -> AsyncIterator[SafeClient]:
    """Connected as the operator connects; the stream is there."""
    client = await connect(NatsOptions(servers=(nats.url,)))
    await ensure_stream(client.jetstream())
    try:
        yield client
    finally:
        await client.close()


@pytest.fixture
async def driver(nats: NatsServer) -> AsyncIterator[Driver]:
    """Step services that let every upload pass, and a storage."""
    async with Driver(nats.url) as driver:
        yield driver


@pytest.fixture
async def between(cluster: LocalCluster) -> AsyncIterator[Middlebox]:
    """What can disturb the way to the API server."""
    async with Middlebox(cluster) as middlebox:
        yield middlebox


@pytest.fixture
async def site(
    cluster: LocalCluster,
    instance: Instance,
    nats: NatsServer,
    namespace: str,
    kubectl: Kubectl,
    monkeypatch: pytest.MonkeyPatch,
) -> AsyncIterator[Site]:
    """An installation whose uploads change hands: everything of it, nothing started."""
    monkeypatch.setenv("KUBECONFIG", str(cluster.kubeconfig))
    operator = Operator(
        instance, OperatorOptions(cluster.kubeconfig, nats.address, namespace, STEPS, SETTINGS)
    )
    made = Site(World(nats.url), operator, kubectl, GoService(nats.url, STEPS, delay=1.0, backoff=1.0))
    yield made
    await made.world.stop()
