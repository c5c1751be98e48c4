"""What every way to get a Kubernetes cluster has in common, and the choice between them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol


class ClusterUnavailableError(RuntimeError):
    """This kind of cluster cannot be had on this machine; the message says why."""


class ClusterProvider(Protocol):
    """A Kubernetes cluster that can be started and stopped."""

    name: str

    def start(self) -> Path:
        """Make it ready and return its kubeconfig.

        Raises:
            ClusterUnavailableError: it cannot be had here.
        """
        ...

    def load(self, archive: Path) -> None:
        """Let Pods use the images of an archive.

        Raises:
            ClusterUnavailableError: it has no Pods, or takes no images from here.
        """
        ...

    def stop(self) -> None:
        """Remove what start made; nothing else."""
        ...


def choose_provider(environment: Mapping[str, str]) -> ClusterProvider:
    """The provider that UPLOADPP_CLUSTER names: local (default), node, kind or existing."""
    # Here, because each of them imports this module.
    from e2e.cluster.existing import ExistingCluster  # noqa: PLC0415
    from e2e.cluster.kind import KindCluster  # noqa: PLC0415
    from e2e.cluster.local import LocalCluster  # noqa: PLC0415
    from e2e.node.cluster import NodeCluster  # noqa: PLC0415

    match environment.get("UPLOADPP_CLUSTER") or "local":
        case "local":
            return LocalCluster()
        case "node":
            return NodeCluster()
        case "kind":
            return KindCluster()
        case "existing":
            return ExistingCluster(environment)
        case other:
            raise ClusterUnavailableError(f"UPLOADPP_CLUSTER={other}: use local, node, kind or existing")
