"""How the chart fits into other installations: OpenShift, monitors of others, namespaces, parents."""

import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from e2e.cluster.helm import CHART, Helm, HelmError
from tests.chart.rendering import NAMESPACE, RELEASE, Object, container, of_kind, refusal, render, the
from tests.chart.stepvalues import PLAIN, deployments, pod, step
from tests.chart.test_monitoring import RULES, promtool

KEY = {"sealingKey": {"existingSecret": "sealing"}}
USERS = {"runAsUser", "runAsGroup", "fsGroup"}
ALERTS = [rule["alert"] for rule in RULES]
WITHOUT_NUMBER = {"UploadppAbsent", "UploadppReplicaMissing", "UploadppStepWithoutService"}


def rendered(values: Object, *args: str) -> list[Object]:
    """The objects, with more arguments of `helm template`."""
    text = Helm(NAMESPACE)("template", RELEASE, str(CHART), *args, values=KEY | values)
    return [each for each in yaml.safe_load_all(text) if each]


def pod_specs(objects: list[Object]) -> list[Object]:
    """The specs of all Pods, whatever makes them."""
    made = [
        each["spec"]["template"]["spec"] for kind in ("Deployment", "Job") for each in of_kind(objects, kind)
    ]
    return made + [each["spec"] for each in of_kind(objects, "Pod")]


# -- OpenShift ----------------------------------------------------------------------------------

SCC = "--api-versions=security.openshift.io/v1"


@pytest.mark.parametrize(
    ("enabled", "args", "assigned"),
    [("auto", (SCC,), True), (True, (), True), ("auto", (), False), (False, (SCC,), False)],
)
def test_on_openshift_the_cluster_assigns_users(enabled: Any, args: tuple[str, ...], assigned: bool) -> None:  # noqa: ANN401, FBT001 -- a value of both kinds, parametrised
    values = PLAIN | {"openshift": {"enabled": enabled}, "adopt": {"enabled": True}}
    specs = pod_specs(rendered(values, *args))
    assert len(specs) == len(PLAIN["stepServices"]) + 3
    for spec in specs:
        context = spec["securityContext"]
        assert not USERS & set(context) if assigned else set(context) >= USERS
        assert context["runAsNonRoot"]
        assert context["seccompProfile"] == {"type": "RuntimeDefault"}
        (credentials,) = [each["projected"] for each in spec["volumes"] if each["name"] == "credentials"]
        assert credentials["defaultMode"] == (0o444 if assigned else 0o440)


# -- Monitoring of others -----------------------------------------------------------------------


def test_a_service_monitor_of_ocis_charts_finds_us() -> None:
    """It chooses Services by one label and their port by its name."""
    metrics = {"service": True, "portName": "metrics-debug", "serviceLabels": {"ocis-metrics": "enabled"}}
    every = {"metrics": {**metrics, "podMonitor": {"enabled": True}}, "networkPolicy": {"enabled": True}}
    objects = render(PLAIN | every)
    services = [
        each
        for each in of_kind(objects, "Service")
        if each["metadata"]["labels"]["ocis-metrics"] == "enabled"
    ]
    assert len(services) == 2
    containers = [container(objects), *(step(each) for each in deployments(objects).values())]
    for each in containers:
        (port,) = each["ports"]
        assert port["name"] == "metrics-debug"
        for probe in ("startup", "liveness", "readiness"):
            assert each[f"{probe}Probe"]["httpGet"]["port"] == "metrics-debug"
    for service in services:
        (port,) = service["spec"]["ports"]
        assert (port["name"], port["targetPort"]) == ("metrics-debug", "metrics-debug")
    for policy in of_kind(objects, "NetworkPolicy"):
        assert policy["spec"]["ingress"][0]["ports"] == [{"protocol": "TCP", "port": "metrics-debug"}]
    for monitor in of_kind(objects, "PodMonitor"):
        assert monitor["spec"]["podMetricsEndpoints"][0]["port"] == "metrics-debug"


def test_an_alert_can_be_different_from_the_others() -> None:
    overrides: Object = {
        "UploadppUploadOld": {"threshold": 7200.5, "severity": "info", "for": "15m", "labels": {"team": "b"}},
        "UploadppStepSilent": {"threshold": 1000000},
        "UploadppManyRecorded": {"threshold": 0.95, "labels": {"severity": "page"}},
        "UploadppUploadTexts": {"threshold": 0},
        "UploadppLogLag": {"enabled": False},
        "UploadppAbsent": {"expr": 'absent(uploadpp_build_info{cluster="a"})'},
    }
    settings = {"enabled": True, "alertLabels": {"team": "a"}, "clusterLabel": "k8s", "overrides": overrides}
    rule = the(render({"metrics": {"prometheusRule": settings}}), "PrometheusRule")["spec"]["groups"][0]
    found = {each["alert"]: each for each in rule["rules"]}
    assert set(ALERTS) - set(found) == {"UploadppLogLag"}
    old, silent, many = (found[f"Uploadpp{name}"] for name in ("UploadOld", "StepSilent", "ManyRecorded"))
    assert old["expr"].endswith("> 7200.5")
    assert (old["for"], old["labels"]) == ("15m", {"severity": "info", "team": "b"})
    assert '"Running|BackingOff"})) > 1000000\nunless on' in silent["expr"]
    assert silent["expr"].count("> 0") == 4, "they say when it is quiet"
    assert (silent["for"], silent["labels"]["team"]) == ("15m", "a")
    assert "> 0.95 * max by (k8s" in many["expr"]
    assert many["labels"]["severity"] == "page"
    assert found["UploadppUploadTexts"]["expr"].endswith("> 0")
    assert found["UploadppAbsent"]["expr"] == overrides["UploadppAbsent"]["expr"]


def test_every_alert_with_a_number_takes_another_one(tmp_path: Path) -> None:
    """And Prometheus takes them all."""
    numbered = {name: {"threshold": 1234567} for name in ALERTS if name not in WITHOUT_NUMBER}
    settings = {"enabled": True, "overrides": numbered}
    spec = the(render({"metrics": {"prometheusRule": settings}}), "PrometheusRule")["spec"]
    changed = {each["alert"] for each in spec["groups"][0]["rules"] if "1234567" in each["expr"]}
    assert changed == set(numbered)
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump(spec))
    promtool("check", "rules", str(tmp_path / "rules.yaml"))


# -- Namespaces and parents ---------------------------------------------------------------------


def test_all_objects_may_be_in_another_namespace() -> None:
    values = {
        **PLAIN,
        "namespaceOverride": "files",
        "networkPolicy": {"enabled": True},
        "metrics": {"podMonitor": {"enabled": True}, "prometheusRule": {"enabled": True}},
        "adopt": {"enabled": True},
        "replicas": 2,
    }
    objects = render(values)
    places = {(each["kind"], each["metadata"].get("namespace")) for each in objects}
    assert {place for _, place in places} == {"files", None}
    assert {kind for kind, place in places if place is None} == {"ClusterRole", "CustomResourceDefinition"}
    for binding in of_kind(objects, "RoleBinding"):
        assert [each["namespace"] for each in binding["subjects"]] == ["files"]
    names = {each["metadata"]["name"] for each in of_kind(objects, "ClusterRole")}
    assert all(name.startswith("files-") for name in names)
    with pytest.raises(HelmError, match="kubectl --namespace files create secret"):
        Helm(NAMESPACE).render(RELEASE, {"namespaceOverride": "files"})


def test_a_parent_that_names_us_by_file_renders_as_one_that_contains_us(tmp_path: Path) -> None:
    """`helm dependency build` packs the chart: what .helmignore leaves out must not be needed."""
    parent = tmp_path / "parent"
    (parent / "templates").mkdir(parents=True)
    shutil.copytree(CHART, tmp_path / "ours")
    version = yaml.safe_load((CHART / "Chart.yaml").read_text())["version"]
    ours = {
        "name": "upload-postprocessing",
        "version": version,
        "repository": "file://../ours",
        "alias": "uploads",
    }
    chart = {"apiVersion": "v2", "name": "parent", "version": "1.0.0", "dependencies": [ours]}
    (parent / "Chart.yaml").write_text(yaml.safe_dump(chart))
    (parent / "values.yaml").write_text(yaml.safe_dump({"uploads": KEY | PLAIN}))
    helm = Helm(NAMESPACE)
    helm("dependency", "build", str(parent))
    shared = {"imageRegistry": "mirror:5000", "imagePullSecrets": ["a"], "storageClass": "fast"}
    objects = helm.render(RELEASE, {"global": shared, "uploads": {"namespaceOverride": "files"}}, parent)
    alone = render(PLAIN | {"global": shared, "namespaceOverride": "files", "nameOverride": "uploads"})
    assert len(objects) == len(alone)
    assert set(deployments(objects)) == set(PLAIN["stepServices"])
    for each in pod_specs(objects):
        assert each["containers"][0]["image"].startswith("mirror:5000/")
        assert each["imagePullSecrets"] == [{"name": "a"}]
    assert pod(deployments(objects)["policies"])["serviceAccountName"] == f"{RELEASE}-uploads-step-policies"
    without = {"uploads": {"stepServices": {"virusscan": None, "own": None}, "steps": []}}
    assert set(deployments(helm.render(RELEASE, without, parent))) == {"policies", "elf"}


REFUSED: list[tuple[Object, str]] = [
    ({"openshift": {"enabled": "yes"}}, "/openshift/enabled"),
    ({"namespaceOverride": "A"}, "/namespaceOverride"),
    ({"metrics": {"portName": "metrics-of-uploads"}}, "/metrics/portName"),
    ({"metrics": {"portName": "80"}}, "/metrics/portName"),
    (
        {"metrics": {"prometheusRule": {"enabled": True, "overrides": {"Absent": {}}}}},
        'there is no alert "Absent"',
    ),
    ({"metrics": {"prometheusRule": {"overrides": {"UploadppAbsent": {"level": "x"}}}}}, "'level'"),
    (
        {"metrics": {"prometheusRule": {"enabled": True, "overrides": {"UploadppAbsent": {"threshold": 1}}}}},
        "overrides.UploadppAbsent.threshold: this alert compares with no number; set expr",
    ),
    ({"metrics": {"podMonitor": {"relabelings": {}}}}, "/metrics/podMonitor/relabelings"),
]


@pytest.mark.parametrize(("values", "message"), REFUSED, ids=[message for _, message in REFUSED])
def test_what_cannot_be_is_refused(values: Object, message: str) -> None:
    assert message in refusal(values)
