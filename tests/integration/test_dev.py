"""`make dev` twice, then `make dev-down` twice."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from e2e.cluster.kubectl import Kubectl
from e2e.paths import REPO


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """A development folder apart from the one somebody may be using."""
    return {**os.environ, "UPLOADPP_DEV_FOLDER": str(tmp_path / "dev"), "NO_OPERATOR": "1"}


def dev(action: str, environment: dict[str, str]) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "e2e.dev", action],
        cwd=REPO,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_servers_outlive_the_command_and_leave_nothing(environment: dict[str, str], tmp_path: Path) -> None:
    try:
        assert dev("up", environment).count(" started: ") == 3
        assert dev("up", environment).count(" already running: ") == 3
        exports = (tmp_path / "dev/env").read_text()
        variables = dict(
            line.removeprefix("export ").split("=", 1)
            for line in exports.splitlines()
            if line.startswith("export ")
        )
        assert variables["NATS_URL"].endswith(variables["OCIS_EVENTS_ENDPOINT"])
        kubeconfig = Path(variables["KUBECONFIG"])
        assert "uploadpp-dev" in Kubectl(kubeconfig)("get", "namespaces")
        key = Path(variables["UPLOADPP_SEALING_KEY_FILE"])
        assert key.stat().st_mode & 0o777 == 0o600
    finally:
        stopped = dev("down", environment)
    assert "kube-apiserver" in stopped
    assert not (tmp_path / "dev").exists()
    assert not kubeconfig.parent.exists()
    assert dev("down", environment) == "nothing was running\n"
