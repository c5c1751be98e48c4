"""Policies among the additional objects of a release, whose CRD the same release installs."""

import json
from collections.abc import Iterator

import pytest

from e2e.cluster.helm import CHART, Helm, HelmError
from e2e.cluster.kubectl import Kubectl, until_served
from e2e.cluster.local import LocalCluster
from tests.chart.pod import CRDS, NAME
from tests.chart.rendering import Object, of_kind, render

POLICY: Object = {
    "apiVersion": "uploadpp.io/v1alpha1",
    "kind": "PostprocessingPolicy",
    "metadata": {"name": "theirs"},
    "spec": {"rules": [{"name": "all", "match": "file.size > 1"}]},
}
TEXT = f"apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: first}}\n---\n{json.dumps(POLICY)}\n"
IN_A_LIST: Object = {"apiVersion": "v1", "kind": "List", "items": [POLICY]}
ONLY_TOLD_OF: Object = {
    "apiVersion": "v1",
    "kind": "ConfigMap",
    "metadata": {"name": "told"},
    "data": {"policy.yaml": json.dumps(POLICY)},
}
VALUES: Object = {"rbac": {"aggregate": False}}


@pytest.fixture
def without_crds(bare_cluster: LocalCluster) -> Iterator[None]:
    """A cluster on which nothing was installed, whatever other tests have left."""
    admin = Kubectl(bare_cluster.kubeconfig)
    admin("delete", "crd", "--ignore-not-found", "--wait", *CRDS)
    yield
    admin("delete", "crd", "--ignore-not-found", "--wait", *CRDS)


@pytest.mark.usefixtures("without_crds")
def test_the_first_install_says_what_to_do(helm: Helm, kubectl: Kubectl) -> None:
    for objects in ([POLICY], [TEXT], [IN_A_LIST]):
        with pytest.raises(HelmError, match="does not know the kind PostprocessingPolicy yet") as refused:
            helm.install(NAME, VALUES | {"extraObjects": objects})
        assert "Install the release once without these objects" in str(refused.value)
    helm.install(NAME, VALUES | {"extraObjects": [ONLY_TOLD_OF]})
    until_served(kubectl.kubeconfig)
    helm.install(NAME, VALUES | {"extraObjects": [POLICY, ONLY_TOLD_OF]})
    assert kubectl("get", "upppol", "--output=name").split() == ["postprocessingpolicy.uploadpp.io/theirs"]


@pytest.mark.parametrize("each", [POLICY, TEXT], ids=["object", "text"])
def test_without_a_cluster_nothing_is_known_and_nothing_refused(each: Object | str) -> None:
    (found,) = of_kind(render({"extraObjects": [each]}), "PostprocessingPolicy")
    assert found == POLICY


@pytest.mark.usefixtures("without_crds")
def test_helm_is_what_refuses_it(helm: Helm) -> None:
    """If Helm learns to wait for CRDs of the same release, the check of the chart can go."""
    crd = (CHART / "files" / f"{CRDS[1]}.yaml").read_text()
    values = VALUES | {
        "crds": {"install": False},
        "extraObjects": [crd, {**POLICY, "apiVersion": "uploadpp.io/v1"}],
    }
    with pytest.raises(HelmError, match="no matches for kind"):
        helm.install(NAME, values)
