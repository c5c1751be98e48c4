"""Policies in the chart: rights, the webhook, and its certificate."""

import asyncio
import base64
import json
import ssl
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml
from cryptography import x509

from e2e.cluster.helm import CHART, Helm
from e2e.cluster.instance import Instance
from e2e.cluster.local import LocalCluster
from e2e.cluster.nats import NatsServer
from e2e.cluster.ports import free_port
from tests.chart.pod import NAME, Installation
from tests.chart.rendering import (
    CERTIFICATE,
    NAMESPACE,
    POLICIES,
    RELEASE,
    Object,
    container,
    environment,
    of_kind,
    refusal,
    render,
    the,
)

ON: Object = {"policies": {"enabled": True}}
SERVICE = f"{RELEASE}-upload-postprocessing-policies"
HOST = f"{SERVICE}.{NAMESPACE}.svc"


def with_certificate(**certificate: Any) -> Object:  # noqa: ANN401 -- values
    """Values with another certificate."""
    return {"policies": {"enabled": True, "webhook": {"certificate": certificate}}}


def hook_of(objects: list[Object]) -> Object:
    """The one webhook."""
    (hook,) = the(objects, "ValidatingWebhookConfiguration")["webhooks"]
    return dict(hook)


def test_the_api_server_asks_the_operators_pods() -> None:
    objects = render(POLICIES)
    hook, service = hook_of(objects), the(objects, "Service")
    assert hook["clientConfig"]["service"] == {
        "name": service["metadata"]["name"], "namespace": NAMESPACE, "path": "/policies/review", "port": 443,
    }  # fmt: skip
    labels = the(objects, "Deployment")["spec"]["template"]["metadata"]["labels"]
    assert labels.items() >= service["spec"]["selector"].items()
    (port,) = service["spec"]["ports"]
    ports = {each["name"]: each["containerPort"] for each in container(objects)["ports"]}
    assert environment(objects)["UPLOADPP_WEBHOOK_ADDR"] == f":{ports[port['targetPort']]}"
    assert hook["namespaceSelector"] == {"matchLabels": {"kubernetes.io/metadata.name": NAMESPACE}}
    assert (hook["failurePolicy"], hook["timeoutSeconds"], hook["sideEffects"]) == ("Ignore", 5, "None")
    assert environment(objects)["UPLOADPP_POLICIES"] == "enabled"


def test_the_certificate_is_for_the_service_and_trusted_by_the_api_server(helm: Helm, namespace: str) -> None:
    # The CRDs in the cluster may be those of another test's release.
    given = ON | {"sealingKey": {"existingSecret": "sealing"}, "crds": {"install": False}}
    text = helm("template", RELEASE, str(CHART), "--dry-run=server", values=given)
    objects = [each for each in yaml.safe_load_all(text) if each]
    secret = the(objects, "Secret")
    found = {key: base64.b64decode(value) for key, value in secret["data"].items()}
    assert base64.b64decode(hook_of(objects)["clientConfig"]["caBundle"]) == found["ca.crt"]
    certificate = x509.load_pem_x509_certificate(found["tls.crt"])
    certificate.verify_directly_issued_by(x509.load_pem_x509_certificate(found["ca.crt"]))
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == [f"{SERVICE}.{namespace}.svc"]
    assert (certificate.not_valid_after_utc - certificate.not_valid_before_utc).days > 3600


def test_without_a_cluster_no_certificate_is_made() -> None:
    """Each render would have another one, and Argo CD would apply it each time."""
    said = refusal(ON)
    assert "policies.webhook.certificate: this render does not see the cluster" in said
    for remedy in (
        "certificate.certManager.enabled=true",
        "certificate.existingSecret",
        "webhook.enabled=false",
    ):
        assert remedy in said


def test_cert_manager_issues_it() -> None:
    objects = render(with_certificate(certManager={"enabled": True}))
    assert of_kind(objects, "Secret") == []
    certificate, issuer = the(objects, "Certificate"), the(objects, "Issuer")
    assert certificate["spec"]["dnsNames"] == [HOST]
    assert certificate["spec"]["issuerRef"] == {"kind": "Issuer", "name": issuer["metadata"]["name"]}
    named = the(objects, "ValidatingWebhookConfiguration")["metadata"]["annotations"]
    place = f"{NAMESPACE}/{certificate['metadata']['name']}"
    assert named == {"cert-manager.io/inject-ca-from": place}
    assert "caBundle" not in hook_of(objects)["clientConfig"]
    volume = json.dumps(the(objects, "Deployment")["spec"]["template"]["spec"]["volumes"])
    assert f'"name": "{certificate["spec"]["secretName"]}"' in volume
    own = {"kind": "ClusterIssuer", "name": "corporate"}
    objects = render(with_certificate(certManager={"enabled": True, "issuerRef": own}))
    assert of_kind(objects, "Issuer") == []
    assert the(objects, "Certificate")["spec"]["issuerRef"] == own


def test_a_certificate_of_ones_own() -> None:
    objects = render(with_certificate(existingSecret="mine", caBundle=CERTIFICATE))
    assert of_kind(objects, "Secret") == []
    assert base64.b64decode(hook_of(objects)["clientConfig"]["caBundle"]) == CERTIFICATE.encode()
    volumes = json.dumps(the(objects, "Deployment")["spec"]["template"]["spec"]["volumes"])
    assert '"name": "mine"' in volumes


def test_without_the_webhook_nothing_is_cluster_wide() -> None:
    objects = render({"policies": {"enabled": True, "webhook": {"enabled": False}}})
    kinds = {each["kind"] for each in objects}
    assert not kinds & {"ValidatingWebhookConfiguration", "Secret", "Service"}
    assert environment(objects)["UPLOADPP_POLICIES"] == "enabled"
    assert not [name for name in environment(objects) if "WEBHOOK" in name]


def test_only_the_operator_has_the_certificate() -> None:
    objects = render(POLICIES)
    (pod,) = of_kind(objects, "Pod")
    assert "webhook" not in json.dumps(pod["spec"])
    assert "webhook.key" in json.dumps(the(objects, "Deployment"))


@pytest.mark.parametrize("enabled", [False, True])
def test_rights_come_with_the_value(enabled: bool) -> None:  # noqa: FBT001 -- as above
    objects = render(POLICIES if enabled else {})
    granted = {
        (resource, verb)
        for rule in the(objects, "Role")["rules"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
        if "policies" in resource
    }
    reading = {("postprocessingpolicies", verb) for verb in ("get", "list", "watch")}
    assert granted == ({*reading, ("postprocessingpolicies/status", "patch")} if enabled else set())
    for role in of_kind(objects, "ClusterRole"):
        assert ("postprocessingpolicies" in role["rules"][0]["resources"]) == enabled


def test_the_network_policy_lets_the_api_server_in() -> None:
    values: Object = {"networkPolicy": {"enabled": True}, **POLICIES}
    _, ingress = the(render(values), "NetworkPolicy")["spec"]["ingress"]
    assert ingress == {"ports": [{"protocol": "TCP", "port": "webhook"}]}
    values["networkPolicy"]["webhookFrom"] = [{"ipBlock": {"cidr": "10.0.0.1/32"}}]
    _, ingress = the(render(values), "NetworkPolicy")["spec"]["ingress"]
    assert ingress["from"] == values["networkPolicy"]["webhookFrom"]


@pytest.mark.parametrize(
    ("certificate", "words"),
    [
        ({"existingSecret": "mine"}, "the API server needs its CA as well"),
        ({"caBundle": "PEM"}, "caBundle has no effect"),
        ({"existingSecret": "mine", "caBundle": "PEM"}, "caBundle: it must be the certificate in PEM form"),
        ({"existingSecret": "mine", "caBundle": "P", "certManager": {"enabled": True}}, "contradict"),
    ],
)
def test_values_that_cannot_work_are_refused(certificate: Object, words: str) -> None:
    assert words in refusal(with_certificate(**certificate))


def test_the_schema_knows_the_values() -> None:
    assert "/policies/webhook/failurePolicy" in refusal({"policies": {"webhook": {"failurePolicy": "no"}}})
    assert "/policies/webhook/timeoutSeconds" in refusal({"policies": {"webhook": {"timeoutSeconds": 31}}})


async def test_an_installed_release_answers_with_a_certificate_that_stays(
    bare_cluster: LocalCluster, instance: Instance, namespace: str, nats: NatsServer, tmp_path: Path
) -> None:
    """Installed by Helm, run with the chart's ServiceAccount, asked as the API server would."""
    values: Object = {
        "nats": {"endpoints": [nats.address]},
        "rbac": {"aggregate": False},
        "storageCheck": {"mode": "off"},
        "steps": [{"name": "virusscan"}],
    }
    installation = Installation(bare_cluster, instance, namespace, values | ON)
    notes = installation.install()
    assert "get postprocessingpolicies" in notes
    before = installation.kubectl.json("get", "secret", f"{NAME}-webhook")["data"]
    installation.install(log={"level": "debug"})
    assert installation.kubectl.json("get", "secret", f"{NAME}-webhook")["data"] == before

    operator, port = installation.operator(), free_port()
    operator.variables["UPLOADPP_WEBHOOK_ADDR"] = f"127.0.0.1:{port}"
    await asyncio.to_thread(operator.start)  # ready: it may list and watch policies
    policy = {
        "apiVersion": "uploadpp.io/v1alpha1",
        "kind": "PostprocessingPolicy",
        "metadata": {"name": "p"},
        "spec": {"rules": [{"name": "all", "match": "file.size > 1"}]},
    }
    installation.kubectl("create", "--filename=-", stdin=json.dumps(policy))
    waiting = ("wait", "--for=condition=Ready", "upppol/p", "--timeout=60s")
    await asyncio.to_thread(installation.kubectl, *waiting)  # and write their status

    hook = installation.kubectl.json("get", "validatingwebhookconfiguration", f"{namespace}-{NAME}")
    authority = tmp_path / "ca.crt"
    authority.write_bytes(base64.b64decode(hook["webhooks"][0]["clientConfig"]["caBundle"]))
    context = ssl.create_default_context(cafile=authority)
    review = {"kind": "AdmissionReview", "request": {"uid": "u", "operation": "CREATE", "object": policy}}
    host = f"{NAME}-policies.{namespace}.svc"
    url = f"https://127.0.0.1:{port}/policies/review"
    async with (
        aiohttp.ClientSession() as session,
        session.post(url, json=review, ssl=context, server_hostname=host) as response,
    ):
        answer = await response.json()
    assert answer["response"] == {"uid": "u", "allowed": True}
    installation.kubectl("delete", "validatingwebhookconfiguration", f"{namespace}-{NAME}")
    operator.stop()
