"""Values that cannot work are refused, and the message names them."""

from typing import Any

import pytest

from e2e.cluster.helm import Helm, HelmError
from tests.chart.rendering import NAMESPACE, RELEASE, environment, refusal, render
from uploadpp.process.configuration import read_settings
from uploadpp.process.operator_config import core_config

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


# What the operator or a step would refuse, so that its Pod would be restarted again and again.
TOO_LONG = 9_223_372_037  # seconds: 292 years, the longest duration that Go has
NEVER_STARTS: list[tuple[dict[str, Any], str]] = [
    *(
        ({"nats": {"endpoints": [address]}}, "/nats/endpoints/0")
        for address in (
            *(
                "http://nats:4222",
                "ws://nats:80",
                "a;b:1",
                "'nats':1",
                "nats:1;b:2",
                "nats/x:1",
                "n\u00e4ts:1",
            ),
            *("::1:4222", "[::1:4222", "$(X):1", "nats:4222?x:1", ":4222", "a..b:4222", f"{'a' * 64}:1"),
        )
    ),
    ({"nats": {"endpoints": ["nats:0"]}}, "nats.endpoints: 0 is not a port"),
    ({"nats": {"endpoints": ["nats:4222", "b:99999"]}}, "nats.endpoints: 99999 is not a port"),
    *(
        ({"storageCheck": {"from": [url]}}, "/storageCheck/from/0")
        for url in (
            *("https://h?x", "https://h#f", "https://h;b", "https://h\\x", "https://[h/", "https://h:x/"),
            *("http:///x", "http://", "https://h/a?b", "https://a b/", "https://h/;"),
        )
    ),
    ({"storageCheck": {"from": ["https://user:pw@h/"]}}, "storageCheck.from: a URL must not contain a login"),
    ({"storageCheck": {"from": ["https://h:99999/"]}}, "storageCheck.from: 99999 is not a port"),
    ({"storageCheck": {"from": ["https://h/a//b"]}}, "can be read in more than one way"),
    ({"storageCheck": {"from": ["https://h/%2F"]}}, "can be read in more than one way"),
    ({"storageCheck": {"from": ["https://h//x"]}}, "can be read in more than one way"),
    *(
        ({"tracing": {"endpoint": url}}, "/tracing/endpoint")
        for url in ("http://:4318", "http://c:x", "http://*:4318", "http://[::1", "http://co%6c:1")
    ),
    ({"tracing": {"endpoint": "http://c:99999"}}, "tracing.endpoint: 99999 is not a port"),
    *(
        ({"steps": [{"name": name}]}, "/steps/0/name")
        for name in (
            "a;b",
            "a'b",
            'a"b',
            "a[b]",
            "a\uff0cb",
            "a\u3001b",
            "a\u00a0b",
            "a\u2028b",
            "a\u3000b",
            "a b",
        )
    ),
    ({"steps": [{"name": "delay", "maxInFlight": 1}]}, "the step delay cannot have maxInFlight"),
    ({"steps": [{"name": "a", "minInFlight": 2}]}, 'minInFlight of "a" needs a maxInFlight of at least 2'),
    (
        {"steps": [{"name": "a", "minInFlight": 3, "maxInFlight": 2}]},
        'minInFlight of "a" needs a maxInFlight of at least 3',
    ),
    ({"fairShare": {"priorityClasses": {"high": 0}}}, "/fairShare/priorityClasses/high"),
    ({"fairShare": {"priorityClasses": {"bulk": 1}}}, "fairShare.priorityClasses: normal is missing"),
    ({"fairShare": {"weights": {"mary": 101}}}, "/fairShare/weights/mary"),
    ({"steps": [{"name": "delay", "breakerAfter": 1}]}, "the step delay cannot have breakerAfter"),
    ({"steps": [{"name": "a", "breakerAfter": 0}]}, "/steps/0/breakerAfter"),
    ({"shards": 4, "steps": [{"name": "a", "maxInFlight": 3}]}, 'maxInFlight of "a" is divided among 4'),
    (
        {"steps": [{"name": f"n{n}"} for n in range(32)], "delaySeconds": 5},
        "delaySeconds appends the step delay",
    ),
    ({"steps": [{"name": "a", "timeoutSeconds": 31_536_001}]}, "/steps/0/timeoutSeconds"),
    ({"steps": [{"name": "a", "stallAfterSeconds": 31_536_001}]}, "/steps/0/stallAfterSeconds"),
    ({"steps": [{"name": "a", "maxBackoffSeconds": 2_592_001}]}, "/steps/0/maxBackoffSeconds"),
    ({"storageCheck": {"from": ["https://*.example.org"]}}, "/storageCheck/from/0"),
    ({"tracing": {"endpoint": "https://collector/v1?a=b"}}, "/tracing/endpoint"),
    ({"tracing": {"endpoint": "https://collector/#a"}}, "/tracing/endpoint"),
    ({"stallAfterSeconds": TOO_LONG}, "/stallAfterSeconds"),
    ({"retryPolicy": {"maxBackoffSeconds": TOO_LONG}}, "/retryPolicy/maxBackoffSeconds"),
    ({"release": {"orderTimeoutSeconds": TOO_LONG}}, "/release/orderTimeoutSeconds"),
    ({"release": {"unansweredAfterSeconds": TOO_LONG}}, "/release/unansweredAfterSeconds"),
    ({"storageCheck": {"intervalSeconds": TOO_LONG}}, "/storageCheck/intervalSeconds"),
    ({"ttlSeconds": {"failed": TOO_LONG}}, "/ttlSeconds/failed"),
    ({"nats": {"streamMaxAgeSeconds": TOO_LONG}}, "/nats/streamMaxAgeSeconds"),
    ({"stepServiceDefaults": {"timeoutSeconds": TOO_LONG}}, "/stepServiceDefaults/timeoutSeconds"),
    (
        {"stepServices": {"v": {"virusscan": {"clamd": "tcp:h:99999"}}}},
        "stepServices.v.virusscan.clamd: 99999 is not a port",
    ),
    (
        {"stepServices": {"p": {"policies": {"rules": []}, "maxFileSize": "0k"}}},
        "stepServices.p.maxFileSize: no file has 0 bytes at most",
    ),
]
STARTS: list[dict[str, Any]] = [
    *(
        {"nats": {"endpoints": [address]}}
        for address in ("tls://nats:4222", "[::1]:65535", "tcp://a_b.c-d:1", "[fe80::1%eth0]:4222")
    ),
    *(
        {"storageCheck": {"from": [url]}}
        for url in ("https://h", "http://[::1]:9200/", "https://h:1/a/b.c/d%20e/", "https://h.example.org")
    ),
    *({"tracing": {"endpoint": url}} for url in ("http://c", "https://[::1]:65535/v1", "http://C:4318/")),
    {"steps": [{"name": name} for name in ("Ours/1", "a\u00fc", "x" * 63, "a$b", "a:b")]},
    {"steps": [{"name": "a", "timeoutSeconds": 31_536_000, "stallAfterSeconds": 31_536_000}]},
    {"steps": [{"name": "a", "backoffSeconds": 0, "maxBackoffSeconds": 2_592_000, "maxInFlight": 1}]},
    {"shards": 4, "steps": [{"name": "a", "breakerAfter": 1}]},
    {"shards": 4, "steps": [{"name": "a", "maxInFlight": 4, "minInFlight": 1}]},
    {
        "fairShare": {
            "by": "Space",
            "weights": {"mary": 100},
            "priorityClasses": {"bulk": 1, "normal": 2},
            "smallFirst": 1000,
        }
    },
    {"steps": [{"name": f"n{n}"} for n in range(31)] + [{"name": "delay"}], "delaySeconds": 5},
    {
        "stallAfterSeconds": TOO_LONG - 1,
        "retryPolicy": {"maxBackoffSeconds": 2_592_000},
        "release": {"readyAfterSeconds": TOO_LONG - 1, "orderTimeoutSeconds": TOO_LONG - 1},
        "ttlSeconds": {"failed": TOO_LONG - 1, "completed": 0},
    },
]
"""The first and the last of what is taken: with each of them the operator starts."""


@pytest.mark.parametrize(
    ("values", "message"), NEVER_STARTS, ids=[f"{n} {each[1]}" for n, each in enumerate(NEVER_STARTS)]
)
def test_with_what_the_chart_takes_the_operator_starts(values: dict[str, Any], message: str) -> None:
    assert message in refusal({"networkPolicy": {"enabled": True}, **values})


@pytest.mark.parametrize("values", STARTS, ids=range(len(STARTS)))
def test_no_more_is_refused_than_the_operator_refuses(values: dict[str, Any]) -> None:
    core_config(read_settings({}, environment(render({"networkPolicy": {"enabled": True}, **values}))))


@pytest.mark.parametrize(("values", "message"), REFUSED, ids=[message for _, message in REFUSED])
def test_it_is_refused_by_name(values: dict[str, Any], message: str) -> None:
    with pytest.raises(HelmError) as refused:
        Helm(NAMESPACE).render(RELEASE, values)
    assert message in str(refused.value)
