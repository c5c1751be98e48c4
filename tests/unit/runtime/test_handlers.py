"""Kopf reaches the same API server, in the same way, as everything else here."""

import kopf
import pytest

from uploadpp.runtime.handlers import connection

POD = kopf.ConnectionInfo(server="https://kubernetes.default.svc", token="of-the-pod")
FILE = kopf.ConnectionInfo(server="https://elsewhere:6443", token="of-the-file")


@pytest.fixture(autouse=True)
def both(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kopf, "login_with_service_account", lambda: POD)
    monkeypatch.setattr(kopf, "login_with_kubeconfig", lambda: FILE)
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "6443")


@pytest.mark.parametrize(
    ("host", "server"), [("10.0.0.1", "https://10.0.0.1:6443"), ("fd00::1", "https://[fd00::1]:6443")]
)
def test_a_pod_needs_no_dns(monkeypatch: pytest.MonkeyPatch, host: str, server: str) -> None:
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", host)
    found = connection({})
    assert found is not None
    assert (found.server, found.token) == (server, "of-the-pod")


def test_a_kubeconfig_counts_more_than_the_pod(monkeypatch: pytest.MonkeyPatch) -> None:
    assert connection({}) is FILE
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    monkeypatch.setenv("KUBECONFIG", "some")
    assert connection({}) is FILE
