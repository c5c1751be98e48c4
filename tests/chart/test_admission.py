"""Every object of the chart before the real API server, which checks fields, values and Pod security."""

import json
from pathlib import Path

import pytest

from e2e.cluster.kubectl import Kubectl, apply_crds
from e2e.cluster.local import LocalCluster
from tests.chart.rendering import NAMESPACE, SETS, Object, of_kind, render, the
from tests.chart.stepvalues import PLAIN, STEP_SETS

MONITORING = Path(__file__).parent / "data" / "monitoring-crds.yaml"


@pytest.fixture(scope="module")
def server(bare_cluster: LocalCluster) -> Kubectl:
    """The namespace that everything is rendered for, under the restricted Pod security standard."""
    apply_crds(bare_cluster.kubeconfig, MONITORING)
    kubectl = Kubectl(bare_cluster.kubeconfig)
    kubectl("create", "namespace", NAMESPACE)
    kubectl("label", "namespace", NAMESPACE, "pod-security.kubernetes.io/enforce=restricted")
    kubectl("create", "priorityclass", "files", "--value=1000")
    return Kubectl(bare_cluster.kubeconfig, NAMESPACE)


EVERY = {**SETS, **STEP_SETS, "openshift": {**PLAIN, "openshift": {"enabled": True}}}


@pytest.mark.parametrize("name", EVERY)
def test_the_api_server_takes_every_object(server: Kubectl, name: str) -> None:
    objects = render(EVERY[name])
    # Each Deployment's template once more as a Pod: only Pods are refused, Deployments merely warned about.
    objects += [bare_pod(each) for each in of_kind(objects, "Deployment")]
    done = server(
        "apply",
        "--server-side",
        "--force-conflicts",
        "--dry-run=server",
        "--validate=strict",
        "--output=name",
        "--filename=-",
        stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}),
    )
    assert len(done.splitlines()) == len(objects)


def test_the_server_would_refuse_a_pod_with_more_rights(server: Kubectl) -> None:
    """The standard really is enforced here, so the test above can fail."""
    pod = bare_pod(the(render({}), "Deployment"))
    pod["spec"]["containers"][0]["securityContext"]["allowPrivilegeEscalation"] = True
    with pytest.raises(RuntimeError, match="violates PodSecurity"):
        server("create", "--dry-run=server", "--filename=-", stdin=json.dumps(pod))


def bare_pod(deployment: Object) -> Object:
    """A Pod as a Deployment would make it."""
    template = deployment["spec"]["template"]
    name = f"one-of-{deployment['metadata']['name']}"
    metadata = {"name": name, "namespace": NAMESPACE, "labels": template["metadata"]["labels"]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]}
