"""Values that cannot work are refused, and the message names them."""

from typing import Any

import pytest

from e2e.cluster.helm import Helm, HelmError
from tests.chart.rendering import NAMESPACE, RELEASE

SECRET = {"existingSecret": "s"}

REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"stepz": []}, "'stepz'"),
    ({"nats": {"endpoint": "x:1"}}, "'endpoint'"),
    ({"nats": {"endpoints": []}}, "/nats/endpoints"),
    ({"nats": {"endpoints": ["nats"]}}, "/nats/endpoints/0"),
    ({"nats": {"startFrom": "yesterday"}}, "/nats/startFrom"),
    ({"steps": ["virusscan"]}, "/steps/0"),
    ({"steps": [{"name": "a,b"}]}, "/steps/0/name"),
    ({"steps": [{"name": "finished"}]}, "/steps/0/name"),
    ({"steps": [{"timeoutSeconds": 5}]}, "missing property 'name'"),
    ({"steps": [{"name": "a", "timeoutSeconds": 0}]}, "/steps/0/timeoutSeconds"),
    ({"steps": [{"name": "a", "onExhausted": "abort"}]}, "/steps/0/onExhausted"),
    ({"steps": [{"name": "a", "retries": 1}]}, "'retries'"),
    ({"delaySeconds": "30s"}, "/delaySeconds"),
    ({"retryPolicy": {"maxRetries": 1001}}, "/retryPolicy/maxRetries"),
    ({"replicas": -1}, "/replicas"),
    ({"shards": 0}, "/shards"),
    ({"show": ["url"]}, "/show/0"),
    ({"image": {"digest": "latest"}}, "/image/digest"),
    ({"extraEnv": {"A": "b"}}, "/extraEnv"),
    ({"tracing": {"endpoint": "collector:4318"}}, "/tracing/endpoint"),
    ({"tracing": {"sampleRatio": 2}}, "/tracing/sampleRatio"),
    # What a schema cannot say
    ({"tracing": {"endpoint": "http://collector:4317"}}, "tracing.endpoint: 4317"),
    ({"tracing": {"headers": SECRET}}, "tracing.headers.existingSecret has no effect"),
    ({"steps": [{"name": "a"}, {"name": "a"}]}, 'steps: "a" is listed twice'),
    ({"retryPolicy": {"backoffSeconds": 10, "maxBackoffSeconds": 5}}, "retryPolicy.backoffSeconds is longer"),
    (
        {"steps": [{"name": "a", "backoffSeconds": 10, "maxBackoffSeconds": 5}]},
        'backoffSeconds of "a" is longer',
    ),
    ({"steps": [{"name": "a", "maxBackoffSeconds": 0}]}, 'backoffSeconds of "a" is longer'),
    (
        {"nats": {"auth": {"nkey": SECRET, "token": SECRET}}},
        "nats.auth.nkey.existingSecret, nats.auth.token.existingSecret: NATS takes one",
    ),
    ({"nats": {"tls": {"ca": SECRET}}}, "nats.tls.ca.existingSecret has no effect without nats.tls.enabled"),
    ({"nats": {"tls": {"client": SECRET}}}, "nats.tls.client.existingSecret has no effect"),
    ({"nats": {"tls": {"insecureSkipVerify": True}}}, "nats.tls.insecureSkipVerify has no effect"),
    (
        {"nats": {"tls": {"enabled": True, "insecureSkipVerify": True, "ca": SECRET}}},
        "nats.tls.insecureSkipVerify and nats.tls.ca.existingSecret contradict",
    ),
    ({"adopt": {"enabled": True}, "handBack": {"enabled": True}}, "adopt.enabled and handBack.enabled"),
    ({"adopt": {"args": "--dry-run"}}, "/adopt/args"),
    ({"quota": {"uploads": 0}}, "/quota/uploads"),
    ({"quota": {"enabled": True, "uploads": 99_999}}, "quota.uploads is less than maxRecorded"),
    (
        {"metrics": {"serviceMonitor": {"enabled": True}, "podMonitor": {"enabled": True}}},
        "metrics.serviceMonitor.enabled and metrics.podMonitor.enabled",
    ),
    (
        {"extraEnv": [{"name": "POSTPROCESSING_STEPS", "value": "a"}]},
        "extraEnv: POSTPROCESSING_STEPS is set by",
    ),
    ({"extraEnv": [{"name": "UPLOADPP_NAMESPACE", "value": "a"}]}, "extraEnv: UPLOADPP_NAMESPACE is set by"),
    ({"extraEnv": [{"name": "UPLOADPP_POD_UID", "value": "a"}]}, "extraEnv: UPLOADPP_POD_UID is set by"),
    (
        {"extraEnv": [{"name": "OC_EVENTS_ENDPOINT", "value": "a"}]},
        "extraEnv: OC_EVENTS_ENDPOINT has no effect",
    ),
    ({"serviceAccount": {"create": False}}, "serviceAccount.create is false"),
]


@pytest.mark.parametrize(("values", "message"), REFUSED, ids=[message for _, message in REFUSED])
def test_it_is_refused_by_name(values: dict[str, Any], message: str) -> None:
    with pytest.raises(HelmError) as refused:
        Helm(NAMESPACE).render(RELEASE, values)
    assert message in str(refused.value)
