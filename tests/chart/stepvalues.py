"""Sets of values with step services, and how to find a service among the objects."""

from typing import Any

from tests.chart.rendering import Object, expanded, of_kind

RULES = [
    {"outcome": "continue", "user": ["admin"]},
    {"outcome": "delete", "extension": ["exe"], "largerThan": 1_000_000, "message": "no large programs"},
    {"outcome": "delete", "extension": "bat", "message": "no scripts: {{ .Values }} # none"},
]
PLAIN: Object = {
    "steps": [
        {"name": "virusscan", "timeoutSeconds": 600},
        {"name": "policies"},
        {"name": "elf"},
        {"name": "own"},
    ],
    "stepServices": {
        "virusscan": {"virusscan": {"clamd": "sidecar"}},
        "policies": {"policies": {"rules": RULES}},
        "elf": {"command": {"exec": "grep -q ELF {path}", "exit": {"0": "delete", "1": "continue"}}},
        "own": {"image": {"repository": "registry/own", "tag": "2"}, "program": {"args": ["serve"]}},
    },
}
"""One of each kind, and nothing else."""
FULL: Object = {
    "steps": [{"name": "virusscan"}, {"name": "Ours/1"}],
    "nats": {
        "endpoints": ["nats-0:4222"],
        "auth": {"creds": {"existingSecret": "nats-creds"}},
        "tls": {
            "enabled": True,
            "ca": {"existingSecret": "nats-ca"},
            "client": {"existingSecret": "nats-client"},
        },
    },
    "storageCheck": {"from": ["http://frontend:9140/data/"], "ca": {"existingSecret": "storage-ca"}},
    "tracing": {"endpoint": "http://collector:4318", "headers": {"existingSecret": "collector-login"}},
    "metrics": {
        "existingSecret": "scrape",
        "podMonitor": {"enabled": True, "labels": {"release": "prometheus"}},
    },
    "networkPolicy": {
        "enabled": True,
        "natsTo": [{"podSelector": {"matchLabels": {"app": "nats"}}}],
        "clamdTo": [{"podSelector": {"matchLabels": {"app": "clamd"}}}],
    },
    "podLabels": {"tier": "backend"},
    "podAnnotations": {"sidecar.istio.io/inject": "false"},
    "deploymentAnnotations": {"reloader.stakater.com/auto": "true"},
    "priorityClassName": "files",
    "nodeSelector": {"kubernetes.io/os": "linux"},
    "imagePullSecrets": [{"name": "registry"}],
    "stepServices": {
        "virusscan": {
            "replicas": 3,
            "virusscan": {
                "clamd": "tcp:clamd:3310",
                "maxScanSize": 25_000_000,
                "infected": "abort",
                "suspicious": "continue",
                "oversize": "partial",
                "encrypted": "delete",
                "unscannable": "abort",
            },
            "image": {"tag": "0.1.1"},
        },
        "ours": {
            "step": "Ours/1",
            "auth": {"userPassword": {"existingSecret": "step-login"}},
            "command": {"exec": "sh -c 'exit 2'", "exit": {"2": "abort"}, "passEnv": ["LICENSE"]},
            "autoscaling": {"enabled": True, "minReplicas": 2},
            "concurrency": 1,
            "maxFileSize": "10G",
            "startWith": "2h",
            "drainSeconds": 0,
            "tmpSizeLimit": "20Gi",
            "resources": {"requests": {"cpu": "2"}, "limits": {"memory": "1Gi"}},
            "podLabels": {"tier": "steps"},
            "nodeSelector": {"disk": "fast"},
            "tolerations": [{"key": "files", "operator": "Exists"}],
            "priorityClassName": "files",
            "topologySpreadConstraints": [
                {
                    "maxSkew": 1,
                    "topologyKey": "topology.kubernetes.io/zone",
                    "whenUnsatisfiable": "DoNotSchedule",
                }
            ],
            "extraEnv": [{"name": "LICENSE", "value": "x"}],
            "extraVolumes": [{"name": "fonts", "emptyDir": {}}],
            "extraVolumeMounts": [{"name": "fonts", "mountPath": "/fonts"}],
            "extraEgress": [{"ports": [{"port": 8080}]}],
        },
        "quiet": {
            "step": "virusscan-again",
            "replicas": 0,
            "image": {"repository": "registry/quiet", "digest": "sha256:" + "0" * 64},
            "program": {"command": ["/quiet"], "port": 0},
        },
    },
}
"""Everything that can be said, in one release or another."""
CLAIM: Object = {
    "metrics": {"serviceMonitor": {"enabled": True}},
    "nats": {"auth": {"token": {"existingSecret": "nats-token"}}},
    "networkPolicy": {"enabled": True},
    "stepServices": {
        "virusscan": {
            "virusscan": {"clamd": "sidecar"},
            "clamd": {"signatures": {"existingClaim": "signatures"}, "settings": ["AlertOLE2Macros yes"]},
        },
        "scan": {
            "step": "clamdscan",
            "auth": {"nkey": {"existingSecret": "step-nkey"}},
            "virusscan": {"clamd": "unix:/run/host/clamd.sock"},
        },
    },
}
STEP_SETS = {"plain": PLAIN, "full": FULL, "claim": CLAIM}
COMPONENT = "app.kubernetes.io/component"


def the_service(kind: Object, **others: Any) -> Object:  # noqa: ANN401 -- values
    """Values with one service, `x`."""
    return {"stepServices": {"x": kind}, **others}


def deployments(objects: list[Object]) -> dict[str, Object]:
    """The Deployments of step services by name of the service."""
    found = of_kind(objects, "Deployment")
    return {each["metadata"]["labels"]["uploadpp.io/step"]: each for each in found if _of_step(each)}


def _of_step(each: Object) -> bool:
    return bool(each["metadata"]["labels"].get(COMPONENT) == "step")


def service_objects(objects: list[Object], kind: str) -> dict[str, Object]:
    """Objects of one kind by name of the service."""
    found = [
        each for each in of_kind(objects, kind) if "uploadpp.io/step" in each["metadata"].get("labels", {})
    ]
    return {each["metadata"]["labels"]["uploadpp.io/step"]: each for each in found}


def pod(deployment: Object) -> Object:
    """The spec of its Pods."""
    found: Object = deployment["spec"]["template"]["spec"]
    return found


def step(deployment: Object) -> Object:
    """The step's own container."""
    (found,) = pod(deployment)["containers"]
    return dict(found)


def variables(deployment: Object) -> dict[str, str]:
    """The variables that have a value."""
    return expanded(step(deployment)["env"])


def selects(selector: dict[str, Any], labels: dict[str, str]) -> bool:
    """Whether a selector of labels matches."""
    return selector.items() <= labels.items()
