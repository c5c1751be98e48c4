"""The way to the API server."""

import pytest
from kubernetes.aio.client import Configuration

from uploadpp.kube.api import proxy_of

PROXY = "http://proxy.example.com:3128"


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


def _server(host: str = "https://10.0.0.1:6443", proxy: str | None = None) -> Configuration:
    configuration = Configuration(host=host)
    configuration.proxy = proxy
    return configuration


def test_there_is_none_unless_somebody_says_so() -> None:
    assert proxy_of(_server()) is None


def test_the_environment_names_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", PROXY)
    assert proxy_of(_server()) == PROXY
    assert proxy_of(_server("http://10.0.0.1:8080")) is None


@pytest.mark.parametrize("exception", ["10.0.0.1", "10.0.0.1:6443", "example.org,10.0.0.1"])
def test_the_environment_makes_an_exception(monkeypatch: pytest.MonkeyPatch, exception: str) -> None:
    monkeypatch.setenv("HTTPS_PROXY", PROXY)
    monkeypatch.setenv("NO_PROXY", exception)
    assert proxy_of(_server()) is None


def test_the_kubeconfig_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://another.example.com")
    assert proxy_of(_server(proxy=PROXY)) == PROXY
