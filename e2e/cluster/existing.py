"""A cluster that somebody else runs, given by its kubeconfig."""

from collections.abc import Mapping
from pathlib import Path

from e2e.cluster.kubectl import Kubectl, KubectlError
from e2e.cluster.provider import ClusterUnavailableError


class ExistingCluster:
    """The cluster of UPLOADPP_KUBECONFIG, or else KUBECONFIG. Never stopped from here."""

    name = "existing"

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._path = environment.get("UPLOADPP_KUBECONFIG") or environment.get("KUBECONFIG")

    def start(self) -> Path:
        """Check that it answers."""
        if not self._path:
            raise ClusterUnavailableError("no existing cluster: set UPLOADPP_KUBECONFIG or KUBECONFIG")
        path = Path(self._path)
        if not path.is_file():
            raise ClusterUnavailableError(f"no existing cluster: {path} is not a file")
        try:
            Kubectl(path)("get", "--raw", "/readyz", "--request-timeout=10s")
        except KubectlError as error:
            raise ClusterUnavailableError(f"the existing cluster does not answer: {error}") from error
        return path

    def load(self, archive: Path) -> None:
        """How its nodes get images is not for us to know."""
        raise ClusterUnavailableError(
            f"{archive.name} cannot be put on somebody else's nodes: "
            "set UPLOADPP_IMAGE and UPLOADPP_NATS_IMAGE"
        )

    def stop(self) -> None:
        """Nothing was started."""
