"""An installation whose uploads change hands."""

import pytest

from e2e.cluster.instance import Instance
from e2e.cluster.kubectl import Kubectl
from e2e.cluster.local import LocalCluster
from e2e.cluster.nats import NatsServer
from e2e.operator_process import Operator, OperatorOptions
from tests.adopting import SETTINGS, STEPS, Site, World
from tests.goservice import GoService


@pytest.fixture
def site(
    cluster: LocalCluster,
    instance: Instance,
    nats: NatsServer,
    namespace: str,
    kubectl: Kubectl,
    monkeypatch: pytest.MonkeyPatch,
) -> Site:
    """Everything of it, nothing started."""
    monkeypatch.setenv("KUBECONFIG", str(cluster.kubeconfig))
    operator = Operator(
        instance, OperatorOptions(cluster.kubeconfig, nats.address, namespace, STEPS, SETTINGS)
    )
    return Site(World(nats.url), operator, kubectl, GoService(nats.url, STEPS, delay=1.0, backoff=1.0))
