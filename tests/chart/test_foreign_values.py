"""Values as other tools and charts give them: parent charts, OpenShift, kustomize, hostile strings."""

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from e2e.cluster.helm import CHART, Helm, HelmError
from tests.chart.rendering import (
    EVERYTHING,
    NAMESPACE,
    PRODUCTION,
    RELEASE,
    Object,
    of_kind,
    refusal,
    render,
    the,
)

DEFAULTS: Object = yaml.safe_load((CHART / "values.yaml").read_text())
KEY = {"sealingKey": {"existingSecret": "sealing"}}
OURS = {
    "app.kubernetes.io/name": "theirs",
    "app.kubernetes.io/instance": "theirs",
    "app.kubernetes.io/component": "theirs",
    "app.kubernetes.io/managed-by": "theirs",
    "app.kubernetes.io/part-of": "ocis",
    "app.kubernetes.io/version": "1",
    "helm.sh/chart": "theirs",
}


def leaves(values: Object, prefix: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every value that can be set, and its default."""
    for name, value in values.items():
        if isinstance(value, dict) and value and (*prefix, name) not in FREE:
            yield from leaves(value, (*prefix, name))
        else:
            yield (*prefix, name), value


FREE = {
    ("podSecurityContext",),
    ("securityContext",),
    ("resources",),
    ("stepServiceDefaults",),
    ("metrics", "dashboard", "labels"),
    *(("probes", each) for each in ("startup", "liveness", "readiness")),
}
LEAVES = dict(leaves(DEFAULTS))


def with_value(path: tuple[str, ...], value: object, base: Object) -> Object:
    """A copy of some values with one of them replaced."""
    copy: Object = json.loads(json.dumps(base))
    inner = copy
    for name in path[:-1]:
        inner = inner.setdefault(name, {})
    inner[path[-1]] = value
    return copy


# -- Subcharts -------------------------------------------------------------------------------


def parent_chart(folder: Path, dependency: Object) -> Path:
    """A chart that has ours as its dependency."""
    (folder / "charts").mkdir(parents=True)
    shutil.copytree(CHART, folder / "charts" / "upload-postprocessing")
    version = yaml.safe_load((CHART / "Chart.yaml").read_text())["version"]
    ours = {"name": "upload-postprocessing", "version": version, "repository": "", **dependency}
    chart = {"apiVersion": "v2", "name": "parent", "version": "1.0.0", "dependencies": [ours]}
    (folder / "Chart.yaml").write_text(yaml.safe_dump(chart))
    return folder


@pytest.mark.parametrize("alias", ["", "postprocessing"])
def test_a_parent_chart_switches_us_with_its_condition(tmp_path: Path, alias: str) -> None:
    name = alias or "upload-postprocessing"
    dependency = {"condition": f"{name}.enabled", "tags": ["files"], **({"alias": alias} if alias else {})}
    chart = parent_chart(tmp_path / "parent", dependency)
    helm = Helm(NAMESPACE)
    on = helm.render(RELEASE, {name: {"enabled": True, **KEY}, "global": {"domain": "example"}}, chart)
    assert the(on, "Deployment")["metadata"]["name"] == f"{RELEASE}-{name}"
    assert helm.render(RELEASE, {name: {"enabled": False}}, chart) == []
    assert helm.render(RELEASE, {"tags": {"files": False}, name: KEY}, chart) == []


@pytest.mark.parametrize(
    ("repository", "image"),
    [
        ("ghcr.io/uploadpp/upload-postprocessing", "mirror.local:5000/x/uploadpp/upload-postprocessing"),
        ("localhost/upp", "mirror.local:5000/x/upp"),
        ("registry:5000/a/b", "mirror.local:5000/x/a/b"),
        ("uploadpp/upp", "mirror.local:5000/x/uploadpp/upp"),
        ("upp", "mirror.local:5000/x/upp"),
    ],
)
def test_the_registry_and_its_secrets_may_be_those_of_all_charts(repository: str, image: str) -> None:
    objects = render(
        {
            "global": {"imageRegistry": "mirror.local:5000/x/", "imagePullSecrets": ["a", {"name": "b"}]},
            "imagePullSecrets": [{"name": "own"}, {"name": "a"}],
            "image": {"repository": repository, "tag": "1.10"},
        }
    )
    for pod in (the(objects, "Deployment")["spec"]["template"]["spec"], the(objects, "Pod")["spec"]):
        assert pod["containers"][0]["image"] == f"{image}:1.10"
        assert pod["imagePullSecrets"] == [{"name": "own"}, {"name": "a"}, {"name": "b"}]


def test_a_constraint_of_ones_own_keeps_its_selector() -> None:
    given = [
        {"maxSkew": 1, "topologyKey": "zone", "labelSelector": {"matchLabels": {"app": "theirs"}}},
        {"maxSkew": 1, "topologyKey": "host"},
    ]
    pod = the(render({"topologySpreadConstraints": given}), "Deployment")["spec"]
    own, without = pod["template"]["spec"]["topologySpreadConstraints"]
    assert own == given[0]
    assert without["labelSelector"]["matchLabels"].items() <= pod["selector"]["matchLabels"].items()


def test_values_that_other_charts_take_as_well() -> None:
    """Nothing for all charts, and a length of time of two parts."""
    monitor = {"enabled": True, "interval": "1m30s"}
    objects = render({"global": None, "metrics": {"serviceMonitor": monitor}})
    assert the(objects, "ServiceMonitor")["spec"]["endpoints"][0]["interval"] == "1m30s"


def test_installed_by_itself_it_cannot_be_disabled() -> None:
    with pytest.raises(HelmError, match="enabled: false has an effect only where a parent chart"):
        render({"enabled": False})


# -- Keys that come twice ---------------------------------------------------------------------


MAPS = [path for path in LEAVES if path[-1].lower().endswith(("labels", "annotations"))]


@pytest.mark.parametrize("path", MAPS, ids=".".join)
def test_no_key_comes_twice_and_selectors_stay(path: tuple[str, ...]) -> None:
    """The helper reads YAML as strictly as kustomize and Flux do."""
    keys = {"kubectl.kubernetes.io/default-container": "x"} if "nnotations" in path[-1] else OURS
    for base in (EVERYTHING, PRODUCTION):
        objects = render(with_value(path, keys, base | {"commonLabels": OURS}))
        deployment = the(objects, "Deployment")
        labels = deployment["spec"]["template"]["metadata"]["labels"]
        assert labels.items() >= deployment["spec"]["selector"]["matchLabels"].items()
        for service in of_kind(objects, "Service"):
            assert labels.items() >= service["spec"]["selector"].items()
        for each in objects:
            if "labels" in each["metadata"]:
                assert each["metadata"]["labels"]["app.kubernetes.io/managed-by"] == "Helm"
                assert each["metadata"]["labels"]["app.kubernetes.io/part-of"] == "ocis"


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"extraEnv": [{"name": "A", "value": "1"}, {"name": "A", "value": "2"}]}, "A is listed twice"),
        ({"extraVolumes": [{"name": "tmp", "emptyDir": {}}]}, 'a volume named "tmp" is there already'),
        ({"extraVolumes": [{"name": "a"}, {"name": "a"}]}, 'a volume named "a" is there already'),
        (
            {"extraVolumeMounts": [{"name": "a", "mountPath": "/etc/uploadpp/"}]},
            "/etc/uploadpp is mounted already, by the chart",
        ),
        ({"probes": {"liveness": {"httpGet": {"path": "/"}}}}, "/probes/liveness"),
        ({"probes": {"startup": {"exec": {"command": ["true"]}}}}, "/probes/startup"),
    ],
)
def test_what_would_come_twice_is_refused_by_name(values: Object, message: str) -> None:
    assert message in refusal(values)


# -- null ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", [*LEAVES, *[(name,) for name in DEFAULTS]], ids=".".join)
def test_null_is_understood_or_refused_by_name(path: tuple[str, ...]) -> None:
    """`--set x=null` removes a default; OpenShift's own users need that for the security contexts."""
    for base in (EVERYTHING, PRODUCTION):
        try:
            objects = render(KEY | with_value(path, None, base))
        except HelmError as error:
            assert "nil pointer" not in str(error)  # noqa: PT017 -- either outcome is right
            assert path[-1] in str(error)  # noqa: PT017
        else:
            assert the(objects, "Deployment")["spec"]["template"]["spec"]["containers"]


FIRST = set((Path(__file__).parent / "data/first-values.txt").read_text().split())
"""The values of the chart's first version."""


def test_an_upgrade_that_reuses_the_values_of_the_first_version_works() -> None:
    """`helm upgrade --reuse-values` knows no value that has come since, nor its default."""
    base = KEY | {"networkPolicy": {"enabled": True}, "metrics": {"prometheusRule": {"enabled": True}}}
    reused = base
    for path in LEAVES:
        name = ".".join(path)
        if not any(first == name or first.startswith(f"{name}.") for first in FIRST):
            reused = with_value(path, None, reused)
    assert reused != base
    assert render(reused) == render(base)


@pytest.mark.parametrize(
    "name", ["dnsPorts", "dnsTo", "apiServerPorts", "apiServerTo", "natsTo", "metricsFrom"]
)
def test_without_a_value_the_network_policy_opens_no_more(name: str) -> None:
    """A rule without ports is one for all ports."""
    base = KEY | {"networkPolicy": {"enabled": True}}
    objects = render(with_value(("networkPolicy", name), None, base))
    assert all(rule["ports"] for rule in the(objects, "NetworkPolicy")["spec"]["egress"])
    assert objects == render(base)
    with pytest.raises(HelmError, match="endpoints"):
        render(with_value(("nats", "endpoints"), None, base))


@pytest.mark.parametrize("release", ["a.b", "1a", "9", "a" * 53])
def test_whatever_the_release_is_called_its_service_has_a_name_that_services_can_have(release: str) -> None:
    (service,) = of_kind(Helm(NAMESPACE).render(release, KEY | {"metrics": {"service": True}}), "Service")
    assert re.fullmatch(r"[a-z][a-z0-9-]{0,62}", service["metadata"]["name"])


@pytest.mark.parametrize("context", [None, {"fsGroup": None}, {"fsGroup": None, "runAsUser": None}])
def test_without_a_group_of_the_pod_its_files_can_be_read_all_the_same(context: Object | None) -> None:
    def mode(values: Object) -> int:
        volumes = the(render(values), "Deployment")["spec"]["template"]["spec"]["volumes"]
        (found,) = [each["projected"]["defaultMode"] for each in volumes if each["name"] == "credentials"]
        assert isinstance(found, int)
        return found

    assert mode({"podSecurityContext": context}) == 0o444
    assert mode({"podSecurityContext": {"fsGroup": 2000}}) == 0o440


# -- Keys of renders that see no cluster ---------------------------------------------------------


def test_no_sealing_key_is_made_where_it_would_change_with_every_render() -> None:
    with pytest.raises(HelmError) as refused:
        Helm(NAMESPACE).render(RELEASE)
    assert "sealingKey.existingSecret: this render does not see the cluster" in str(refused.value)
    assert f"kubectl --namespace {NAMESPACE} create secret generic" in str(refused.value)
    assert not of_kind(render({}), "Secret")


# -- Strings that want to be more than strings ---------------------------------------------------

# The first ends a quoted string and a plain one; the others begin something else, as their first letters say.
HOSTILE = ['x"\nhostNetwork: true', "- x: y #", "{{ .Release.Name }}", "&x", "[x"]
STRINGS = [path for path, default in LEAVES.items() if isinstance(default, str)]


def shape(found: object) -> object:
    """The structure of some objects, without the strings in it."""
    if isinstance(found, dict):
        return {key: shape(value) for key, value in found.items()}
    if isinstance(found, list):
        return [shape(each) for each in found]
    return type(found).__name__


@pytest.mark.parametrize("path", STRINGS, ids=".".join)
def test_a_string_stays_a_string(path: tuple[str, ...]) -> None:
    """Whatever is in it, it adds no field to any object, or is refused."""
    base = with_value(path, "harmless", EVERYTHING)
    for text in HOSTILE:
        try:
            hostile = render(with_value(path, text, EVERYTHING))
        except HelmError as error:
            assert "YAML parse error" not in str(error)  # noqa: PT017 -- either outcome is right
            continue
        assert shape(hostile) == shape(render(base)), text


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"nats": {"endpoints": ["user:password@nats:4222"]}}, "nats.endpoints: an address must not contain"),
        ({"nats": {"endpoints": ["nats:4222", "nats://u:p@n:1"]}}, "use nats.auth"),
        ({"tracing": {"endpoint": "https://u:p@collector:4318"}}, "tracing.endpoint: a URL must not contain"),
    ],
)
def test_no_login_stands_in_plain_text(values: Object, message: str) -> None:
    assert message in refusal(values)


# -- What other charts mean by the same names ------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "names"),
    [
        ({"global": {"imagePullSecrets": "a"}}, ["a"]),
        ({"global": {"imagePullSecrets": {"name": "a"}}}, ["a"]),
        ({"imagePullSecrets": ["a", {"name": "b"}]}, ["a", "b"]),
        ({"imagePullSecrets": ["a"], "global": {"imagePullSecrets": [{"name": "a"}, "b"]}}, ["a", "b"]),
        ({"global": {"imagePullSecrets": None}}, []),
        ({"imagePullSecrets": [""], "global": {"imagePullSecrets": ["", {"name": ""}, "a"]}}, ["a"]),
    ],
    ids=str,
)
def test_pull_secrets_may_be_names_or_objects(values: Object, names: list[str]) -> None:
    objects = render({**values, "stepServices": {"own": {"policies": {"rules": []}}}})
    pods = [each["spec"]["template"]["spec"] for each in of_kind(objects, "Deployment")]
    for pod in (*pods, the(objects, "Pod")["spec"]):
        assert [each["name"] for each in pod.get("imagePullSecrets", [])] == names


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"global": {"imagePullSecrets": [1]}}, "global.imagePullSecrets: must be a list of names"),
        (
            {"podSecurityContext": {"enabled": False}},
            "podSecurityContext.enabled: Kubernetes has no such field",
        ),
        ({"securityContext": {"enabled": True}}, "securityContext.enabled: Kubernetes has no such field"),
        (
            {
                "stepServices": {
                    "own": {"policies": {"rules": []}, "podSecurityContext": {"enabled": False}},
                }
            },
            "stepServices.own.podSecurityContext.enabled: Kubernetes has no such field",
        ),
    ],
    ids=lambda each: each if isinstance(each, str) else "",
)
def test_a_switch_of_other_charts_is_not_passed_over(values: Object, message: str) -> None:
    """It reached the Pod, where the API server ignores it, or refuses it from Helm 4 on."""
    assert message in refusal(values)


@pytest.mark.parametrize(
    ("name", "version"),
    [
        ("upload-postprocessing", "0.2.0-feature-of-a-branch.20261129120000+gabcdef0"),
        ("files-of-the-whole-company-upload-postprocessing-of-production", "0.1.0-alpha.1"),
        ("upload-postprocessing", "0.1.0-aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.b"),
    ],
)
def test_whatever_a_build_is_called_its_labels_are_labels(tmp_path: Path, name: str, version: str) -> None:
    """An alias of a parent chart, or the version of a branch, made a label of more than 63 characters."""
    chart = tmp_path / "chart"
    shutil.copytree(CHART, chart)
    about = yaml.safe_load((chart / "Chart.yaml").read_text())
    (chart / "Chart.yaml").write_text(
        yaml.safe_dump({**about, "name": name, "version": version, "appVersion": version})
    )
    for each in Helm(NAMESPACE).render(RELEASE, KEY, chart):
        for value in each["metadata"].get("labels", {}).values():
            assert re.fullmatch(r"([A-Za-z0-9][A-Za-z0-9._-]{0,61})?[A-Za-z0-9]", value), value
