"""A PostprocessingPolicy that nothing has validated, what it says of a file, and what the webhook says of it.

The input is `{"policy": …, "facts": {…}}`; all else counts as a policy.
"""

from typing import Any

import orjson

from tests.fuzz.target import Target
from uploadpp.api.policy import MAX_RULES, PolicyMode
from uploadpp.core.policy import PolicyAction
from uploadpp.core.text import clean
from uploadpp.policies.facts import Facts, named
from uploadpp.policies.policy import read_policy
from uploadpp.policies.policy_set import PolicySet, Verdict
from uploadpp.policies.review import ReviewError, review
from uploadpp.testing.builders import CONFIG

MOST_SAID = 1024


def check(data: bytes) -> None:
    """Fail if something does not hold."""
    try:
        document = orjson.loads(data)
    except ValueError:
        return  # the API server writes JSON
    check_review(document)
    if not isinstance(document, dict):
        return
    resource, facts = document.get("policy", document), _facts(document.get("facts"))
    if isinstance(resource, dict):
        check_policy(resource, facts)
        check_review(
            {"kind": "AdmissionReview", "request": {"uid": "u", "operation": "CREATE", "object": resource}}
        )


def _facts(given: object) -> Facts:
    values = given if isinstance(given, dict) else {}
    size = values.get("size")
    return named(
        str(values.get("name", "")),
        size=size if isinstance(size, int) and size >= 0 else 0,
        user_id=str(values.get("user", "")),
    )


def check_policy(resource: dict[str, Any], facts: Facts) -> None:
    """It can be used, whatever is wrong with it, and always says the same."""
    policy = read_policy(resource, CONFIG)
    assert 0 < len(policy.rules) <= MAX_RULES
    assert policy.message == clean(policy.message)
    assert len(policy.message) <= MOST_SAID
    assert policy.is_ready or policy.reason != "Accepted"
    for rule in policy.rules:
        assert rule.name
        assert rule.name == clean(rule.name)
    policies = PolicySet([policy])
    verdict = policies.choose(facts, explain=True)
    again = PolicySet([read_policy(resource, CONFIG)]).choose(facts, explain=True)
    assert again == verdict
    assert policies.choose(facts) == verdict._replace(trace=())
    check_verdict(verdict, is_dry=policy.mode is PolicyMode.DRY_RUN, is_ready=policy.is_ready)


def check_verdict(verdict: Verdict, *, is_dry: bool, is_ready: bool) -> None:
    """A mistake holds uploads; it never releases one."""
    choice = verdict.choice
    if choice is None:
        return
    assert not is_dry
    assert choice.message == clean(choice.message)
    if choice.message:
        assert not is_ready or "characters" in choice.message or "no answer" in choice.message
        assert choice.action is PolicyAction.HOLD
    if choice.plan is not None and not choice.plan:
        assert choice.action is not PolicyAction.RUN or is_ready


def check_review(body: Any) -> None:  # noqa: ANN401 -- JSON
    """The API server is given an answer that it can read."""
    try:
        answer = review(body, CONFIG)
    except ReviewError:
        return
    assert orjson.dumps(answer)
    response = answer["response"]
    assert response["allowed"] or response["status"]["message"]
    assert review(body, CONFIG) == answer
    if response["allowed"]:
        assert review(body)["response"]["allowed"]


TARGET = Target(check, is_json=True)
