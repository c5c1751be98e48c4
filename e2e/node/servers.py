"""The servers of the node, each inside its namespaces."""

from abc import abstractmethod
from pathlib import Path
from typing import ClassVar

from e2e.cluster.binaries import resolve
from e2e.cluster.http import get
from e2e.cluster.service import Service
from e2e.node import settings
from e2e.node.sandbox import HOME, Sandbox


class NodeServer(Service):
    """A server inside. It ends with the sandbox: a signal would reach only the process that entered it."""

    port_names: ClassVar = ()
    start_timeout: ClassVar = 60.0

    def __init__(self, sandbox: Sandbox, name: str) -> None:
        super().__init__(sandbox.instance, name)
        self.sandbox = sandbox

    @abstractmethod
    def command(self) -> list[str]:
        """The command line inside."""

    @abstractmethod
    def files(self) -> dict[str, str]:
        """Its configuration, by name in the instance's folder."""

    def argv(self) -> list[str]:
        """The command line."""
        return self.sandbox.enter(*self.command())

    def launch(self) -> None:
        """Start the process without waiting for it."""
        for name, text in self.files().items():
            path = self.instance.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        super().launch()

    def answers(self, port: int, path: str) -> bool:
        """Whether it answers a GET."""
        return bool(get(f"http://{self.sandbox.link.node}:{port}/{path}"))


class Containerd(NodeServer):
    """containerd, with images from archives."""

    def __init__(self, sandbox: Sandbox) -> None:
        super().__init__(sandbox, "containerd")

    def files(self) -> dict[str, str]:
        """Its configuration and that of the network of Pods."""
        network = settings.as_text(settings.cni(self.sandbox.link))
        return {"containerd/config.toml": settings.containerd(), "cni/10-pods.conflist": network}

    def command(self) -> list[str]:
        """The command line inside."""
        return ["containerd", f"--config={HOME}/containerd/config.toml"]

    def ready(self) -> bool:
        """Whether it serves its API."""
        try:
            self.ctr("version")
        except RuntimeError:
            return False
        return True

    def ctr(self, *words: str) -> str:
        """Its command line tool, for the images of Kubernetes."""
        return self.sandbox.run("ctr", f"--address={settings.SOCKET}", "--namespace=k8s.io", *words)

    def load(self, archive: Path) -> None:
        """Import the images of an archive."""
        self.ctr("images", "import", str(archive))


class Kubelet(NodeServer):
    """The kubelet."""

    def __init__(self, sandbox: Sandbox, cgroup: str) -> None:
        super().__init__(sandbox, "kubelet")
        self._cgroup = cgroup

    def files(self) -> dict[str, str]:
        """Its configuration."""
        text = settings.as_text(settings.kubelet(self.sandbox.link, self._cgroup))
        return {"kubelet/config.json": text}

    def command(self) -> list[str]:
        """The command line inside."""
        return [
            str(resolve("kubelet").path),
            f"--config={HOME}/kubelet/config.json",
            f"--kubeconfig={HOME}/kubeconfig",
            f"--root-dir={HOME}/kubelet/root",
            f"--cert-dir={HOME}/kubelet/pki",
            f"--hostname-override={settings.NODE}",
            f"--node-ip={self.sandbox.link.node}",
        ]

    def ready(self) -> bool:
        """Whether it is healthy; the node is Ready a little later."""
        return self.answers(10248, "healthz")


class KubeProxy(NodeServer):
    """kube-proxy."""

    def __init__(self, sandbox: Sandbox) -> None:
        super().__init__(sandbox, "kube-proxy")

    def files(self) -> dict[str, str]:
        """Its configuration."""
        return {"kube-proxy/config.json": settings.as_text(settings.kube_proxy(self.sandbox.link))}

    def command(self) -> list[str]:
        """The command line inside."""
        return [str(resolve("kube-proxy").path), f"--config={HOME}/kube-proxy/config.json"]

    def ready(self) -> bool:
        """Whether it is healthy."""
        return self.answers(10256, "livez")


class Dns(NodeServer):
    """CoreDNS, on the node's address."""

    def __init__(self, sandbox: Sandbox) -> None:
        super().__init__(sandbox, "coredns")

    def files(self) -> dict[str, str]:
        """Its configuration."""
        return {"coredns/Corefile": settings.corefile()}

    def command(self) -> list[str]:
        """The command line inside."""
        return [str(resolve("coredns").path), "-conf", f"{HOME}/coredns/Corefile"]

    def ready(self) -> bool:
        """Whether it has seen all Services."""
        return self.answers(8181, "ready")
