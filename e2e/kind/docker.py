"""A docker daemon in namespaces of its own: nothing of it stays on the machine."""

import os
import subprocess
from pathlib import Path
from typing import Self

from e2e.cluster.instance import Instance
from e2e.node import machine
from e2e.node.sandbox import HOME, Sandbox
from e2e.node.servers import NodeServer

PACKAGES = {
    "dockerd": "docker.io",
    "docker": "docker.io",
    "containerd": "containerd",
    "runc": "runc",
    "iptables": "iptables",
    "ip": "iproute2",
    "nsenter": "util-linux",
    "setpriv": "util-linux",
    "debootstrap": "debootstrap",
}
"""Programs of this machine, and the Debian package of each."""


class Dockerd(NodeServer):
    """The daemon. Its data are in the instance's folder and go with it."""

    def __init__(self, sandbox: Sandbox, cgroup: str) -> None:
        super().__init__(sandbox, "dockerd")
        self._cgroup = cgroup

    @property
    def host(self) -> str:
        """What DOCKER_HOST must be for programs of this machine."""
        return f"unix://{self.instance.folder}/docker.sock"

    def files(self) -> dict[str, str]:
        """No configuration but the command line."""
        return {}

    def command(self) -> list[str]:
        """The command line inside."""
        return [
            "dockerd",
            f"--host=unix://{HOME}/docker.sock",
            f"--data-root={HOME}/dockerd/data",
            "--exec-root=/run/docker",
            "--pidfile=/run/docker.pid",
            "--storage-driver=overlay2",
            f"--add-runtime=here={Path(__file__).with_name('runtime.sh')}",
            "--default-runtime=here",
            f"--cgroup-parent=/{self._cgroup}",
        ]

    def ready(self) -> bool:
        """Whether it serves its API."""
        done = subprocess.run(["docker", f"--host={self.host}", "version"], check=False, capture_output=True)
        return done.returncode == 0


class DockerHost:
    """The namespaces and the daemon in them."""

    def __init__(self) -> None:
        self.instance = Instance.temporary("docker")
        cgroup = f"uploadpp-{self.instance.folder.name}"
        self.instance.on_reap(machine.remove_cgroup_command(cgroup))
        machine.make_cgroup(cgroup)
        self.sandbox = Sandbox(self.instance)
        self.daemon = Dockerd(self.sandbox, cgroup)

    def environment(self) -> dict[str, str]:
        """With which programs of this machine use the daemon."""
        return {**os.environ, "DOCKER_HOST": self.daemon.host}

    def __enter__(self) -> Self:
        self.sandbox.start()
        self.daemon.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.instance.close()
