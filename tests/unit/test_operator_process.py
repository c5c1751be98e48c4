"""A shell that has variables of ours, as after `. .dev/env`, does not decide what is started from it."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from e2e import dev
from e2e.cluster.controlplane import Etcd
from e2e.cluster.instance import Instance
from e2e.cluster.local import LocalCluster
from e2e.cluster.nats import NatsServer
from e2e.operator_process import FOR_TOOLS, leave_out_ours, plain_environment, say_left_out

LEAKED = {
    "POSTPROCESSING_DEBUG_ADDR": "127.0.0.1:1",
    "POSTPROCESSING_STEPS": "a",
    "OCIS_EVENTS_ENDPOINT": "127.0.0.1:2",
    "OC_TRACING_ENABLED": "true",
    "UPLOADPP_NAMESPACE": "elsewhere",
    "UPLOADPP_STEP_EXEC": "true",
    "OTEL_TRACES_EXPORTER": "otlp",
    "KUBERNETES_SERVICE_HOST": "10.0.0.1",
    "KUBECONFIG": "/elsewhere",
    "NATS_URL": "nats://127.0.0.1:2",
    "METRICS_URL": "http://127.0.0.1:1/metrics",
}


@pytest.fixture
def shell(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    for name, value in {**LEAKED, "UPLOADPP_E2E": "1"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("UPLOADPP_CLUSTER", raising=False)
    return dict(os.environ)


@pytest.fixture
def instance() -> Iterator[Instance]:
    made = Instance.temporary("shell")
    yield made
    made.close()


@pytest.mark.usefixtures("shell")
def test_what_configures_ours_is_left_out_and_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert not LEAKED.keys() & plain_environment().keys()
    names = leave_out_ours()
    assert set(names) == set(LEAKED)
    assert not LEAKED.keys() & os.environ.keys()
    assert os.environ["UPLOADPP_E2E"] == "1"
    say_left_out(names)
    assert "KUBECONFIG, " in capsys.readouterr().err
    say_left_out(leave_out_ours())
    assert not capsys.readouterr().err


def test_an_existing_cluster_that_is_asked_for_is_kept(
    shell: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UPLOADPP_CLUSTER", "existing")
    assert "UPLOADPP_CLUSTER" in FOR_TOOLS
    leave_out_ours()
    assert os.environ["KUBECONFIG"] == shell["KUBECONFIG"]


def test_make_dev_has_servers_of_its_own_and_says_what_it_was_given(
    shell: dict[str, str], instance: Instance, capsys: pytest.CaptureFixture[str]
) -> None:
    """`. .dev/env; make dev-down; make dev`: the address of the first run is nobody's now."""
    cluster, nats = LocalCluster(instance), NatsServer(instance)
    operator = dev._operator(instance, cluster, nats, shell)
    settings = operator.settings()
    assert settings["POSTPROCESSING_DEBUG_ADDR"] == f"127.0.0.1:{operator.port()}"
    assert settings["OCIS_EVENTS_ENDPOINT"] == nats.address
    assert settings["POSTPROCESSING_STEPS"] == "a"
    assert Path(settings["KUBECONFIG"]) == cluster.kubeconfig
    assert capsys.readouterr().out == "settings of the operator from your shell: POSTPROCESSING_STEPS\n"


def test_what_the_shell_says_to_etcd_is_not_for_ours(
    monkeypatch: pytest.MonkeyPatch, instance: Instance
) -> None:
    """Who administers a cluster has such variables, and with two of them etcd does not start."""
    monkeypatch.setenv("ETCD_INITIAL_CLUSTER", "elsewhere=http://10.0.0.1:2380")
    monkeypatch.setenv("ETCD_NAME", "elsewhere")
    monkeypatch.setenv("ETCDCTL_API", "3")
    environment = Etcd(instance, fsync=False).environment()
    assert "ETCDCTL_API" in environment
    assert not [name for name in environment if name.startswith("ETCD_")]
