"""`null` leaves a field out, wherever it is written and whether or not the chart has a default there."""

from typing import Any

import pytest

from e2e.cluster.helm import Helm
from e2e.cluster.kubectl import Kubectl
from tests.chart.rendering import EVERYTHING, PRODUCTION, RELEASE, Object, container, of_kind, render, the
from tests.chart.stepvalues import FULL, PLAIN, deployments, pod, step

NULLS: Object = {
    "resources": {"limits": {"cpu": None, "memory": "1Gi"}, "claims": None},
    "securityContext": {"runAsUser": None, "capabilities": {"add": None}},
    "podSecurityContext": {"supplementalGroups": None, "seccompProfile": {"localhostProfile": None}},
    "nodeSelector": {"disk": None},
    "affinity": {"nodeAffinity": None, "podAffinity": None},
    "tolerations": [{"key": "files", "operator": "Exists", "effect": None}],
    "topologySpreadConstraints": [
        {"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule", "minDomains": None}
    ],
    "podLabels": {"tier": None},
    "podAnnotations": {"team": None},
    "commonLabels": {"team": None},
    "deploymentAnnotations": {"team": None},
    "serviceAccount": {"annotations": {"team": None}},
    "metrics": {"service": True, "serviceLabels": {"team": None}},
    "probes": {"startup": {"successThreshold": None}, "liveness": {"terminationGracePeriodSeconds": None}},
    "extraVolumes": [{"name": "scratch", "emptyDir": {"sizeLimit": None}}],
    "extraVolumeMounts": [{"name": "scratch", "mountPath": "/scratch", "subPath": None}],
    "networkPolicy": {
        "enabled": True,
        "natsTo": [{"podSelector": {"matchLabels": {"app": "nats"}}, "namespaceSelector": None}],
    },
    "adopt": {"enabled": True},
    "fairShare": {"weights": {"mary": None}},
}
OF_STEPS: Object = {
    "affinity": {"nodeAffinity": None},
    "podAnnotations": {"team": None},
    "podLabels": {"tier": None},
    "nodeSelector": {"disk": None},
    "resources": {"limits": {"cpu": None}},
    "podSecurityContext": {"supplementalGroups": None},
    "tolerations": [{"key": "files", "operator": "Exists", "effect": None}],
}


def nulls(found: Any, path: str = "") -> list[str]:  # noqa: ANN401 -- whatever YAML holds
    """Where there is a null in an object."""
    if found is None:
        return [path]
    parts = found.items() if isinstance(found, dict) else enumerate(found) if isinstance(found, list) else ()
    return [each for key, value in parts for each in nulls(value, f"{path}.{key}")]


@pytest.mark.parametrize("base", [{}, EVERYTHING, PRODUCTION, PLAIN, FULL], ids=range(5))
def test_no_object_has_a_null(base: Object) -> None:
    services = {name: each | OF_STEPS for name, each in base.get("stepServices", {}).items()}
    values = {**base, **NULLS, "stepServices": services, "stepServiceDefaults": OF_STEPS}
    found = [each for each in render(values) if each["kind"] != "CustomResourceDefinition"]
    assert {each["kind"]: nulls(each) for each in found if nulls(each)} == {}


def test_the_api_server_takes_what_is_left(helm: Helm, kubectl: Kubectl) -> None:
    values = {
        **NULLS,
        "crds": {"install": False},
        "rbac": {"aggregate": False},
        "steps": [{"name": "virusscan"}],
        "stepServices": {"virusscan": {"virusscan": {"clamd": "sidecar"}, **OF_STEPS}},
        "adopt": {"enabled": False},
    }
    helm.install(RELEASE, values)
    operator, steps = kubectl.json("get", "deployments")["items"]
    assert "nodeSelector" not in operator["spec"]["template"]["spec"], "not as an empty text"
    assert operator["spec"]["template"]["spec"]["containers"][0]["resources"]["limits"] == {"memory": "1Gi"}
    assert "team" not in steps["spec"]["template"]["metadata"]["annotations"]


def test_what_the_chart_says_for_all_pods_can_be_left_out_of_steps() -> None:
    values = PLAIN | {
        "podLabels": {"tier": "backend", "team": "files"},
        "podAnnotations": {"sidecar.istio.io/inject": "false", "note": "x"},
        "stepServiceDefaults": {"podLabels": {"tier": None}},
    }
    own = {
        "policies": {"rules": []},
        "podAnnotations": {"sidecar.istio.io/inject": None},
        "podSecurityContext": {"fsGroup": None, "seccompProfile": None},
    }
    objects = render(values | {"stepServices": {"own": own}})
    (found,) = deployments(objects).values()
    metadata = found["spec"]["template"]["metadata"]
    assert metadata["labels"]["team"] == "files"
    assert "tier" not in metadata["labels"]
    assert metadata["annotations"]["note"] == "x"
    assert "sidecar.istio.io/inject" not in metadata["annotations"]
    users = {"runAsUser": 65533, "runAsGroup": 65533}
    assert pod(found)["securityContext"] == {"runAsNonRoot": True, **users}


def test_nothing_else_is_taken_out() -> None:
    """False, 0 and empty texts are values, and the objects of others are theirs."""
    objects = render(
        {
            "securityContext": {"privileged": False},
            "resources": {"limits": {"cpu": 0}},
            "podAnnotations": {"empty": ""},
            "extraObjects": [
                {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x"}, "data": None}
            ],
            "stepServices": {"own": {"policies": {"rules": []}, "drainSeconds": 0}},
        }
    )
    found = container(objects)
    assert found["securityContext"]["privileged"] is False
    assert found["resources"]["limits"]["cpu"] == 0
    (theirs,) = [each for each in of_kind(objects, "ConfigMap") if each["metadata"]["name"] == "x"]
    assert theirs["data"] is None
    (own,) = deployments(objects).values()
    assert pod(own)["terminationGracePeriodSeconds"] == 15
    assert step(own)["securityContext"]["privileged"] is False
    assert the(objects, "Pod")["spec"]["containers"][0]["resources"]["limits"]["cpu"] == 0
