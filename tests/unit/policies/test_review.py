"""What the API server is told before it stores a policy."""

from typing import Any

import pytest

from uploadpp.core.config import Config
from uploadpp.policies.review import ReviewError, review

GOOD = {"name": "one", "match": "file.size > 1", "steps": [{"name": "virusscan"}]}
BAD = {"name": "bad", "match": "foo"}


def asked(*rules: object, **request: object) -> dict[str, Any]:
    policy = {"metadata": {"name": "default"}, "spec": {"rules": list(rules)}}
    return {
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "request": {"uid": "u1", "operation": "CREATE", "object": policy, **request},
    }


def test_a_policy_that_can_be_used_is_stored() -> None:
    assert review(asked(GOOD)) == {
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "response": {"uid": "u1", "allowed": True},
    }


def test_a_policy_with_errors_is_refused_with_all_of_them() -> None:
    response = review(asked(GOOD, BAD, {"name": "worse", "match": "file.size == 'a'"}))["response"]
    assert response["allowed"] is False
    assert response["status"]["code"] == 422
    message = response["status"]["message"]
    assert message.startswith("this PostprocessingPolicy cannot be used: rule bad: match: character 1: foo")
    assert "rule worse: match: character 11: ==" in message


def test_a_step_that_is_not_configured_is_a_warning() -> None:
    response = review(asked(GOOD), Config())["response"]
    assert response["allowed"] is True
    (warning,) = response["warnings"]
    assert warning.startswith("rule one: the operator is not configured with the step virusscan")
    assert len(warning) <= 256


@pytest.mark.parametrize(
    "request_", [{"operation": "DELETE", "object": None}, {"operation": "UPDATE", "subResource": "status"}]
)
def test_what_changes_no_rule_is_allowed(request_: dict[str, object]) -> None:
    assert review(asked(BAD, **request_))["response"]["allowed"] is True


def test_labels_of_a_policy_with_an_error_can_be_changed() -> None:
    body = asked(BAD, operation="UPDATE")
    body["request"]["oldObject"] = body["request"]["object"]
    assert review(body)["response"]["allowed"] is True
    body["request"]["oldObject"] = asked(GOOD)["request"]["object"]
    assert review(body)["response"]["allowed"] is False


@pytest.mark.parametrize(
    "body",
    [
        None,
        [],
        {},
        {"kind": "AdmissionReview"},
        {"kind": "AdmissionReview", "request": {}},
        {"kind": "AdmissionReview", "request": {"uid": ""}},
        {"kind": "AdmissionReview", "request": {"uid": 5}},
        {"kind": "Pod", "request": {"uid": "u1"}},
    ],
)
def test_anything_else_is_an_error(body: object) -> None:
    with pytest.raises(ReviewError, match="not an AdmissionReview with a uid"):
        review(body)


@pytest.mark.parametrize("odd", [5, "x", [], {"spec": 5}, {"spec": {"rules": [5]}}])
def test_an_odd_object_has_an_answer(odd: object) -> None:
    assert review(asked(object=odd))["response"]["uid"] == "u1"
