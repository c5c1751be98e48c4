"""The chart as objects, and sets of values that people may really have."""

import json
import re
from collections.abc import Mapping
from functools import cache
from typing import Any

import pytest

from e2e.cluster.helm import Helm, HelmError

RELEASE = "upp"
NAMESPACE = "ocis"
Object = dict[str, Any]

MINIMAL: Object = {}
RELABEL = [{"targetLabel": "cluster", "replacement": "a"}]
CERTIFICATE = """-----BEGIN CERTIFICATE-----
MIIBgDCCASegAwIBAgIUW75xFebvRFmoGPmqeq/fHPdqBO4wCgYIKoZIzj0EAwIw
FTETMBEGA1UEAwwKbWFkZS11cCBDQTAgFw0yNjExMjkyMzAyNDBaGA8yMTI2MTEw
NTIzMDI0MFowFTETMBEGA1UEAwwKbWFkZS11cCBDQTBZMBMGByqGSM49AgEGCCqG
SM49AwEHA0IABAfz8TVVikxmClPB6UKlbLTjf6e8mFZPIj9hGWEkf9tAJHlT2LdS
DGD1DUyRUrVhKU/NTffjz4CB5+WhH77Jdl2jUzBRMB0GA1UdDgQWBBT1ICLLGIe8
NIEEmwuC5uJr+jHevDAfBgNVHSMEGDAWgBT1ICLLGIe8NIEEmwuC5uJr+jHevDAP
BgNVHRMBAf8EBTADAQH/MAoGCCqGSM49BAMCA0cAMEQCIGLqW/sCzXk5Bsu+dOjv
xsuFv1sDf4WZr1Hz2Zglf4hhAiAkGoAbv8+/FTprEyRwbZnahNVahkTd9iyFLsHB
8bFkKA==
-----END CERTIFICATE-----
"""
"""An authority that nobody has; the API server wants a certificate there."""
OWN_CERTIFICATE: Object = {"existingSecret": "webhook", "caBundle": CERTIFICATE}
"""What policies need where no cluster is seen."""
POLICIES: Object = {"policies": {"enabled": True, "webhook": {"certificate": OWN_CERTIFICATE}}}
PRODUCTION: Object = {
    "steps": [
        {"name": "virusscan", "timeoutSeconds": 300, "maxRetries": 3, "onExhausted": "Hold"},
        {"name": "policies", "backoffSeconds": 0},
        {"name": "delay"},
    ],
    "delaySeconds": 30,
    "replicas": 3,
    "nats": {
        "endpoints": ["nats-0.nats:4222", "nats-1.nats:4223"],
        "auth": {"creds": {"existingSecret": "nats-creds"}},
        "tls": {
            "enabled": True,
            "ca": {"existingSecret": "nats-ca"},
            "client": {"existingSecret": "nats-client"},
        },
    },
    "sealingKey": {"existingSecret": "sealing"},
    "storageCheck": {"intervalSeconds": 20, "ca": {"existingSecret": "storage-ca"}},
    **POLICIES,
    "metrics": {
        "existingSecret": "scrape",
        "serviceMonitor": {
            "enabled": True,
            "labels": {"release": "prometheus"},
            "relabelings": RELABEL,
            "metricRelabelings": [{"action": "drop", "regex": "python_.*", "sourceLabels": ["__name__"]}],
        },
        "prometheusRule": {"enabled": True, "disabled": ["UploadppAbsent"], "alertLabels": {"team": "files"}},
        "dashboard": {"enabled": True, "annotations": {"folder": "ocis"}},
    },
    "networkPolicy": {
        "enabled": True,
        "metricsFrom": [{"namespaceSelector": {"matchLabels": {"name": "monitoring"}}}],
        "natsTo": [{"podSelector": {"matchLabels": {"app": "nats"}}}],
        "apiServerTo": [{"ipBlock": {"cidr": "10.0.0.1/32"}}],
        "extraEgress": [{"ports": [{"port": 8080}]}],
        "storageTo": [{"podSelector": {"matchLabels": {"app": "proxy"}}}],
        "collectorTo": [{"podSelector": {"matchLabels": {"app": "collector"}}}],
    },
    "tracing": {
        "endpoint": "https://collector.monitoring:4318",
        "sampleRatio": 0.1,
        "headers": {"existingSecret": "collector-login"},
    },
    "image": {"digest": "sha256:" + "0" * 64, "pullPolicy": "Always"},
    "imagePullSecrets": [{"name": "registry"}],
}
EVERYTHING: Object = {
    "nameOverride": "postprocessing",
    "fullnameOverride": "pp",
    "replicas": 2,
    "nats": {"auth": {"userPassword": {"existingSecret": "nats-login", "usernameKey": "user"}}},
    "metrics": {"service": True, "podMonitor": {"enabled": True, "interval": "10s", "relabelings": RELABEL}},
    "serviceAccount": {"annotations": {"team": "files"}},
    "commonLabels": {"team": "files"},
    "podAnnotations": {"sidecar.istio.io/inject": "false"},
    "podLabels": {"tier": "backend"},
    "deploymentAnnotations": {"reloader": "true"},
    "priorityClassName": "files",
    "nodeSelector": {"kubernetes.io/os": "linux"},
    "tolerations": [{"key": "files", "operator": "Exists"}],
    "affinity": {
        "nodeAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": {
                "nodeSelectorTerms": [{"matchExpressions": [{"key": "zone", "operator": "Exists"}]}],
            }
        }
    },
    "topologySpreadConstraints": [
        {"maxSkew": 1, "topologyKey": "topology.kubernetes.io/zone", "whenUnsatisfiable": "DoNotSchedule"},
    ],
    "extraEnv": [{"name": "HTTPS_PROXY", "value": "http://proxy:3128"}],
    "extraArgs": ["--writers=8"],
    "extraVolumes": [{"name": "scratch", "emptyDir": {}}],
    "extraVolumeMounts": [{"name": "scratch", "mountPath": "/scratch"}],
    "extraObjects": [
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "{{ .Release.Name }}-extra"}},
        "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: as-text\n",
    ],
}
NO_CLUSTER_SCOPE: Object = {
    "crds": {"install": False},
    "rbac": {"aggregate": False},
    "nats": {"auth": {"nkey": {"existingSecret": "nats-nkey"}}},
}
BY_OTHERS: Object = {
    "serviceAccount": {"create": False, "name": "given"},
    "rbac": {"create": False, "aggregate": False},
    "nats": {
        "auth": {"token": {"existingSecret": "nats-token"}},
        "tls": {"enabled": True, "insecureSkipVerify": True},
    },
    "podDisruptionBudget": {"enabled": False},
    "replicas": 2,
}
SETS = {
    "minimal": MINIMAL,
    "production": PRODUCTION,
    "everything": EVERYTHING,
    "no-cluster-scope": NO_CLUSTER_SCOPE,
    "by-others": BY_OTHERS,
}


def render(values: Mapping[str, Any]) -> list[Object]:
    """The objects for some values; without a cluster, so the sealing key is a Secret that exists."""
    key = {"sealingKey": {"existingSecret": "sealing"}}
    found: list[Object] = json.loads(_rendered(json.dumps(key | dict(values))))
    return found


def refusal(values: Mapping[str, Any]) -> str:
    """What the chart says when it refuses these values; the test fails if it takes them."""
    with pytest.raises(HelmError) as refused:
        render(values)
    return str(refused.value)


@cache
def _rendered(values: str) -> str:
    return json.dumps(Helm(NAMESPACE).render(RELEASE, json.loads(values)))


def of_kind(objects: list[Object], kind: str) -> list[Object]:
    """The objects of one kind."""
    return [each for each in objects if each["kind"] == kind]


def the(objects: list[Object], kind: str) -> Object:
    """The one object of a kind."""
    (found,) = of_kind(objects, kind)
    return found


def container(objects: list[Object]) -> Object:
    """The operator's container."""
    specs = (each["spec"]["template"]["spec"] for each in of_kind(objects, "Deployment"))
    (found,) = [each for spec in specs for each in spec["containers"] if each["name"] == "operator"]
    return dict(found)


def environment(objects: list[Object]) -> dict[str, str]:
    """The variables of the operator's container that the chart gives a value."""
    return expanded(container(objects)["env"])


def expanded(variables: list[Object]) -> dict[str, str]:
    """The variables that have a value, as a process sees them: Kubernetes replaces $(NAME), and $$ by $."""
    found: dict[str, str] = {}
    for each in variables:
        if "value" in each:
            found[each["name"]] = re.sub(
                r"\$(\$|\((.*?)\))",
                lambda sign: "$" if sign[1] == "$" else found.get(sign[2], sign[0]),
                each["value"],
            )
    return found
