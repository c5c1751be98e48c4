"""A cluster with one real node, as processes of this machine: real Pods, no docker, no registry."""

import time
from pathlib import Path
from typing import Self

from e2e.cluster.controlplane import Etcd
from e2e.cluster.instance import Instance
from e2e.cluster.kubeconfig import write_kubeconfig
from e2e.cluster.kubectl import Kubectl
from e2e.cluster.progress import say
from e2e.images.make import pause_image
from e2e.node import machine
from e2e.node.control import ControllerManager, NodeApiServer, Scheduler
from e2e.node.sandbox import Sandbox
from e2e.node.servers import Containerd, Dns, Kubelet, KubeProxy
from e2e.node.settings import NODE


class NodeCluster:
    """etcd, the control plane, and a node in namespaces of its own."""

    name = "node"

    def __init__(self, instance: Instance | None = None) -> None:
        self._instance = instance

    @property
    def instance(self) -> Instance:
        """Its folder and processes."""
        if self._instance is None:
            self._instance = Instance.temporary("node")
        return self._instance

    def start(self) -> Path:
        """Start everything that does not run; returns the administrator's kubeconfig when the node is Ready.

        Raises:
            ClusterUnavailableError: this machine cannot run a node.
        """
        machine.check()
        pause = pause_image()
        started = time.monotonic()
        instance = self.instance
        cgroup = f"uploadpp-{instance.folder.name}"
        instance.on_reap(machine.remove_cgroup_command(cgroup))
        machine.make_cgroup(cgroup)
        sandbox = Sandbox(instance)
        sandbox.start()
        kubeconfig = self._control_plane(sandbox)
        containerd = Containerd(sandbox)
        containerd.start()
        containerd.load(pause)
        for server in (Dns(sandbox), Kubelet(sandbox, cgroup)):
            server.start()
        kubectl = Kubectl(kubeconfig)
        kubectl("wait", "--for=create", "--timeout=60s", f"node/{NODE}", timeout=70)
        KubeProxy(sandbox).start()  # it would wait half a minute for its node, and then go on
        kubectl("wait", "--for=condition=Ready", "--timeout=60s", f"node/{NODE}", timeout=70)
        say(f"==> the node is Ready after {time.monotonic() - started:.0f} s")
        return kubeconfig

    def load(self, archive: Path) -> None:
        """Let Pods use the images of an archive."""
        Containerd(Sandbox(self.instance)).load(archive)

    def stop(self) -> None:
        """End everything and forget its data."""
        if self._instance is not None:
            self._instance.close()
            self._instance = None

    def _control_plane(self, sandbox: Sandbox) -> Path:
        instance = self.instance
        etcd = Etcd(instance, fsync=False)
        apiserver = NodeApiServer(instance, etcd, sandbox)
        etcd.start()
        apiserver.start()
        kubeconfig = instance.folder / "kubeconfig"
        ca = apiserver.ca_file.read_bytes()
        write_kubeconfig(kubeconfig, server=apiserver.url, ca=ca, token=apiserver.token)
        ControllerManager(instance, kubeconfig, apiserver).start()
        Scheduler(instance, kubeconfig).start()
        return kubeconfig

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
