"""`python -m e2e.kind COMMAND…`: a command that finds docker, kind and a node image, which end with it."""

import json
import subprocess
import sys
from pathlib import Path

from e2e.cluster.binaries import resolve
from e2e.cluster.progress import run_slowly
from e2e.cluster.provider import ClusterUnavailableError
from e2e.cluster.service import StartError
from e2e.images.make import nats_image, operator_image
from e2e.kind.docker import PACKAGES, DockerHost
from e2e.kind.image import node_image
from e2e.node import machine

_KUBELET = "kind: KubeletConfiguration\nfailCgroupV1: false\n"  # as in the node of `make e2e`


def run(command: list[str]) -> int:
    """Run it; returns its status."""
    machine.check(PACKAGES)
    operator_image()  # before docker answers, which would look for its base in a registry
    nats_image()
    archive = node_image()
    with DockerHost() as host:
        environment = {**host.environment(), **choices(host, _config(host))}
        programs = host.instance.folder / "bin"
        programs.mkdir()
        (programs / "kind").symlink_to(resolve("kind").path)
        environment["PATH"] = f"{programs}:{environment['PATH']}"
        log = host.instance.logs / "load.log"
        load = ["docker", "load", f"--input={archive}"]
        run_slowly("loading the node image", load, log=log, cwd=programs, env=environment)
        return subprocess.run(command, check=False, env=environment).returncode


def choices(host: DockerHost, config: Path) -> dict[str, str]:
    """What tells the tests which cluster to use, and where its Pods find them."""
    return {
        "UPLOADPP_CLUSTER": "kind",
        "UPLOADPP_KIND_CONFIG": str(config),
        "UPLOADPP_OWN_ADDRESS": host.sandbox.link.machine,
    }


def _config(host: DockerHost) -> Path:
    """The API server listens on the cable. Its port is fixed: kind would look for a free one outside."""
    networking = {"apiServerAddress": host.sandbox.link.node, "apiServerPort": 6443}
    cluster = {
        "kind": "Cluster",
        "apiVersion": "kind.x-k8s.io/v1alpha4",
        "networking": networking,
        "kubeadmConfigPatches": [_KUBELET],
    }
    path = host.instance.folder / "kind.json"
    path.write_text(json.dumps(cluster))
    return path


def main(command: list[str]) -> int:
    """Run the command, or say why it cannot be run."""
    if not command:
        print("usage: python -m e2e.kind COMMAND…", file=sys.stderr)
        return 2
    try:
        return run(command)
    except (ClusterUnavailableError, StartError, RuntimeError) as error:
        print(error, file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
