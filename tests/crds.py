"""The CRDs: what `kubectl explain` says of them, and one with a status that takes anything.

That was so before the API server checked it. What somebody wrote then is still stored, and whoever may
change the CRD can open it again.
"""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from bench.shapes import opened
from e2e.cluster.kubectl import Kubectl, KubectlError
from e2e.cluster.local import LocalCluster
from e2e.cluster.waiting import wait_until
from uploadpp.api import API_VERSION, CRD_NAME, KIND

STATUS = "/spec/versions/0/schema/openAPIV3Schema/properties/status"
PROBE = "probe-of-the-status"


@contextmanager
def open_status(cluster: LocalCluster) -> Iterator[None]:
    """The CRD of this pytest worker's cluster with an open status, for a while."""
    kubectl = Kubectl(cluster.kubeconfig, "default")
    crd = kubectl.json("get", "crd", CRD_NAME)
    shipped = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["status"]
    probe = {"apiVersion": API_VERSION, "kind": KIND, "metadata": {"name": PROBE}}
    nonsense = '--patch={"status":{"run":"x"}}'

    def takes_nonsense() -> bool:
        words = ("patch", "upp", PROBE, "--subresource=status", "--type=merge", "--dry-run=server")
        try:
            kubectl(*words, nonsense)
        except KubectlError:
            return False
        return True

    def change(schema: dict[str, Any], *, takes: bool) -> None:
        patch = json.dumps([{"op": "replace", "path": STATUS, "value": schema}])
        kubectl("patch", "crd", CRD_NAME, "--type=json", "--patch-file=/dev/stdin", stdin=patch)
        assert wait_until(lambda: takes_nonsense() is takes, 30)

    kubectl("create", "-f", "-", stdin=json.dumps({**probe, "spec": {"upload": {"id": PROBE}}}))
    try:
        change(opened(shipped), takes=True)
        yield
    finally:
        change(shipped, takes=False)
        kubectl("delete", "upp", PROBE)


def explained(kubectl: Kubectl, path: str) -> str:
    """What `kubectl explain` says of a field. A new API is served before its schema is published."""
    deadline = time.monotonic() + 60
    while True:
        try:
            return kubectl("explain", path)
        except KubectlError as error:
            if "couldn't find resource" not in str(error) or time.monotonic() > deadline:
                raise
        time.sleep(0.2)
