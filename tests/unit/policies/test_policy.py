"""Policies as they are read: whatever a server could store is read, and what is wrong is named."""

from dataclasses import replace
from typing import Any

import pytest

from uploadpp.api.policy import PolicyMode
from uploadpp.core.config import Config
from uploadpp.core.model import Millis, PolicyRef, StepPlan
from uploadpp.core.policy import PolicyAction
from uploadpp.core.states import OnExhausted, OnTooLarge, RequiredResult
from uploadpp.policies.expression import ExpressionError, Facts
from uploadpp.policies.policy import Policy, Problem, ProblemReason, read_policy

SCAN = StepPlan(name="virusscan", timeout=Millis(60_000), max_retries=3, on_exhausted=OnExhausted.HOLD)
CONFIG = Config(
    steps=(SCAN,),
    other_step=StepPlan(name="other", max_retries=7, max_backoff=Millis(50_000)),
)


def resource(*rules: object, **spec: object) -> dict[str, Any]:
    return {"metadata": {"name": "default", "generation": 4}, "spec": {**spec, "rules": list(rules)}}


def read(*rules: object, **spec: object) -> Policy:
    return read_policy(resource(*rules, **spec), CONFIG)


def test_a_policy_is_what_it_says() -> None:
    policy = read(
        {"name": "videos", "match": 'file.extension == "mp4"', "action": "Hold", "priorityClass": "low"},
        {"name": "rest"},
        order=-3,
        mode="DryRun",
    )
    assert (policy.name, policy.generation, policy.order, policy.mode) == (
        "default",
        4,
        -3,
        PolicyMode.DRY_RUN,
    )
    videos, rest = policy.rules
    assert (videos.action, videos.plan, videos.priority_class) == (PolicyAction.HOLD, None, "low")
    assert videos.text == 'file.extension == "mp4"'
    assert videos.matches(Facts(extension="mp4"))
    assert not videos.matches(Facts())
    assert (rest.action, rest.text, rest.matches(Facts())) == (PolicyAction.RUN, "", True)
    assert policy.problems == ()
    assert (policy.is_ready, policy.reason, policy.message) == (True, "Accepted", "")
    assert policy.ref(rest) == PolicyRef("default", 4, "rest")


def test_a_step_takes_what_it_does_not_set_from_the_configuration() -> None:
    steps = [
        {"name": "virusscan", "maxRetries": 1, "requireResult": "Scan"},
        {"name": "delay", "delaySeconds": 3},
        {"name": "transcode", "maxFilesize": 10, "onTooLarge": "Hold", "stallAfterSeconds": 9},
    ]
    (rule,) = read({"name": "all", "steps": steps}).rules
    assert rule.plan == (
        StepPlan(
            name="virusscan",
            timeout=Millis(60_000),
            max_retries=1,
            on_exhausted=OnExhausted.HOLD,
            require_result=RequiredResult.SCAN,
        ),
        StepPlan(name="delay", delay=Millis(3000), max_retries=7, max_backoff=Millis(50_000)),
        StepPlan(
            name="transcode",
            max_retries=7,
            max_backoff=Millis(50_000),
            max_filesize=10,
            on_too_large=OnTooLarge.HOLD,
            stall_after=Millis(9000),
        ),
    )


def test_a_step_with_settings_of_its_own_is_configured() -> None:
    config = replace(CONFIG, unlisted_steps=(StepPlan(name="transcode", max_retries=3),))
    policy = read_policy(resource({"name": "all", "steps": [{"name": "transcode"}]}), config)
    assert policy.problems == ()
    assert policy.rules[0].plan == config.unlisted_steps


def test_a_priority_class_that_nobody_configured_is_a_warning() -> None:
    policy = read({"name": "all", "priorityClass": "bulk"})
    (problem,) = policy.problems
    assert problem.reason is ProblemReason.UNKNOWN_PRIORITY_CLASS
    assert "no priority class bulk, so uploads count as normal; use one of high, low, normal" in problem.text
    assert policy.is_ready
    assert policy.rules[0].priority_class == "bulk"


def test_an_unconfigured_step_is_a_warning() -> None:
    policy = read({"name": "all", "steps": [{"name": "transcode"}, {"name": "virusscan"}]})
    (problem,) = policy.problems
    assert (problem.rule, problem.reason, problem.is_warning) == ("all", ProblemReason.UNKNOWN_STEP, True)
    assert policy.is_ready
    assert policy.reason == "UnknownStep"
    assert policy.message.startswith("rule all: the operator is not configured with the step transcode")


def test_skip_has_no_steps() -> None:
    policy = read({"name": "none", "action": "Skip"})
    assert policy.rules[0].plan == ()
    assert policy.is_ready


def test_a_wrong_expression_is_named_and_has_no_answer() -> None:
    policy = read({"name": "good"}, {"name": "bad", "match": "foo", "steps": [{"name": "virusscan"}]})
    (problem,) = policy.problems
    assert (problem.rule, problem.reason) == ("bad", ProblemReason.INVALID_EXPRESSION)
    assert not policy.is_ready
    assert policy.reason == "InvalidExpression"
    assert policy.message.startswith("rule bad: match: character 1: foo is not known")
    with pytest.raises(ExpressionError, match="foo is not known"):
        policy.rules[1].matches(Facts())


@pytest.mark.parametrize(
    ("fields", "fault"),
    [
        (
            {"action": "Skip", "steps": [{"name": "virusscan"}]},
            "a rule with the action Skip cannot have steps",
        ),
        ({"steps": [{"name": "a"}, {"name": "a"}]}, "steps: a is listed more than once"),
        ({"steps": [{"name": "finished"}]}, "steps: finished is a reserved word"),
        (
            {"steps": [{"name": "a", "backoffSeconds": 60}]},
            "steps: backoffSeconds of a is longer than maxBackoffSeconds, which is 50; set both",
        ),
    ],
)
def test_a_rule_that_cannot_be_carried_out_has_a_fault(fields: dict[str, Any], fault: str) -> None:
    policy = read({"name": "one", **fields})
    (rule,) = policy.rules
    assert fault in rule.fault
    assert rule.matches(Facts())
    problem = next(each for each in policy.problems if not each.is_warning)
    assert (problem.reason, problem.text) == (ProblemReason.INVALID_RULE, rule.fault)
    assert policy.reason == "InvalidRule", "errors come before warnings"


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"action": "Delete"}, "action: "),
        ({"steps": []}, "steps: "),
        ({"steps": [{"name": "a b"}]}, "steps.0.name: "),
        ({"steps": [{"name": "a", "maxRetries": -1}]}, "steps.0.maxRetries: "),
        ({"steps": "virusscan"}, "steps: "),
        ({"match": 5}, "match: "),
        ({"match": ""}, "match: "),
        ({"until": "tomorrow"}, "until: "),
        ({"priorityClass": "A B"}, "priorityClass: "),
    ],
)
def test_a_rule_that_cannot_be_read_has_an_error(fields: dict[str, Any], error: str) -> None:
    policy = read({"name": "one", **fields}, {"name": "two"})
    one, two = policy.rules
    assert one.error.startswith(error)
    assert not two.error
    assert policy.reason == "InvalidRule"
    with pytest.raises(ExpressionError):
        one.matches(Facts())


def test_the_second_of_two_rules_with_one_name_has_a_fault() -> None:
    policy = read({"name": "one", "match": "true"}, {"name": "one"})
    assert [rule.fault for rule in policy.rules] == [
        "",
        "another rule has the same name; give every rule a name of its own",
    ]


@pytest.mark.parametrize(
    "odd",
    [
        {},
        {"metadata": None, "spec": None},
        {"metadata": {"name": 5, "generation": "x"}, "spec": {"rules": []}},
        {"metadata": [], "spec": "x"},
        {"spec": {"rules": {}}},
        {"spec": {"rules": [{}] * 65}},
        {"spec": {"rules": [{"name": "a"}], "mode": "Try"}},
        {"spec": {"rules": [{"name": "a"}], "order": "first"}},
        {"spec": {"rules": [{"name": "a"}], "until": 1}},
        {"spec": {"rules": [{"name": "a"}], 5: 1}},
    ],
)
def test_what_cannot_be_read_at_all_is_one_rule_that_has_no_answer(odd: dict[str, Any]) -> None:
    policy = read_policy(odd, CONFIG)
    (rule,) = policy.rules
    (problem,) = policy.problems
    assert (problem.rule, problem.text) == ("", rule.error)
    assert policy.mode is PolicyMode.ENFORCE
    assert policy.message == rule.error
    assert policy.name
    assert rule.name
    with pytest.raises(ExpressionError):
        rule.matches(Facts())


@pytest.mark.parametrize("odd", [None, 5, "x", [], {"name": 5}, {"name": "x" * 100}, {"name": "\x1b[31m"}])
def test_an_odd_rule_is_read(odd: object) -> None:
    policy = read(odd)
    (rule,) = policy.rules
    assert rule.error
    assert 0 < len(rule.name) <= 63
    assert policy.message.isprintable()


def test_the_message_is_cut() -> None:
    policy = read(*({"name": f"r{n}", "match": "foo"} for n in range(64)))
    assert len(policy.problems) == 64
    assert len(policy.message) == 1024


def test_a_problem_names_its_rule() -> None:
    reason = ProblemReason.INVALID_RULE
    assert str(Problem(rule="one", reason=reason, text="wrong")) == "rule one: wrong"
    assert str(Problem(rule="", reason=reason, text="wrong")) == "wrong"
