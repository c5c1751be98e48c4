"""Times in a resource: what can be stored can be changed later, and be read (docs/adr/0063)."""

import json

import pytest

from e2e.cluster.kubectl import Kubectl, KubectlError
from uploadpp.api.timestamps import parse_time

READ = (
    "2024-01-01T00:00:00Z",
    "2024-02-29T23:59:59.123456789Z",
    "2024-01-01T00:00:00.5+02:00",
    "2024-01-01T00:00:00-23:59",
    "0001-01-01T00:00:00Z",
    "9999-12-31T23:59:59.999Z",
)
REFUSED = (
    "2024-01-01t00:00:00z",
    "2024-01-01T00:00:00z",
    "2024-01-01T00:00:00x5Z",
    "2024-01-01T00:00:00+24:00",
    "2024-01-01T00:00:00+00:60",
    "2023-02-29T00:00:00Z",
    "2024-01-01T24:00:00Z",
    "0000-01-01T00:00:00Z",
    "2024-01-01T00:00:00",
)


def by_hand(time: str) -> str:
    spec = {"upload": {"id": "u1", "receivedTime": time}}
    resource = {
        "apiVersion": "uploadpp.io/v1alpha1",
        "kind": "UploadPostprocessing",
        "metadata": {"name": "u1"},
    }
    return json.dumps({**resource, "spec": spec})


@pytest.mark.parametrize("time", READ)
def test_a_resource_with_this_time_can_be_changed_and_read(kubectl: Kubectl, time: str) -> None:
    kubectl("create", "--validate=false", "--filename=-", stdin=by_hand(time))
    kubectl("patch", "upp", "u1", "--type=merge", "--patch", '{"spec":{"desiredState":"Suspended"}}')
    parse_time(time)
    kubectl("delete", "upp", "u1")


@pytest.mark.parametrize("time", REFUSED)
def test_another_one_cannot_be_stored(kubectl: Kubectl, time: str) -> None:
    with pytest.raises(KubectlError, match=r"spec\.upload\.receivedTime: Invalid"):
        kubectl("create", "--validate=false", "--dry-run=server", "--filename=-", stdin=by_hand(time))
