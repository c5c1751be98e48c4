"""What the objects of the chart are like, for values that people may really have."""

import json
from typing import Any

import pytest

from e2e.cluster.helm import CHART, Helm
from e2e.paths import REPO
from tests.chart.rendering import (
    BY_OTHERS,
    EVERYTHING,
    MINIMAL,
    NAMESPACE,
    NO_CLUSTER_SCOPE,
    PRODUCTION,
    RELABEL,
    RELEASE,
    SETS,
    Object,
    container,
    environment,
    of_kind,
    render,
    the,
)
from tests.chart.stepvalues import selects
from uploadpp.core.sharding import BUCKETS, Shard

CLUSTER_SCOPED = {"CustomResourceDefinition", "ClusterRole", "ValidatingWebhookConfiguration"}
OPERATORS = {f"/etc/uploadpp/{name}" for name in ("sealing.key", "webhook.crt", "webhook.key")}
"""Files that the Pod of `helm test` does not get."""
NOT_FOR_TESTS = {
    "UPLOADPP_SEALING_KEY_FILE", "UPLOADPP_WEBHOOK_CERT_FILE", "UPLOADPP_WEBHOOK_KEY_FILE",
}  # fmt: skip


def pods(objects: list[Object]) -> list[Object]:
    """The specs of the operator's Pods and of the test's."""
    return [the(objects, "Deployment")["spec"]["template"]["spec"], the(objects, "Pod")["spec"]]


def test_helm_lint_has_nothing_to_say() -> None:
    helm = Helm(NAMESPACE)
    for values in SETS.values():
        helm("lint", "--strict", str(CHART), values=values)


@pytest.mark.parametrize("name", SETS)
def test_every_object_says_what_it_belongs_to(name: str) -> None:
    for each in render(SETS[name]):
        if each["metadata"]["name"] in {"as-text", f"{RELEASE}-extra"}:
            continue
        labels = each["metadata"]["labels"]
        assert labels["app.kubernetes.io/managed-by"] == "Helm"
        assert labels["app.kubernetes.io/part-of"] == "upload-postprocessing"
        assert labels.items() >= SETS[name].get("commonLabels", {}).items()
        assert (each["metadata"].get("namespace") == NAMESPACE) != (each["kind"] in CLUSTER_SCOPED)


def test_a_quiet_start() -> None:
    """What an install without any values makes, and no more."""
    assert sorted(each["kind"] for each in render(MINIMAL)) == [
        "ClusterRole", "ClusterRole", "CustomResourceDefinition", "CustomResourceDefinition", "Deployment",
        "Pod", "Role", "RoleBinding", "ServiceAccount",
    ]  # fmt: skip


def test_nothing_cluster_wide_if_so_wanted() -> None:
    for values in (NO_CLUSTER_SCOPE, BY_OTHERS | {"crds": {"install": False}}):
        assert not {each["kind"] for each in render(values)} & CLUSTER_SCOPED


def test_the_crd_is_kept_unless_told_otherwise() -> None:
    def annotations(values: Object) -> list[Any]:
        crds = of_kind(render(values), "CustomResourceDefinition")
        return [crd["metadata"]["annotations"] for crd in crds]

    assert annotations(MINIMAL) == [{"helm.sh/resource-policy": "keep"}] * 2
    assert annotations({"crds": {"keep": False}}) == [{}] * 2


def test_a_second_release_owns_the_same_crd_labels() -> None:
    """Names of one release in the CRD would make it change hands with every upgrade."""
    for crd in of_kind(render(MINIMAL), "CustomResourceDefinition"):
        assert "app.kubernetes.io/instance" not in crd["metadata"]["labels"]


@pytest.mark.parametrize("name", SETS)
def test_pods_keep_to_the_restricted_standard(name: str) -> None:
    for spec in pods(render(SETS[name])):
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        (only,) = spec["containers"]
        assert only["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert only["resources"]["limits"]["memory"]


@pytest.mark.parametrize("name", SETS)
def test_every_file_the_operator_is_told_of_is_mounted(name: str) -> None:
    objects = render(SETS[name])
    named = {value for value in environment(objects).values() if value.startswith("/etc/uploadpp/")}
    operator, test = pods(objects)
    for spec, files in ((operator, named), (test, named - OPERATORS)):
        volume = next(each for each in spec["volumes"] if each["name"] == "credentials")["projected"]
        mounted = [item["path"] for source in volume["sources"] for item in source["secret"]["items"]]
        assert files == {f"/etc/uploadpp/{path}" for path in mounted}
        assert len(set(mounted)) == len(mounted)
        assert volume["defaultMode"] == 0o440


@pytest.mark.parametrize("name", SETS)
def test_the_test_pod_runs_with_what_the_operator_has(name: str) -> None:
    objects = render(SETS[name])
    operator, test = container(objects), the(objects, "Pod")["spec"]["containers"][0]
    assert test["args"] == ["selftest"]
    assert {key: test[key] for key in ("image", "volumeMounts")} == {
        key: operator[key] for key in ("image", "volumeMounts")
    }
    assert test["env"] == [each for each in operator["env"] if each["name"] not in NOT_FOR_TESTS]


def test_probes() -> None:
    only = container(render(MINIMAL))
    paths = {kind: only[f"{kind}Probe"]["httpGet"]["path"] for kind in ("startup", "liveness", "readiness")}
    assert paths == {"startup": "/healthz", "liveness": "/healthz", "readiness": "/readyz"}
    assert {each["name"]: each["containerPort"] for each in only["ports"]} == {"metrics": 9255}


def test_image() -> None:
    assert container(render(MINIMAL))["image"] == "ghcr.io/uploadpp/upload-postprocessing:0.1.0"
    assert container(render(PRODUCTION))["image"].endswith("/upload-postprocessing@sha256:" + "0" * 64)
    assert container(render({"image": {"repository": "r/i", "tag": "t"}}))["image"] == "r/i:t"


def test_disruption_budget_and_spread_only_above_one_replica() -> None:
    assert not of_kind(render(MINIMAL), "PodDisruptionBudget")
    assert not of_kind(render(BY_OTHERS), "PodDisruptionBudget")
    assert the(render(PRODUCTION), "PodDisruptionBudget")["spec"]["minAvailable"] == 1
    assert "topologySpreadConstraints" not in pods(render(MINIMAL))[0]
    selector = {
        "matchLabels": {
            "app.kubernetes.io/name": "upload-postprocessing",
            "app.kubernetes.io/instance": RELEASE,
        }
    }
    (spread,) = pods(render(PRODUCTION))[0]["topologySpreadConstraints"]
    assert (spread["topologyKey"], spread["labelSelector"]) == ("kubernetes.io/hostname", selector)
    (own,) = pods(render(EVERYTHING))[0]["topologySpreadConstraints"]
    assert own["topologyKey"] == "topology.kubernetes.io/zone"
    assert own["labelSelector"]["matchLabels"]["app.kubernetes.io/name"] == "postprocessing"


def test_extras_reach_the_pods() -> None:
    objects = render(EVERYTHING)
    template = the(objects, "Deployment")["spec"]["template"]
    assert template["metadata"]["labels"].items() >= {"tier": "backend", "team": "files"}.items()
    assert template["metadata"]["annotations"]["sidecar.istio.io/inject"] == "false"
    for spec in pods(objects):
        assert spec["priorityClassName"] == "files"
        assert spec["nodeSelector"] == {"kubernetes.io/os": "linux"}
        assert spec["tolerations"]
        assert spec["affinity"]
        assert {"name": "scratch", "emptyDir": {}} in spec["volumes"]
    assert container(objects)["args"] == ["run", "--writers=8"]
    assert {each["metadata"]["name"] for each in of_kind(objects, "ConfigMap")} == {
        "as-text",
        f"{RELEASE}-extra",
    }


@pytest.mark.parametrize("job", ["adopt", "handBack"])
def test_pods_that_run_once_have_the_labels_and_annotations_too(job: str) -> None:
    """A mesh would otherwise give them a side-car that never ends."""
    labels = {"sidecar.istio.io/inject": "false", "app.kubernetes.io/component": "operator", "team": "files"}
    annotations = {"sidecar.istio.io/inject": "false", "helm.sh/hook": "pre-install"}
    common = {"podLabels": labels, "podAnnotations": annotations, "commonLabels": {"team": "all"}}
    objects = render({job: {"enabled": True}, "metrics": {"service": True}, "replicas": 2, **common})
    test, template = the(objects, "Pod")["metadata"], the(objects, "Job")["spec"]["template"]["metadata"]
    for metadata in (test, template):
        assert metadata["annotations"]["sidecar.istio.io/inject"] == "false"
        assert metadata["labels"]["sidecar.istio.io/inject"] == "false"
        assert metadata["labels"]["team"] == "files"
        for kind in ("Deployment", "PodDisruptionBudget", "Service"):
            selector = the(objects, kind)["spec"]["selector"]
            assert not selects(selector.get("matchLabels", selector), metadata["labels"]), kind
    assert test["annotations"]["helm.sh/hook"] == "test"


def test_what_few_people_set_reaches_its_object() -> None:
    nats = {
        "auth": {"userPassword": {"existingSecret": "login", "passwordKey": "pass"}},
        "tls": {
            "enabled": True,
            "handshakeFirst": True,
            "client": {"existingSecret": "client", "certKey": "own.crt", "keyKey": "own.key"},
        },
    }
    objects = render(
        {
            "runtimeClassName": "gvisor",
            "nats": nats,
            "networkPolicy": {"enabled": True, "storagePorts": [8443]},
            "metrics": {"prometheusRule": {"enabled": True, "runbookUrl": "https://wiki.test/uploads"}},
            "probes": {"startup": {"failureThreshold": 99}, "liveness": {"periodSeconds": 77}},
            "deploymentAnnotations": {"reloader.stakater.com/auto": "true"},
        }
    )
    assert [each["runtimeClassName"] for each in pods(objects)] == ["gvisor"] * 2
    sources = json.dumps(pods(objects)[0]["volumes"])
    assert '"key": "own.crt", "path": "nats-client.crt"' in sources
    assert '"key": "own.key", "path": "nats-client.key"' in sources
    (password,) = [each for each in container(objects)["env"] if each["name"].endswith("_AUTH_PASSWORD")]
    assert password["valueFrom"]["secretKeyRef"] == {"name": "login", "key": "pass"}
    assert environment(objects)["UPLOADPP_NATS_TLS_HANDSHAKE_FIRST"] == "true"
    opened = [
        port["port"] for rule in the(objects, "NetworkPolicy")["spec"]["egress"] for port in rule["ports"]
    ]
    assert 8443 in opened
    for rule in the(objects, "PrometheusRule")["spec"]["groups"][0]["rules"]:
        assert rule["annotations"]["runbook_url"].startswith("https://wiki.test/uploads#uploadpp")
    assert container(objects)["startupProbe"]["failureThreshold"] == 99
    assert container(objects)["livenessProbe"]["periodSeconds"] == 77
    annotations = the(objects, "Deployment")["metadata"]["annotations"]
    assert annotations == {"reloader.stakater.com/auto": "true"}


def test_the_role_names_every_lease_a_shard_can_have() -> None:
    rules = the(render(MINIMAL), "Role")["rules"]
    named = next(rule for rule in rules if rule.get("resourceNames"))
    assert named["resourceNames"] == [Shard(index).lease_name for index in range(BUCKETS)]


def test_view_may_look_and_edit_may_change() -> None:
    roles = {
        each["metadata"]["name"].rsplit("-", 1)[-1]: each for each in of_kind(render(MINIMAL), "ClusterRole")
    }
    assert set(roles) == {"view", "edit"}
    assert roles["view"]["rules"][0]["verbs"] == ["get", "list", "watch"]
    assert "status" not in json.dumps(roles)
    aggregated = {key for key in roles["edit"]["metadata"]["labels"] if "aggregate" in key}
    assert aggregated == {f"rbac.authorization.k8s.io/aggregate-to-{role}" for role in ("edit", "admin")}


def test_network_policy_opens_the_ports_of_the_configured_servers() -> None:
    spec = the(render(PRODUCTION), "NetworkPolicy")["spec"]
    ports = [sorted(port["port"] for port in rule["ports"]) for rule in spec["egress"]]
    assert ports == [[53, 53, 5353, 5353], [4222, 4223], [443, 6443], [443, 9200], [4318], [8080]]
    assert len(spec["ingress"]) == 2
    assert spec["ingress"][0]["ports"] == [{"protocol": "TCP", "port": "metrics"}]
    assert spec["ingress"][0]["from"] == PRODUCTION["networkPolicy"]["metricsFrom"]
    anywhere = the(render({"networkPolicy": {"enabled": True}}), "NetworkPolicy")["spec"]
    assert not any("to" in rule for rule in anywhere["egress"])
    for url, port in (("https://c1", 443), ("http://c1/x:9", 80), ("http://[::1]:7/x", 7)):
        opened = {"networkPolicy": {"enabled": True}, "tracing": {"endpoint": url}}
        assert the(render(opened), "NetworkPolicy")["spec"]["egress"][-1]["ports"][0]["port"] == port
    assert anywhere["ingress"][0]["from"] == [{"namespaceSelector": {}}]
    blind = {"networkPolicy": {"enabled": True}, "storageCheck": {"mode": "off"}}
    assert len(the(render(blind), "NetworkPolicy")["spec"]["egress"]) == len(anywhere["egress"]) - 1
    narrow = {"networkPolicy": {"enabled": True, "dnsPorts": [5353], "dnsTo": [{"podSelector": {}}]}}
    dns = the(render(narrow), "NetworkPolicy")["spec"]["egress"][0]
    assert dns == {
        "ports": [{"protocol": "UDP", "port": 5353}, {"protocol": "TCP", "port": 5353}],
        "to": [{"podSelector": {}}],
    }


def test_monitors_find_what_they_scrape() -> None:
    objects = render(PRODUCTION)
    monitor, services = the(objects, "ServiceMonitor"), of_kind(objects, "Service")
    service = next(each for each in services if each["metadata"]["name"].endswith("-metrics"))
    assert service["metadata"]["labels"].items() >= monitor["spec"]["selector"]["matchLabels"].items()
    assert monitor["metadata"]["labels"]["release"] == "prometheus"
    assert monitor["spec"]["endpoints"][0]["authorization"] == {
        "credentials": {"name": "scrape", "key": "token"}
    }
    assert monitor["spec"]["endpoints"][0]["relabelings"] == RELABEL
    assert monitor["spec"]["endpoints"][0]["metricRelabelings"][0]["action"] == "drop"
    objects = render(EVERYTHING)
    labels = the(objects, "Deployment")["spec"]["template"]["metadata"]["labels"]
    monitor = the(objects, "PodMonitor")
    assert monitor["spec"]["podMetricsEndpoints"][0]["relabelings"] == RELABEL
    assert labels.items() >= monitor["spec"]["selector"]["matchLabels"].items()
    assert labels.items() >= the(objects, "Service")["spec"]["selector"].items()
    assert monitor["spec"]["podMetricsEndpoints"][0]["interval"] == "10s"


def test_alerts_say_where_the_runbook_is() -> None:
    rules = the(render(PRODUCTION), "PrometheusRule")["spec"]["groups"][0]["rules"]
    runbook = (REPO / "docs" / "runbook.md").read_text()
    assert "UploadppAbsent" not in [rule["alert"] for rule in rules]
    for rule in rules:
        assert rule["annotations"]["runbook_url"].endswith(f"/docs/runbook.md#{rule['alert'].lower()}")
        assert f"\n## {rule['alert']}\n" in runbook
        assert rule["labels"].items() >= {"team": "files"}.items()
        assert rule["labels"]["severity"] in {"critical", "warning"}


def test_alerts_use_the_label_that_tells_clusters_apart() -> None:
    named = {"metrics": {"prometheusRule": {"enabled": True, "clusterLabel": "k8s_cluster"}}}
    rules = the(render(named), "PrometheusRule")["spec"]["groups"][0]["rules"]
    assert all("by (k8s_cluster, namespace" in rule["expr"] for rule in rules)
    assert not any("(cluster," in rule["expr"] for rule in rules)


def test_the_dashboard_arrives_whole() -> None:
    found = [
        each
        for each in of_kind(render(PRODUCTION), "ConfigMap")
        if each["metadata"]["name"].endswith("-dashboard")
    ]
    (dashboard,) = found
    assert dashboard["metadata"]["labels"]["grafana_dashboard"] == "1"
    (text,) = dashboard["data"].values()
    assert json.loads(text) == json.loads((REPO / "docs" / "monitoring" / "dashboard.json").read_text())


def test_a_quota_is_made_when_it_is_asked_for() -> None:
    assert of_kind(render(MINIMAL), "ResourceQuota") == []
    quota = the(render({"quota": {"enabled": True, "uploads": 1_500_000}}), "ResourceQuota")
    assert quota["spec"] == {"hard": {"count/uploadpostprocessings.uploadpp.io": "1500000"}}
