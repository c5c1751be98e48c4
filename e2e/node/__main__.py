"""`make node` and `make node-down`: a cluster with a real node in the background, to look around in."""

import sys

from e2e.cluster.instance import Instance
from e2e.cluster.provider import ClusterUnavailableError
from e2e.cluster.service import StartError
from e2e.images.make import nats_image, operator_image
from e2e.node.cluster import NodeCluster
from e2e.paths import REPO

FOLDER = REPO / ".node"


def up() -> None:
    """Start what does not run yet, with the operator's image as it is now."""
    FOLDER.mkdir(exist_ok=True)
    cluster = NodeCluster(_instance())
    images = nats_image(), operator_image()
    kubeconfig = cluster.start()
    for image in images:
        cluster.load(image)
    link = FOLDER / "kubeconfig"
    link.unlink(missing_ok=True)
    link.symlink_to(kubeconfig)
    print(f"Now: export KUBECONFIG={link}; kubectl get nodes     stop with: make node-down")


def down() -> None:
    """Stop everything and leave nothing."""
    _instance().close()
    (FOLDER / "kubeconfig").unlink(missing_ok=True)
    FOLDER.rmdir()


def _instance() -> Instance:
    """The one of this working copy."""
    FOLDER.mkdir(exist_ok=True)
    return Instance.named("node", home=FOLDER)


def main(args: list[str]) -> int:
    """`up` or `down`."""
    try:
        match args:
            case ["up"]:
                up()
            case ["down"]:
                down()
            case _:
                print("usage: python -m e2e.node up|down", file=sys.stderr)
                return 2
    except (ClusterUnavailableError, StartError, RuntimeError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
