"""What `doctor` makes of the operator's metrics and of what its Pods answer, without a cluster."""

import time
from typing import Any, cast

import pytest

from kubectl_pp.client import Client
from kubectl_pp.errors import UnavailableError
from kubectl_pp.findings import Verdict
from kubectl_pp.metrics import by_step, judge, parse
from kubectl_pp.operators import _trouble, _why_it_does_not_run, _words

Json = dict[str, Any]


@pytest.mark.parametrize(
    ("line", "verdict", "words"),
    [
        ("uploadpp_legacy_service_members 1.0", Verdict.BAD, "is running"),
        ("uploadpp_sealing_key_wrong 1.0", Verdict.BAD, "does not have the key"),
        ("uploadpp_settings_differ 1.0", Verdict.WARNING, "other steps"),
        ('uploadpp_step_breaker_open{step="scan"} 1.0', Verdict.WARNING, "step scan is not well"),
        (
            'uploadpp_step_listeners{step="virusscan"} 0.0',
            Verdict.BAD,
            "no service listens for step virusscan",
        ),
    ],
)
def test_what_keeps_uploads_from_moving_is_bad(line: str, verdict: Verdict, words: str) -> None:
    (found,) = [each for each in judge(parse(line)) if words in each.text]
    assert found.verdict is verdict
    assert found.remedy
    quiet = line.rpartition(" ")[0] + (" 1.0" if "listeners" in line else " 0.0")
    assert not [each for each in judge(parse(quiet)) if words in each.text]


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (200, b"OK\n", ""),
        (503, b"on hold: the legacy service is running\n", "on hold: the legacy service is running"),
        (503, b"cannot publish: \x1b[2Jx", "cannot publish: \\x1b[2Jx"),
        (503, b'{"kind":"Status","message":"error trying to reach service"}', None),
        (503, b"<html>", None),
        (503, b"", None),
        (404, b"there are /healthz, /readyz and /metrics\n", None),
        (403, b"forbidden", None),
    ],
)
def test_only_the_operators_own_words_count(status: int, body: bytes, said: str | None) -> None:
    assert _words(status, body) == said


def test_why_a_pod_does_not_run() -> None:
    unscheduled = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "no node"}
    assert _why_it_does_not_run({"status": {"conditions": [unscheduled]}}) == "Unschedulable: no node"
    creating = {"state": {"waiting": {"reason": "ContainerCreating"}}}
    assert _why_it_does_not_run({"status": {"containerStatuses": [creating]}}) == ""
    initializing = {"state": {"waiting": {"reason": "PodInitializing"}}}
    assert _why_it_does_not_run({"status": {"containerStatuses": [initializing]}}) == ""
    init = {"state": {"waiting": {"reason": "ErrImagePull"}}}
    assert _why_it_does_not_run({"status": {"initContainerStatuses": [init]}}) == "ErrImagePull"
    assert _why_it_does_not_run({}) == ""


class Blind:
    """A client of somebody who may not list Events."""

    def items(self, path: str, params: dict[str, str]) -> list[Json]:
        raise UnavailableError(f"{path} {params}")


@pytest.mark.parametrize(
    ("seconds", "said"), [(30, ""), (7300, "its containers have been starting for 121m")]
)
def test_a_pod_that_is_created_for_long_is_named_without_its_events(seconds: int, said: str) -> None:
    made = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - seconds))
    creating = {"state": {"waiting": {"reason": "ContainerCreating"}}}
    pod = {
        "metadata": {"name": "some", "uid": "1", "creationTimestamp": made},
        "status": {"phase": "Pending", "containerStatuses": [creating]},
    }
    assert _trouble(cast("Client", Blind()), "ocis", pod) == said
    pod["status"] = {"phase": "Running", "containerStatuses": [creating]}
    assert _trouble(cast("Client", Blind()), "ocis", pod) == ""


def test_a_metric_is_read_by_step() -> None:
    text = (
        "# TYPE uploadpp_step_slots gauge\n"
        'uploadpp_step_slots{step="virusscan"} 8.0\n'
        'uploadpp_step_slots{step="a\\"b\\\\c} 1"} 2.0\n'
        'uploadpp_step_slots_used{step="virusscan"} 3.0\n'
    )
    assert by_step(text, "uploadpp_step_slots") == {"virusscan": 8.0, 'a"b\\c} 1': 2.0}
    assert by_step(text, "uploadpp_step_slots_used") == {"virusscan": 3.0}
    assert by_step(text, "uploadpp_step_listeners") == {}
