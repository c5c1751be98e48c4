"""A real control plane as two local processes: ready in seconds, no nodes, no images, no docker."""

from collections.abc import Sequence
from pathlib import Path
from typing import Self

from e2e.cluster.controlplane import ApiServer, Etcd
from e2e.cluster.instance import Instance
from e2e.cluster.kubeconfig import write_kubeconfig
from e2e.cluster.provider import ClusterUnavailableError


class LocalCluster:
    """etcd and kube-apiserver. `etcd` and `apiserver` can be stopped, killed, frozen and restarted apart."""

    name = "local"

    def __init__(
        self,
        instance: Instance | None = None,
        *,
        fsync: bool = False,
        apiserver_args: Sequence[str] = (),
    ) -> None:
        self.instance = instance or Instance.temporary("cluster")
        self.etcd = Etcd(self.instance, fsync=fsync)
        self.apiserver = ApiServer(self.instance, self.etcd, apiserver_args)
        self.kubeconfig = self.instance.folder / "kubeconfig"

    def start(self) -> Path:
        """Start both servers, unless they run, and return the administrator's kubeconfig."""
        self.etcd.start()
        self.apiserver.start()
        write_kubeconfig(
            self.kubeconfig,
            server=self.apiserver.url,
            ca=self.apiserver.ca_file.read_bytes(),
            token=self.apiserver.token,
        )
        return self.kubeconfig

    def load(self, archive: Path) -> None:
        """It has no Pods."""
        raise ClusterUnavailableError(f"{archive.name} is of no use: a local cluster runs no Pods")

    def stop(self) -> None:
        """End both servers and forget their data, and everything else of the instance."""
        self.instance.close()

    def metrics(self) -> str:
        """The API server's own metrics, in Prometheus' text format."""
        return self.apiserver.get("/metrics")

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
