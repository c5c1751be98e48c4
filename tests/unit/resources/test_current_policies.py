"""The policies that are in force, what they say of uploads, and what people are told who ask."""

import subprocess
import sys
from http import HTTPStatus
from typing import Any

import orjson
import pytest

from uploadpp.core.model import FileInfo, Millis, Origin, PolicyRef
from uploadpp.core.policy import PolicyAction
from uploadpp.process.configuration import read_settings
from uploadpp.process.operator_config import core_config
from uploadpp.resources.current_policies import CurrentPolicies
from uploadpp.resources.policy_counts import Matched, PolicyCounts
from uploadpp.resources.policy_question import MAX_POLICIES, answer
from uploadpp.telemetry.metrics import Metrics

NOW = Millis(1_700_000_000_000)
CONFIG = core_config(read_settings({}, {"POSTPROCESSING_STEPS": "virusscan,policies"}))


def policy(name: str, *rules: dict[str, Any], generation: int = 1, **spec: Any) -> dict[str, Any]:  # noqa: ANN401 -- fields
    meta = {"name": name, "uid": f"uid of {name}", "generation": generation}
    return {"metadata": meta, "spec": {"rules": [*rules], **spec}}


def rule(name: str, match: str = "", **fields: Any) -> dict[str, Any]:  # noqa: ANN401 -- fields
    return {"name": name} | ({"match": match} if match else {}) | fields


VIDEOS = rule("videos", 'file.extension == "mp4"', steps=[{"name": "virusscan"}])


class Bench:
    """Policies of one process."""

    def __init__(self, *resources: dict[str, Any]) -> None:
        self.metrics = Metrics()
        self.counts = PolicyCounts(lambda: NOW)
        self.current = CurrentPolicies(CONFIG, self.metrics.policies, self.counts)
        self.current.take([*resources])

    def choose(self, filename: str) -> Any:  # noqa: ANN401 -- what they say
        origin = Origin(filename=orjson.dumps(filename).decode(), filesize="10")
        return self.current.choose(origin, FileInfo(filename=filename, filesize=10))

    def matched(self) -> list[str]:
        lines = self.metrics.text().decode().splitlines()
        return [line for line in lines if line.startswith("uploadpp_policy_matches")]

    def asks(self, body: Any = None, *, known: bool = True, **given: str) -> tuple[HTTPStatus, Any]:  # noqa: ANN401 -- JSON
        said = orjson.dumps(body) if body is not None else b""
        status, text = answer(self.current, (given, said), known=known)
        return status, orjson.loads(text) if status == HTTPStatus.OK else text.decode()


def test_the_first_rule_that_matches_decides_and_is_counted() -> None:
    bench = Bench(policy("p", VIDEOS, rule("rest", action="Hold")))
    assert bench.choose("a.mp4").ref == PolicyRef("p", 1, "videos")
    assert bench.choose("b.mp4").action is PolicyAction.RUN
    assert bench.choose("b.txt").action is PolicyAction.HOLD
    assert bench.counts.of("p") == {"videos": Matched(2, NOW), "rest": Matched(1, NOW)}
    assert bench.matched() == [
        'uploadpp_policy_matches_total{mode="Enforce",policy="p",rule="videos"} 2.0',
        'uploadpp_policy_matches_total{mode="Enforce",policy="p",rule="rest"} 1.0',
    ]


def test_a_dry_run_counts_only() -> None:
    bench = Bench(policy("p", VIDEOS, mode="DryRun"))
    assert bench.choose("a.mp4") is None
    assert bench.counts.of("p") == {"videos": Matched(1, NOW)}
    assert bench.matched() == ['uploadpp_policy_matches_total{mode="DryRun",policy="p",rule="videos"} 1.0']


def test_other_policies_take_the_place_of_those_before() -> None:
    bench = Bench(policy("p", VIDEOS), policy("q", rule("all")))
    bench.current.take([policy("p", VIDEOS, generation=2)])
    assert bench.choose("a.mp4").ref == PolicyRef("p", 2, "videos")
    assert bench.choose("a.txt") is None
    assert bench.current.judge("q") is None
    judged = bench.current.judge("p")
    assert judged is not None
    assert (judged.generation, judged.ready, judged.reason, judged.message) == (2, True, "Accepted", "")
    bench.current.take([])
    assert bench.choose("a.mp4") is None


def test_a_wrong_expression_holds_and_is_judged() -> None:
    bench = Bench(policy("p", rule("typo", "file.siez > 1")))
    held = bench.choose("a.mp4")
    assert held.action is PolicyAction.HOLD
    assert "rule typo of policy p cannot be used" in held.message
    judged = bench.current.judge("p")
    assert judged is not None
    assert (judged.ready, judged.reason) == (False, "InvalidExpression")
    text = bench.metrics.text().decode()
    assert 'uploadpp_policies{ready="false"} 1.0' in text
    assert 'uploadpp_policies{ready="true"} 0.0' in text


def test_what_fails_or_is_unknown_holds_the_upload(caplog: pytest.LogCaptureFixture) -> None:
    """Never may an upload get fewer steps because the operator does not know its policies."""
    unknown = CurrentPolicies(CONFIG, Metrics().policies, PolicyCounts(lambda: NOW))
    found = unknown.choose(Origin(), FileInfo())
    assert found is not None
    assert found.action is PolicyAction.HOLD
    assert "Report" in found.message
    assert "not known" in caplog.text


def test_a_question_is_answered_and_counts_nothing() -> None:
    bench = Bench(
        policy("dry", rule("big", "file.size > 5"), mode="DryRun"),
        policy("p", VIDEOS, rule("all", action="Skip"), order=1),
    )
    status, said = bench.asks(filename="a.MP4", size="10", user="u1")
    assert status == HTTPStatus.OK
    assert said["file"] == {
        "filename": "a.MP4", "extension": "mp4", "size": 10, "mimeType": "video/mp4",
        "user": "u1", "space": "", "storage": "", "initiator": "",
    }  # fmt: skip
    assert said["rules"] == [
        {"policy": "dry", "rule": "big", "mode": "DryRun", "result": "Matched"},
        {"policy": "p", "rule": "videos", "mode": "Enforce", "result": "Matched"},
    ]
    assert said["result"]["action"] == "Run"
    assert said["result"]["policy"] == {"name": "p", "rule": "videos", "generation": 1}
    assert [step["name"] for step in said["result"]["steps"]] == ["virusscan"]
    assert bench.counts.of("p") == bench.counts.of("dry") == {}

    _, said = bench.asks(filename="a.txt", size="1")
    assert said["result"] == {
        "action": "Skip", "policy": {"name": "p", "rule": "all", "generation": 1}, "steps": [],
    }  # fmt: skip


def test_without_a_rule_the_configured_steps_run() -> None:
    _, said = Bench().asks(filename="a.txt")
    assert said["policies"] == 0
    assert [step["name"] for step in said["result"]["steps"]] == ["virusscan", "policies"]


def test_policies_of_a_file_take_the_place_of_those_of_their_name() -> None:
    bench = Bench(policy("p", rule("old", action="Hold")), policy("q", rule("later"), order=2))
    new = {"metadata": {"name": "p"}, "spec": {"rules": [rule("new", "file.size > 5", action="Skip")]}}
    _, said = bench.asks(new, filename="a.txt", size="6")
    assert said["result"]["policy"] == {"name": "p", "rule": "new", "generation": 0}
    _, said = bench.asks({"items": [new]}, filename="a.txt", size="5")
    assert said["result"]["policy"]["name"] == "q"
    assert bench.choose("a.txt").ref.rule == "old"
    _, said = bench.asks([policy("p", rule("typo", "file.siez > 1"))], filename="a.txt")
    assert said["result"]["action"] == "Hold"
    assert said["rules"][0]["result"] == "Failed"
    (problem,) = said["problems"]
    assert problem["policy"] == "p"
    assert problem["message"].startswith("rule typo: match: ")


@pytest.mark.parametrize(
    ("given", "body", "words"),
    [
        ({}, None, "filename is needed"),
        ({"filename": "a", "name": "b"}, None, "the parameters are filename, size"),
        ({"filename": "a", "size": "-1"}, None, "size must be a number"),
        ({"filename": "a", "size": "9" * 30}, None, "size must be a number"),
        ({"filename": "a" * 5000}, None, "more than 4096 characters"),
        ({"filename": "a"}, 1, "one object, or a list"),
        ({"filename": "a"}, [1], "one object, or a list"),
        ({"filename": "a"}, [{}] * (MAX_POLICIES + 1), "at most 50"),
    ],
)
def test_a_question_without_sense_is_refused(given: dict[str, str], body: object, words: str) -> None:
    sent = orjson.dumps(body) if body is not None else b""
    status, text = answer(Bench().current, (given, sent), known=True)
    said = text.decode()
    assert status == HTTPStatus.BAD_REQUEST
    assert words in said


def test_policies_that_are_not_json_are_refused() -> None:
    status, said = answer(Bench().current, ({"filename": "a"}, b"{"), known=True)
    assert (status, said) == (HTTPStatus.BAD_REQUEST, b"the policies must be JSON\n")


def test_nobody_is_told_before_the_policies_are_known() -> None:
    status, said = Bench().asks(filename="a", known=False)
    assert status == HTTPStatus.CONFLICT
    assert "has not read the policies yet" in said


def test_nothing_is_loaded_while_policies_are_off() -> None:
    program = (
        "import sys, uploadpp.ownership.app\n"
        "found = [n for n in sys.modules if n.startswith(('cel_expr_python', 'uploadpp.policies'))]\n"
        "print(found)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
