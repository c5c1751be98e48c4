"""A machine that cannot run a node says why, in a sentence."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from e2e.cluster.provider import ClusterUnavailableError
from e2e.node import machine


@pytest.fixture(autouse=True)
def able(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Root on Linux with control groups and all programs."""
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr(machine, "CGROUPS", tmp_path)
    (tmp_path / "cgroup.controllers").touch()
    return tmp_path


def test_an_able_machine_is_accepted() -> None:
    machine.check()


@pytest.mark.parametrize(
    ("target", "name", "value", "message"),
    [
        (sys, "platform", "darwin", "a node needs Linux, and this is darwin: use UPLOADPP_CLUSTER=kind"),
        (os, "geteuid", lambda: 1000, "a node needs root: run it with sudo"),
        (machine, "CGROUPS", Path("/nonexistent"), "a node needs control groups"),
    ],
)
def test_what_is_missing_is_said(
    monkeypatch: pytest.MonkeyPatch, target: object, name: str, value: object, message: str
) -> None:
    monkeypatch.setattr(target, name, value)
    with pytest.raises(ClusterUnavailableError, match=message):
        machine.check()


def test_missing_programs_are_named_with_their_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None if name in {"ctr", "apt-get"} else name)
    with pytest.raises(ClusterUnavailableError, match="not on this machine: ctr; install containerd"):
        machine.check()


def test_a_failed_installation_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def run(command: list[str], **_: object) -> None:
        assert command[1:] == ["containerd", "runc"]
        raise subprocess.CalledProcessError(100, command)

    monkeypatch.setattr(subprocess, "run", run)
    with pytest.raises(ClusterUnavailableError, match="not on this machine: ctr, runc, and could not"):
        machine.install({"ctr": "containerd", "runc": "runc"})


def test_control_groups_are_removed_from_the_innermost_out(able: Path) -> None:
    (able / "memory" / "uploadpp-node-1" / "kubepods" / "pod-1").mkdir(parents=True)
    (able / "memory" / "somebody-else").mkdir()
    done = subprocess.run(machine.remove_cgroup_command("uploadpp-node-1"), check=True, timeout=20)
    assert done.returncode == 0
    assert sorted(path.name for path in (able / "memory").iterdir()) == ["somebody-else"]
