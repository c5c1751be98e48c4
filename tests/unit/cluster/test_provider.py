"""Which cluster is chosen, and kind with a made-up docker."""

import subprocess
import sys
from pathlib import Path

import pytest

from e2e.cluster.existing import ExistingCluster
from e2e.cluster.instance import reap_leftovers
from e2e.cluster.kind import KindCluster
from e2e.cluster.local import LocalCluster
from e2e.cluster.provider import ClusterUnavailableError, choose_provider
from e2e.paths import REPO

KUBECONFIG_WRITER = 'while [ $# -gt 0 ]; do [ "$1" = --kubeconfig ] && echo "{}" >"$2"; shift; done'


@pytest.fixture(autouse=True)
def bin_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """PATH without docker and kind, and a cache folder of its own."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return folder


def program(folder: Path, name: str, script: str) -> None:
    path = folder / name
    path.write_text(f'#!/bin/sh\necho "{name} $*" >>"{folder}/calls"\n{script}\n')
    path.chmod(0o755)


def calls(folder: Path) -> list[str]:
    return (folder / "calls").read_text().splitlines()


@pytest.mark.parametrize(
    ("name", "kind"),
    [(None, LocalCluster), ("", LocalCluster), ("local", LocalCluster), ("kind", KindCluster)],
)
def test_choice(name: str | None, kind: type) -> None:
    provider = choose_provider({} if name is None else {"UPLOADPP_CLUSTER": name})
    assert isinstance(provider, kind)
    provider.stop()


def test_unknown_choice_is_refused() -> None:
    with pytest.raises(ClusterUnavailableError, match="local, node, kind or existing"):
        choose_provider({"UPLOADPP_CLUSTER": "k3s"})


def test_existing_needs_a_kubeconfig(tmp_path: Path) -> None:
    chosen = choose_provider({"UPLOADPP_CLUSTER": "existing"})
    assert isinstance(chosen, ExistingCluster)
    with pytest.raises(ClusterUnavailableError, match="set UPLOADPP_KUBECONFIG"):
        chosen.start()
    with pytest.raises(ClusterUnavailableError, match="is not a file"):
        ExistingCluster({"KUBECONFIG": str(tmp_path / "absent")}).start()


def test_kind_says_what_is_missing(bin_folder: Path) -> None:
    with pytest.raises(ClusterUnavailableError, match="docker is not on PATH"):
        KindCluster().start()
    program(bin_folder, "docker", "echo 'Cannot connect to the Docker daemon' >&2; exit 1")
    with pytest.raises(ClusterUnavailableError, match="kind is not on PATH"):
        KindCluster().start()
    program(bin_folder, "kind", "")
    with pytest.raises(ClusterUnavailableError, match="Cannot connect to the Docker daemon"):
        KindCluster().start()
    program(bin_folder, "docker", "")
    with pytest.raises(ClusterUnavailableError, match="no node image"):
        KindCluster().start()


def test_kind_cluster_is_created_and_deleted(bin_folder: Path) -> None:
    program(bin_folder, "docker", '[ "$1" = images ] && echo kindest/node:v1.34.0; exit 0')
    program(bin_folder, "kind", KUBECONFIG_WRITER)
    cluster = KindCluster()
    assert cluster.start().read_text() == "{}\n"
    cluster.stop()
    created, deleted = calls(bin_folder)[-2:]
    assert "create cluster --name uploadpp-kind-" in created
    assert "--image kindest/node:v1.34.0" in created
    name = created.split("--name ")[1].split()[0]
    assert deleted == f"kind delete cluster --name {name}"


def test_kind_says_why_it_failed(bin_folder: Path) -> None:
    program(bin_folder, "docker", '[ "$1" = images ] && echo kindest/node:v1.34.0; exit 0')
    output = (
        "Creating\\nERROR: failed to create cluster: no room\\n\\nStack Trace:\\nruntime/asm_amd64.s:1771"
    )
    program(bin_folder, "kind", f"printf '{output}\\n' >&2; exit 1")
    with pytest.raises(ClusterUnavailableError, match="says: ERROR: failed to create cluster: no room"):
        KindCluster().start()


def test_kind_gets_the_configuration_that_is_named(bin_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(bin_folder, "docker", '[ "$1" = images ] && echo kindest/node:v1.34.0; exit 0')
    program(bin_folder, "kind", KUBECONFIG_WRITER)
    monkeypatch.setenv("UPLOADPP_KIND_CONFIG", "/some/kind.yaml")
    cluster = KindCluster()
    cluster.start()
    cluster.stop()
    assert "--config /some/kind.yaml" in calls(bin_folder)[-2]


def start_and_be_killed() -> None:
    code = (
        "import os, signal; from e2e.cluster.kind import KindCluster; "
        "KindCluster().start(); os.kill(os.getpid(), signal.SIGKILL)"
    )
    subprocess.run([sys.executable, "-c", code], cwd=REPO, check=False, stderr=subprocess.DEVNULL)


def test_kind_cluster_of_a_killed_caller_is_deleted_at_the_next_start(
    bin_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program(bin_folder, "docker", '[ "$1" = images ] && echo kindest/node:v1.34.0; exit 0')
    program(bin_folder, "kind", KUBECONFIG_WRITER)
    start_and_be_killed()
    assert "create" in calls(bin_folder)[-1]
    monkeypatch.setenv("PATH", "/nonexistent")
    assert len(reap_leftovers()) == 1
    assert "delete" in calls(bin_folder)[-1]


def test_a_cluster_that_has_gone_with_its_kind_stops_nobody(bin_folder: Path) -> None:
    """As after `kill -9` of `make e2e-kind`, whose docker and kind go with it."""
    program(bin_folder, "docker", '[ "$1" = images ] && echo kindest/node:v1.34.0; exit 0')
    program(bin_folder, "kind", KUBECONFIG_WRITER)
    start_and_be_killed()
    (bin_folder / "kind").unlink()
    assert len(reap_leftovers()) == 1
    assert reap_leftovers() == []
