"""A namespace whose ResourceQuota demands limits of every container."""

import json
import time

import pytest

from e2e.cluster.helm import Helm
from e2e.cluster.kubectl import Kubectl, KubectlError
from tests.chart.rendering import RELEASE, Object, of_kind
from tests.chart.stepvalues import PLAIN

LIMITED: Object = {"limits": {"cpu": "100m", "memory": "4Gi"}}
NO_CPU = {**LIMITED, "limits": {"memory": "4Gi"}}
HARD = {"limits.cpu": "100", "limits.memory": "100Gi"}


def pods(namespace: str, resources: Object, signatures: Object) -> list[Object]:
    """The accounts and Pods of a release."""
    defaults = {
        "resources": resources,
        "clamd": {"resources": resources, "signatures": {"resources": signatures}},
    }
    values: Object = {**PLAIN, "resources": resources, "stepServiceDefaults": defaults}
    values |= {"adopt": {"enabled": True}, "sealingKey": {"existingSecret": "sealing"}}
    objects = Helm(namespace).render(RELEASE, values)
    made = [
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": each["metadata"]["name"]},
            "spec": {"restartPolicy": "Always", **each["spec"]["template"]["spec"]},
        }
        for kind in ("Deployment", "Job")
        for each in of_kind(objects, kind)
    ]
    return [*of_kind(objects, "ServiceAccount"), *of_kind(objects, "Pod"), *made]


@pytest.fixture
def limited(kubectl: Kubectl, namespace: str) -> Kubectl:
    """A namespace with the quota. Nobody counts here, so that it says itself what is used."""
    quota = {
        "metadata": {"name": "limits"},
        "spec": {"hard": HARD},
        "apiVersion": "v1",
        "kind": "ResourceQuota",
    }
    kubectl("create", "--filename=-", stdin=json.dumps(quota))
    status = {"status": {"hard": HARD, "used": dict.fromkeys(HARD, "0")}}
    kubectl(
        "patch",
        "resourcequota",
        "limits",
        "--subresource=status",
        "--type=merge",
        "--patch",
        json.dumps(status),
    )
    create(kubectl, of_kind(pods(namespace, LIMITED, LIMITED), "ServiceAccount"), dry_run=False)
    end = time.monotonic() + 30
    while "must specify limits.cpu" not in refusal(kubectl, of_kind(pods(namespace, NO_CPU, NO_CPU), "Pod")):
        assert time.monotonic() < end, "the API server does not look at the quota"
    return kubectl


def refusal(kubectl: Kubectl, objects: list[Object]) -> str:
    """What the API server says against some objects; empty when it takes them."""
    try:
        create(kubectl, objects)
    except KubectlError as error:
        return str(error)
    return ""


def create(kubectl: Kubectl, objects: list[Object], *, dry_run: bool = True) -> None:
    """Create some objects, or have the API server judge them."""
    manifest = json.dumps({"apiVersion": "v1", "kind": "List", "items": objects})
    kubectl("create", *(["--dry-run=server"] if dry_run else []), "--filename=-", stdin=manifest)


def test_every_container_can_have_limits(limited: Kubectl, namespace: str) -> None:
    assert refusal(limited, of_kind(pods(namespace, LIMITED, LIMITED), "Pod")) == ""
    said = refusal(limited, of_kind(pods(namespace, LIMITED, NO_CPU), "Pod"))
    assert "must specify limits.cpu for: freshclam,signatures" in said
