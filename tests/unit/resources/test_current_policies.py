"""The policies that are in force, what they say of uploads, and what people are told who ask."""

import asyncio
import subprocess
import sys
from http import HTTPStatus
from itertools import pairwise
from typing import Any

import orjson
import pytest

from uploadpp.core.config import Config
from uploadpp.core.model import FileInfo, Millis, Origin, PolicyRef
from uploadpp.core.policy import PolicyAction
from uploadpp.policies import policy as policy_module
from uploadpp.policies import rule_limit
from uploadpp.policies.expression import Expression, compile_expression
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
        self.take(*resources)

    def take(self, *resources: dict[str, Any]) -> None:
        asyncio.run(self.current.take([*resources]))

    def choose(self, filename: str) -> Any:  # noqa: ANN401 -- what they say
        origin = Origin(filename=orjson.dumps(filename).decode(), filesize="10")
        judged = self.current.choose(origin, FileInfo(filename=filename, filesize=10))
        self.current.count(judged.matched)
        return judged.choice

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
    bench.take(policy("p", VIDEOS, generation=2))
    assert bench.choose("a.mp4").ref == PolicyRef("p", 2, "videos")
    assert bench.choose("a.txt") is None
    assert bench.current.judge("q") is None
    judged = bench.current.judge("p")
    assert judged is not None
    assert (judged.generation, judged.ready, judged.reason, judged.message) == (2, True, "Accepted", "")
    bench.take()
    assert bench.choose("a.mp4") is None


def test_an_upload_of_a_policy_that_is_gone_is_not_counted() -> None:
    bench = Bench(policy("p", VIDEOS))
    bench.current.count([PolicyRef("q", 1, "all"), PolicyRef("p", 1, "videos")])
    assert bench.counts.of("q") == {}
    assert bench.counts.of("p") == {"videos": Matched(1, NOW)}


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
    found = unknown.choose(Origin(), FileInfo()).choice
    assert found is not None
    assert found.action is PolicyAction.HOLD
    assert "Report" in found.message
    assert "not known" in caplog.text


@pytest.fixture
def compiled(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The expressions that were compiled."""
    found: list[str] = []

    def counting(text: str) -> Expression:
        found.append(text)
        return compile_expression(text)

    monkeypatch.setattr(policy_module, "compile_expression", counting)
    return found


def sized(number: int) -> dict[str, Any]:
    """A policy with four rules."""
    rules = [rule(f"r{each}", f"file.size == 7{number}{each}") for each in range(4)]
    return policy(f"p{number}", *rules, order=number)


def test_a_policy_that_has_not_changed_is_compiled_once(compiled: list[str]) -> None:
    bench = Bench(policy("p", VIDEOS), policy("q", rule("typo", "file.siez > 1")))
    assert len(compiled) == 2
    bench.take(policy("p", VIDEOS), policy("q", rule("size", "file.size > 1"), generation=2))
    assert compiled[2:] == ["file.size > 1"]
    assert bench.choose("a.mp4").ref == PolicyRef("p", 1, "videos")
    # Where etcd was put back, a version comes a second time, with another spec.
    bench.take(policy("p", rule("other", "file.size > 2")))
    assert compiled[3:] == ["file.size > 2"]
    assert bench.choose("a.mp4").ref == PolicyRef("p", 1, "other")


async def test_everything_else_goes_on_while_policies_are_compiled(compiled: list[str]) -> None:
    """All of them at once took seconds, in which neither a probe nor a Lease was answered."""
    current = CurrentPolicies(CONFIG, Metrics().policies, PolicyCounts(lambda: NOW))
    await current.take([policy("old", rule("all", action="Skip"))])
    origin, file = Origin(filename='"a"', filesize="10"), FileInfo(filename="a", filesize=10)
    taking = asyncio.create_task(current.take([*map(sized, range(5)), policy("new", rule("all"), order=9)]))
    seen = []
    while not taking.done():
        judged = current.choose(origin, file).choice
        seen.append((len(compiled), judged.ref.name if judged is not None else ""))
        await asyncio.sleep(0)
    numbers = [number for number, _ in seen]
    assert all(after - before <= 1 for before, after in pairwise(numbers))
    assert {name for number, name in seen if number < 20} == {"old"}
    judged = current.choose(origin, file).choice
    assert judged is not None
    assert judged.ref == PolicyRef("new", 1, "all")


def test_what_is_beyond_the_limit_is_not_compiled_and_holds(
    compiled: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    size = policy_module.PolicyReader(sized(1), Config()).characters
    monkeypatch.setattr(rule_limit, "MOST_CHARACTERS", 2 * size)
    bench = Bench(sized(3), policy("p4", VIDEOS, order=4), sized(2), sized(1))
    assert len(compiled) == 8
    good = bench.current.judge("p2")
    assert good is not None
    assert (good.ready, good.reason) == (True, "Accepted")
    said = bench.current.judge("p3")
    assert said is not None
    assert (said.ready, said.reason) == (False, "LimitExceeded")
    assert said.message == (
        f"its rules and those of the policies before it have {3 * size} characters, and {2 * size} are "
        "allowed; delete or shorten rules"
    )
    held = bench.choose("a.mp4")
    assert (held.action, held.ref) == (PolicyAction.HOLD, PolicyRef("p3", 1, "unnamed"))
    assert held.message.startswith(f"policy p3 cannot be used: {said.message}")
    assert 'uploadpp_policies{ready="false"} 2.0' in bench.metrics.text().decode()
    # Once there is room, the rules count, and those before them are not compiled again.
    bench.take(sized(3), policy("p4", VIDEOS, order=4), sized(2))
    assert len(compiled) == 12
    bench.take(policy("p4", VIDEOS, order=4), sized(2))
    assert bench.choose("a.mp4").ref == PolicyRef("p4", 1, "videos")


def test_a_policy_that_is_not_read_to_its_end_holds() -> None:
    reader = policy_module.PolicyReader(sized(1), Config())
    next(iter(reader.read()))
    assert not reader.policy.is_ready
    assert reader.policy.rules[0].error == "its rules have not been read"


@pytest.mark.parametrize("spec", [{}, {"rules": 5}, {"rules": [VIDEOS], "order": "first"}])
def test_what_cannot_be_read_holds_and_does_not_count(spec: dict[str, Any]) -> None:
    broken = {"metadata": {"name": "b", "uid": "b", "generation": 1}, "spec": spec}
    bench = Bench(broken)
    assert bench.choose("a.mp4").action is PolicyAction.HOLD
    assert policy_module.PolicyReader(broken, Config()).characters == 0


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
