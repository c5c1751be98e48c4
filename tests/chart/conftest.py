"""Real Helm, and a real API server on which nothing is installed yet."""

import secrets
from collections.abc import Iterator

import pytest

from e2e.cluster.helm import Helm
from e2e.cluster.kubectl import Kubectl
from e2e.cluster.local import LocalCluster


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """All of it uses real processes, and one worker has the one cluster."""
    for item in items:
        if "tests/chart/" in item.path.as_posix():
            item.add_marker(pytest.mark.integration)
            item.add_marker(pytest.mark.xdist_group("chart"))


@pytest.fixture(scope="session")
def bare_cluster() -> Iterator[LocalCluster]:
    """A control plane without the project's CRDs: those are the chart's to install."""
    with LocalCluster() as running:
        yield running


@pytest.fixture
def namespace(bare_cluster: LocalCluster) -> str:
    """A namespace nobody else uses, which lets in only Pods of the restricted standard."""
    name = f"chart-{secrets.token_hex(4)}"
    kubectl = Kubectl(bare_cluster.kubeconfig)
    kubectl("create", "namespace", name)
    kubectl("label", "namespace", name, "pod-security.kubernetes.io/enforce=restricted")
    return name


@pytest.fixture
def kubectl(bare_cluster: LocalCluster, namespace: str) -> Kubectl:
    """kubectl in the test's namespace, as the administrator."""
    return Kubectl(bare_cluster.kubeconfig, namespace)


@pytest.fixture
def helm(bare_cluster: LocalCluster, namespace: str) -> Helm:
    """Helm in the test's namespace."""
    return Helm(namespace, bare_cluster.kubeconfig)
