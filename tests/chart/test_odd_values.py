"""Values that look right, render, and fail or do nothing only on a cluster."""

import re
from pathlib import Path
from typing import Any

import pytest

from e2e.cluster.helm import Helm
from tests.chart.rendering import (
    CERTIFICATE,
    NAMESPACE,
    POLICIES,
    Object,
    container,
    environment,
    of_kind,
    refusal,
    render,
    the,
)
from tests.chart.stepvalues import deployments, variables
from tests.chart.test_foreign_values import parent_chart
from tests.chart.test_policies import with_certificate

KEY = {"sealingKey": {"existingSecret": "sealing"}}
CLAMD: Object = {"virusscan": {"clamd": "tcp:clamd:3310"}}


def served(*, policy: bool = True, **service: Any) -> Object:  # noqa: ANN401 -- fields of an entry
    """A step with a service, by default with a side-car of clamd."""
    entry = {"virusscan": {"clamd": "sidecar"}, **service}
    return {"steps": [{"name": "x"}], "stepServices": {"x": entry}, "networkPolicy": {"enabled": policy}}


def with_settings(*settings: str) -> Object:
    return served(clamd={"settings": list(settings)})


def webhook(authority: str) -> Object:
    return with_certificate(existingSecret="webhook", caBundle=authority)


REFUSED = [
    # The API server would refuse it, and not say which value it comes from.
    ({"metrics": {"portName": "webhook"}, **POLICIES}, "metrics.portName: webhook is the"),
    ({"metrics": {"serviceMonitor": {"interval": "30s1m"}}}, "/metrics/serviceMonitor/interval"),
    (
        {"metrics": {"prometheusRule": {"overrides": {"UploadppAbsent": {"for": "1m1h"}}}}},
        "UploadppAbsent/for",
    ),
    # Pods would wait for it without end.
    ({"nats": {"auth": {"creds": {"existingSecret": "My_Secret"}}}}, "/nats/auth/creds/existingSecret"),
    ({"metrics": {"existingSecret": "a/b"}}, "/metrics/existingSecret"),
    ({"sealingKey": {"key": "sealing/key"}}, "/sealingKey/key"),
    (served(auth={"token": {"existingSecret": "a", "key": "b c"}}), "/stepServices/x/auth/token/key"),
    ({"image": {"repository": "registry/upp:1.2"}}, "/image/repository"),
    ({"image": {"repository": "https://registry/upp"}}, "/image/repository"),
    ({"image": {"repository": "registry/Upp"}}, "/image/repository"),
    ({"image": {"tag": "1.2+dirty"}}, "/image/tag"),
    (served(image={"repository": "a b", "tag": "1"}), "/stepServices/x/image/repository"),
    (served(clamd={"image": {"tag": "1.4 "}}), "/stepServices/x/clamd/image/tag"),
    ({"global": {"imageRegistry": "https://registry.example.org"}}, "global.imageRegistry: https://registry"),
    ({"global": {"imageRegistry": ["a"]}}, "global.imageRegistry: [a] is not a registry"),
    # It would have no effect, or another one.
    (
        {"metrics": {"prometheusRule": {"enabled": True, "disabled": ["UploadppAbsnt"]}}},
        'no alert "UploadppAbsnt"',
    ),
    (webhook("LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0tCg=="), "caBundle: it must be the certificate in PEM form"),
    (with_settings("AlertExceedsMax no"), "the chart sets AlertExceedsMax, and clamd takes the first of two"),
    (with_settings("alertencrypted no"), "the chart sets alertencrypted, and clamd takes the first"),
    (
        with_settings("LogVerbose yes", "MaxFileSize 1G"),
        "stepServices.x.clamd.settings: the chart sets MaxFileSize",
    ),
    (with_settings("ReadTimeout 1"), "set timeoutSeconds instead"),
    (with_settings("MaxThreads 1"), "set concurrency instead"),
    (served(virusscan={"clamd": "tcp:clamd:03310"}), "stepServices.x.virusscan.clamd: 03310 is not a port"),
    ({"nats": {"endpoints": ["nats:04222"]}}, "nats.endpoints: 04222 is not a port"),
    (
        served(clamd={"signatures": {"mirror": "http://m:99999/x"}}),
        "stepServices.x.clamd.signatures.mirror: 99999 is not a port",
    ),
    (
        served(clamd={"signatures": {"mirror": "m:0"}}),
        "stepServices.x.clamd.signatures.mirror: 0 is not a port",
    ),
    # Beyond what an integer holds, it would become negative.
    ({"maxEnded": 10**19}, "/maxEnded"),
    ({"maxRecorded": 10**19}, "/maxRecorded"),
    (
        {"steps": [{"name": "x"}], "stepServices": {"x": {"command": {"exec": " "}}}},
        "/stepServices/x/command/exec",
    ),
]


@pytest.mark.parametrize(
    ("values", "message"), REFUSED, ids=[f"{n} {each[1]}" for n, each in enumerate(REFUSED)]
)
def test_it_is_refused_by_name(values: Object, message: str) -> None:
    assert message in refusal(values)


TAKEN: list[Object] = [
    {"metrics": {"portName": "webhook"}},
    {"metrics": {"serviceMonitor": {"enabled": True, "interval": "1m30s"}}},
    {"metrics": {"podMonitor": {"enabled": True, "interval": "500ms"}}},
    {"image": {"repository": "localhost:5000/a/b_c.d-e__f", "tag": "v1.2-3_x"}},
    {"image": {"repository": "[::1]:5000/upp", "tag": f"1.4@sha256:{'0' * 64}"}},
    {"global": {"imageRegistry": "registry.example.org:5000/mirror/"}},
    {"global": {"imageRegistry": None}},
    webhook(CERTIFICATE.replace("\n", "\r\n")),
    webhook(f"# from our CA\n{CERTIFICATE}{CERTIFICATE}"),
    with_settings("AlertOLE2Macros yes", "LogVerbose yes"),
]


@pytest.mark.parametrize("values", TAKEN, ids=range(len(TAKEN)))
def test_no_more_than_that_is_refused(values: Object) -> None:
    assert container(render(values))


@pytest.mark.parametrize("release", ["1" + "a" * 52, "9" * 53, "a." + "b" * 51])
def test_a_release_of_any_length_has_services_with_names_of_63_letters(release: str) -> None:
    values: Object = {
        "metrics": {"service": True},
        **POLICIES,
        "stepServices": {"x": CLAMD},
    }
    services = of_kind(Helm(NAMESPACE).render(release, KEY | values), "Service")
    names = [each["metadata"]["name"] for each in services]
    assert sorted(name.rsplit("-", 1)[1] for name in names) == ["metrics", "policies", "steps"]
    assert all(re.fullmatch(r"[a-z]([a-z0-9-]{0,61}[a-z0-9])?", name) for name in names)
    hook = the(Helm(NAMESPACE).render(release, KEY | values), "ValidatingWebhookConfiguration")
    assert hook["webhooks"][0]["clientConfig"]["service"]["name"] in names


@pytest.mark.parametrize(
    ("alias", "name"),
    [
        ("uploadPostprocessing", "rel-upload-postprocessing"),
        ("upload_pp", "rel-upload-pp"),
        ("UPP", "rel-upp"),
    ],
)
def test_a_parent_chart_may_give_us_an_alias_as_values_are_written(
    tmp_path: Path, alias: str, name: str
) -> None:
    """The alias becomes the name of the chart, and names of objects have small letters and dashes only."""
    chart = parent_chart(tmp_path / "parent", {"alias": alias})
    values: Object = {
        "metrics": {"service": True},
        **POLICIES,
        "stepServices": {"x": CLAMD},
    }
    objects = Helm(NAMESPACE).render("rel", {alias: KEY | values}, chart)
    names = {each["metadata"]["name"] for each in objects}
    assert all(re.fullmatch(r"[a-z0-9]([-.a-z0-9]*[a-z0-9])?", each) for each in names)
    assert {name, f"{name}-metrics", f"{name}-step-x"} <= names


def test_a_long_period_stays_a_number() -> None:
    """A float of a million and more would be printed with an exponent."""
    (deployment,) = of_kind(render({"terminationGracePeriodSeconds": 86_400}), "Deployment")
    assert deployment["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] == 86_400
    assert "/terminationGracePeriodSeconds" in refusal({"terminationGracePeriodSeconds": 1_000_000})


@pytest.mark.parametrize(
    "setting", ["MaxScanTime 300000", "MaxScanSize 2000M", "ConcurrentDatabaseReload yes"]
)
def test_a_limit_of_clamd_can_be_another_one(setting: str) -> None:
    """clamd takes the first of two lines, so the chart's own must not be there."""
    name = setting.partition(" ")[0]
    (made,) = of_kind(render(with_settings(setting)), "ConfigMap")
    (plain,) = of_kind(render(served()), "ConfigMap")
    assert re.findall(rf"(?m)^{name} .*", made["data"]["clamd.conf"]) == [setting]
    assert len(re.findall(rf"(?m)^{name} ", plain["data"]["clamd.conf"])) == 1


@pytest.mark.parametrize(
    ("mirror", "ports"),
    [
        ("database.clamav.net", [80, 443]),
        ("mirror.example.org:8080", [80, 443, 8080]),
        ("https://mirror.example.org:8443/clamav", [80, 443, 8443]),
        ("http://mirror.example.org/clamav", [80, 443]),
        ("http://mirror.example.org/a:8080", [80, 443]),
    ],
)
def test_freshclam_may_reach_the_port_of_its_mirror(mirror: str, ports: list[int]) -> None:
    policies = of_kind(render(served(clamd={"signatures": {"mirror": mirror}})), "NetworkPolicy")
    (policy,) = [each for each in policies if each["metadata"]["name"].endswith("-step-x")]
    assert sorted(each["port"] for each in policy["spec"]["egress"][-1]["ports"]) == ports


@pytest.mark.parametrize("address", ["nats:4222", "nats://nats:4222/", "tls://[fe80::1%eth0]:4222/"])
def test_the_port_of_nats_is_open_however_it_is_written(address: str) -> None:
    policy = the(
        render({"nats": {"endpoints": [address]}, "networkPolicy": {"enabled": True}}), "NetworkPolicy"
    )
    assert policy["spec"]["egress"][1]["ports"] == [{"protocol": "TCP", "port": 4222}]


def test_a_dollar_reaches_the_process_as_it_is_written() -> None:
    """Kubernetes would make one of two, and put a variable in the place of its name."""
    text = "sh -c 'echo $$ $HOME $(id) $(UPLOADPP_STEP_CONCURRENCY) $$(x) {path}'"
    name = "$(POSTPROCESSING_DELAY)$$"
    entry = {"command": {"exec": text}, "extraEnv": [{"name": "MINE", "value": "$(UPLOADPP_STEP_NAME)"}]}
    objects = render({"steps": [{"name": "x"}, {"name": name}], "stepServices": {"x": entry}})
    (found,) = deployments(objects).values()
    assert variables(found)["UPLOADPP_STEP_EXEC"] == text
    assert variables(found)["MINE"] == "x", "what people write themselves is expanded as in any Pod"
    assert environment(objects)["POSTPROCESSING_STEPS"] == f"x,{name}"
