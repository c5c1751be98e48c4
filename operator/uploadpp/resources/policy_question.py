"""What would become of an upload: the answer to `kubectl pp policy test`.

Whoever reaches the port may ask. The answer names rules and says which of them match, but not their
expressions: those are for people who may read the policies.
"""

from http import HTTPStatus
from typing import Any

import orjson

from uploadpp.api.plan import hidden_steps
from uploadpp.core.policy import PolicyAction
from uploadpp.core.text import clean
from uploadpp.pipeline.ports import Json
from uploadpp.policies.facts import Facts, named
from uploadpp.policies.policy_set import Considered
from uploadpp.process.health import Question
from uploadpp.resources.current_policies import CurrentPolicies

MAX_POLICIES = 50
MAX_TEXT = 4096
IDS = {"user": "user_id", "space": "space_id", "storage": "storage_id", "initiator": "initiator_id"}
"""The parameters of a question, and the facts that they are."""
PARAMETERS = ("filename", "size", *IDS)


class _QuestionError(ValueError):
    """A question that cannot be answered; the text says why."""


def answer(policies: CurrentPolicies, question: Question, *, known: bool) -> tuple[HTTPStatus, bytes]:
    """The status and body of the response."""
    if not known:
        return HTTPStatus.CONFLICT, b"the operator has not read the policies yet; its /readyz says why\n"
    try:
        facts, others = _facts(question[0]), _policies(question[1])
    except _QuestionError as error:
        return HTTPStatus.BAD_REQUEST, f"{error}\n".encode()
    return HTTPStatus.OK, orjson.dumps(_answer(policies, facts, others))


def _facts(given: dict[str, str]) -> Facts:
    unknown = given.keys() - set(PARAMETERS)
    if unknown or not given.get("filename"):
        raise _QuestionError(f"the parameters are {', '.join(PARAMETERS)}; filename is needed")
    if any(len(value) > MAX_TEXT for value in given.values()):
        raise _QuestionError(f"a parameter has more than {MAX_TEXT} characters")
    size = given.get("size") or "0"
    if not (size.isascii() and size.isdigit() and len(size) < len(str(2**63))):
        raise _QuestionError("size must be a number of bytes")
    ids = {field: given.get(name, "") for name, field in IDS.items()}
    return named(given["filename"], size=int(size), **ids)


def _policies(body: bytes) -> list[Json]:
    """The policies to ask instead of those of their names in the cluster: one object, or a list."""
    if not body:
        return []
    try:
        given = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise _QuestionError("the policies must be JSON") from None
    found = given.get("items", [given]) if isinstance(given, dict) else given
    if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
        raise _QuestionError("the policies must be one object, or a list of them")
    if len(found) > MAX_POLICIES:
        raise _QuestionError(f"at most {MAX_POLICIES} policies can be asked at once")
    return found


def _answer(policies: CurrentPolicies, facts: Facts, others: list[Json]) -> Json:
    config = policies.config
    would = policies.would(facts, others)
    choice = would.verdict.choice
    plan = choice.plan if choice is not None and choice.plan is not None else config.steps
    result: Json = {"action": str(choice.action if choice is not None else PolicyAction.RUN)}
    if choice is not None:
        result["policy"] = {
            "name": choice.ref.name,
            "rule": choice.ref.rule,
            "generation": choice.ref.generation,
        }
        if choice.message:
            result["message"] = choice.message
        if choice.priority_class:
            result["priorityClass"] = choice.priority_class
    result["steps"] = hidden_steps(plan, always=True)
    return {
        "file": _file(facts),
        "rules": [_rule(each) for each in would.verdict.trace],
        "result": result,
        "problems": [
            {"policy": policy.name, "reason": policy.reason, "message": clean(policy.message)}
            for policy in would.policies
            if policy.problems
        ],
        "policies": len(would.policies),
    }


def _file(facts: Facts) -> Json:
    found: dict[str, Any] = {
        "filename": facts.name,
        "extension": facts.extension,
        "size": facts.size,
        "mimeType": facts.mime_type,
    }
    return found | {name: getattr(facts, field) for name, field in IDS.items()}


def _rule(considered: Considered) -> Json:
    ref = considered.ref
    found = {
        "policy": ref.name,
        "rule": ref.rule,
        "mode": str(considered.mode),
        "result": str(considered.result),
    }
    return found | ({"message": considered.text} if considered.text else {})
