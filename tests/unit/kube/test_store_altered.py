"""What of a resource counts when the API server has stored another than was written."""

from typing import Any

import pytest

from uploadpp.kube.store import altered_in, difference

WRITTEN: dict[str, Any] = {
    "metadata": {"name": "u1", "labels": {"uploadpp.io/bucket": "07"}},
    "spec": {
        "upload": {"id": "u1", "receivedTime": "t", "filename": "secret.pdf", "userID": "mary"},
        "steps": [{"name": "virusscan", "timeoutSeconds": 5}, {"name": "policies"}],
        "sealed": "abc",
    },
}
STEPS: list[dict[str, Any]] = WRITTEN["spec"]["steps"]


def made(spec: dict[str, Any] | None = None, labels: dict[str, str] | None = None) -> dict[str, Any]:
    """What the API server says that it has stored."""
    meta = {**WRITTEN["metadata"], "labels": {**WRITTEN["metadata"]["labels"], **(labels or {})}}
    return {"metadata": meta, "spec": {**WRITTEN["spec"], **(spec or {})}}


@pytest.mark.parametrize(
    ("spec", "found"),
    [
        ({}, ""),
        ({"sealed": "other"}, "spec.sealed"),
        ({"sealed": None}, "spec.sealed"),
        ({"steps": []}, "spec.steps"),
        ({"steps": None}, "spec.steps"),
        ({"steps": [STEPS[1], STEPS[0]]}, "spec.steps[0].name"),
        ({"steps": [{"name": "virusscan"}, STEPS[1]]}, "spec.steps[0].timeoutSeconds"),
        ({"upload": {"id": "u1", "receivedTime": "later"}}, "spec.upload.receivedTime"),
        ({"upload": {"id": "u1", "receivedTime": "t", "filename": "hidden"}}, ""),
        ({"desiredState": "Suspended"}, ""),
        ({"steps": [{**STEPS[0], "maxRetries": 3}, STEPS[1]]}, "spec.steps[0].maxRetries"),
        ({"steps": [STEPS[0], {**STEPS[1], "maxFilesize": 1}]}, "spec.steps[1].maxFilesize"),
        ({"retryPolicy": {"onExhausted": "Continue", "maxRetries": 0}}, "spec.retryPolicy.maxRetries"),
        ({"stallAfterSeconds": 5}, "spec.stallAfterSeconds"),
        ({"steps": [*STEPS, {"name": "more"}]}, "spec.steps"),
        ({"retryPolicy": {"onExhausted": "AsALaterVersionSays"}}, "spec.retryPolicy.onExhausted"),
        ({"retryPolicy": "a word"}, "spec.retryPolicy"),
        ({"steps": [{**STEPS[0], "ofALaterVersion": 3}, STEPS[1]]}, ""),
        ({"retryPolicy": {"maxRetries": 14, "onExhausted": "Abort"}, "stallAfterSeconds": 600}, ""),
        ({"retryPolicy": {}, "ofALaterVersion": {"maxRetries": 1}}, ""),
    ],
)
def test_what_a_restart_goes_by_must_be_as_it_was_written(spec: dict[str, Any], found: str) -> None:
    assert altered_in(WRITTEN, made(spec)) == found


@pytest.mark.parametrize(
    ("spec", "found"),
    [
        ({"steps": [{"name": "policies"}]}, "spec.steps"),
        ({"retryPolicy": {"maxRetries": 1}}, "spec.retryPolicy.maxRetries"),
        ({"retryPolicy": {"maxRetries": 14}}, ""),
    ],
)
def test_a_plan_that_no_spec_can_list_gets_no_other_one(spec: dict[str, Any], found: str) -> None:
    written = {**WRITTEN, "spec": {"upload": {"id": "u1"}, "sealed": "abc"}}
    assert (
        altered_in(written, {"metadata": WRITTEN["metadata"], "spec": {**written["spec"], **spec}}) == found
    )


def test_labels_that_are_added_or_dropped_mislead_nobody() -> None:
    assert altered_in(WRITTEN, made(labels={"team": "files"})) == ""
    assert altered_in(WRITTEN, {"metadata": {"name": "u1"}, "spec": WRITTEN["spec"]}) == ""
    assert (
        altered_in(WRITTEN, made(labels={"uploadpp.io/bucket": "08"})) == "metadata.labels.uploadpp.io/bucket"
    )


def test_a_field_that_an_older_crd_drops_is_named() -> None:
    written = [{"name": "a", "attempts": 1, "news": 2}]
    assert difference(written, [{"name": "a", "attempts": 1}], "status.steps") == "status.steps[0].news"
