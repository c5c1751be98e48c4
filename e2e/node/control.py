"""What a control plane needs besides etcd when it has a node."""

from pathlib import Path
from typing import ClassVar

from e2e.cluster.binaries import resolve
from e2e.cluster.controlplane import ApiServer, Etcd
from e2e.cluster.instance import Instance
from e2e.cluster.service import Service
from e2e.node.sandbox import Sandbox


class NodeApiServer(ApiServer):
    """kube-apiserver on the cable to the node, so that it can be reached from there and from nowhere else."""

    def __init__(self, instance: Instance, etcd: Etcd, sandbox: Sandbox) -> None:
        super().__init__(instance, etcd, ())
        self._sandbox = sandbox

    @property
    def address(self) -> str:
        """Our end of the cable."""
        return self._sandbox.link.machine

    def role(self) -> list[str]:
        """Flags of a server that others work for."""
        return ["--kubelet-preferred-address-types=InternalIP", "--allow-privileged=false"]


class Controller(Service):
    """A program that does its work through the API server alone."""

    flags: ClassVar[tuple[str, ...]] = ()

    def __init__(self, instance: Instance, name: str, kubeconfig: Path) -> None:
        super().__init__(instance, name)
        self._kubeconfig = kubeconfig

    def argv(self) -> list[str]:
        """The command line."""
        return [
            str(resolve(self.name).path),
            f"--kubeconfig={self._kubeconfig}",
            "--bind-address=127.0.0.1",
            f"--secure-port={self.port()}",
            f"--cert-dir={self.data}",
            "--leader-elect=false",
            "--profiling=false",
            *self.flags,
        ]

    def ready(self) -> bool:
        """Whether it runs: what it does is waited for where it is needed."""
        return self.process is not None


class ControllerManager(Controller):
    """kube-controller-manager: Deployments, ServiceAccounts, deletion of namespaces."""

    def __init__(self, instance: Instance, kubeconfig: Path, apiserver: ApiServer) -> None:
        super().__init__(instance, "kube-controller-manager", kubeconfig)
        self._apiserver = apiserver

    def argv(self) -> list[str]:
        """The command line."""
        return [
            *super().argv(),
            f"--service-account-private-key-file={self._apiserver.data}/service-account.key",
            f"--root-ca-file={self._apiserver.ca_file}",
        ]


class Scheduler(Controller):
    """kube-scheduler."""

    def __init__(self, instance: Instance, kubeconfig: Path) -> None:
        super().__init__(instance, "kube-scheduler", kubeconfig)
