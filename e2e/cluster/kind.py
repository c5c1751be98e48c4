"""Kubernetes in docker, where docker, kind and a node image are at hand."""

import os
import shutil
import subprocess
from pathlib import Path

from e2e.cluster.instance import Instance
from e2e.cluster.progress import say
from e2e.cluster.provider import ClusterUnavailableError

_PROBE_TIMEOUT = 10.0
_CREATE_TIMEOUT = 300.0


class KindCluster:
    """A cluster that kind makes, removed again by stop, or at the next start if this process dies."""

    name = "kind"

    def __init__(self) -> None:
        self._instance: Instance | None = None

    @property
    def _cluster(self) -> str:
        assert self._instance is not None  # noqa: S101  # only asked for once it is started
        return f"uploadpp-{self._instance.folder.name}"

    def start(self) -> Path:
        """Create the cluster from the newest node image on this machine."""
        image = _node_image()
        instance = self._instance = Instance.temporary("kind")
        kubeconfig = instance.folder / "kubeconfig"
        cluster = self._cluster
        kind = shutil.which("kind") or "kind"  # whoever reaps it may have another PATH
        instance.on_reap([kind, "delete", "cluster", "--name", cluster])
        say(f"==> creating kind cluster {cluster} from {image} (1 min)")
        command = ["kind", "create", "cluster", "--name", cluster, "--image", image, "--wait", "120s"]
        if config := os.environ.get("UPLOADPP_KIND_CONFIG"):
            command += ["--config", config]
        try:
            _run([*command, "--kubeconfig", str(kubeconfig)], _CREATE_TIMEOUT)
        except ClusterUnavailableError:
            self.stop()
            raise
        return kubeconfig

    def load(self, archive: Path) -> None:
        """Hand the images of an archive to its nodes."""
        command = ["kind", "load", "image-archive", str(archive), "--name", self._cluster]
        _run(command, _CREATE_TIMEOUT)

    def stop(self) -> None:
        """Delete the cluster."""
        if self._instance is not None:
            self._instance.close()
            self._instance = None


def _node_image() -> str:
    """The newest kindest/node image; it is never pulled behind the user's back."""
    for program in ("docker", "kind"):
        if shutil.which(program) is None:
            raise ClusterUnavailableError(f"kind is unavailable because {program} is not on PATH")
    _run(["docker", "info"], _PROBE_TIMEOUT)
    images = _run(
        ["docker", "images", "--format", "{{.Repository}}:{{.Tag}}", "kindest/node"], _PROBE_TIMEOUT
    )
    if not images.split():
        raise ClusterUnavailableError(
            "kind is unavailable because there is no node image: docker pull kindest/node:v1.34.0"
        )
    return images.split()[0]  # docker lists the newest first


def _run(command: list[str], timeout: float) -> str:
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, check=True, timeout=timeout, stdin=subprocess.DEVNULL
        )
    except subprocess.CalledProcessError as error:
        reason = _reason(error.stderr or error.stdout)
        raise ClusterUnavailableError(
            f"kind is unavailable because `{' '.join(command[:3])}` says: {reason}"
        ) from error
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ClusterUnavailableError(f"kind is unavailable because {error}") from error
    return done.stdout


def _reason(output: str) -> str:
    """The line with the error: what kind has run and a stack trace come after it."""
    lines = output.strip().splitlines() or ["it failed"]
    return next((line for line in lines if line.startswith("ERROR: ")), lines[-1])
