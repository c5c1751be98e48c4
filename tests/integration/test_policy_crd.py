"""What the real API server makes of the CRD of policies, and the real kubectl of its columns."""

import json
import re
from typing import Any

import pytest

from e2e.cluster.kubectl import Kubectl, KubectlError
from e2e.cluster.local import LocalCluster
from tests.crds import explained
from uploadpp.api import API_VERSION, POLICY_CRD_NAME, POLICY_KIND
from uploadpp.api.field_types import ApiModel, api_name
from uploadpp.api.policy import (
    MAX_RULES,
    MAX_STEPS,
    PolicyRule,
    PolicyStep,
    PostprocessingPolicySpec,
    PostprocessingPolicyStatus,
)

TERMINAL = 80
NOW = "2026-11-18T11:06:47Z"
EVERYTHING: dict[str, Any] = {
    "order": -5,
    "mode": "DryRun",
    "rules": [
        {
            "name": "big-videos",
            "match": 'file.mimeType.startsWith("video/") && file.size > 1073741824',
            "action": "Hold",
            "steps": [
                {
                    "name": "virusscan",
                    "timeoutSeconds": 600,
                    "stallAfterSeconds": 60,
                    "maxRetries": 3,
                    "backoffSeconds": 5,
                    "maxBackoffSeconds": 5,
                    "onExhausted": "Hold",
                    "delaySeconds": 1,
                    "maxFilesize": 1,
                    "onTooLarge": "Hold",
                    "requireResult": "Scan",
                },
                {"name": "policies"},
            ],
            "priorityClass": "bulk",
        },
        {"name": "others", "action": "Skip"},
    ],
}


def policy(name: str = "default", **spec: Any) -> str:  # noqa: ANN401 -- any JSON
    return json.dumps(
        {"apiVersion": API_VERSION, "kind": POLICY_KIND, "metadata": {"name": name}, "spec": spec}
    )


def rule(**fields: object) -> dict[str, Any]:
    return {"rules": [{"name": "one", **fields}]}


def test_the_crd_is_established_and_without_complaints(cluster: LocalCluster) -> None:
    crd = Kubectl(cluster.kubeconfig).json("get", "crd", POLICY_CRD_NAME)
    conditions = {each["type"]: each["status"] for each in crd["status"]["conditions"]}
    assert conditions["Established"] == "True"
    assert conditions["NamesAccepted"] == "True"
    assert "NonStructuralSchema" not in conditions


def test_everything_that_a_policy_can_say_is_stored(kubectl: Kubectl) -> None:
    kubectl("create", "-f", "-", stdin=policy(**EVERYTHING))
    assert kubectl.json("get", "upppol", "default")["spec"] == EVERYTHING


def test_what_is_absent_has_its_default(kubectl: Kubectl) -> None:
    kubectl("create", "-f", "-", stdin=policy(**rule()))
    assert kubectl.json("get", "upppol", "default")["spec"] == {"order": 0, "mode": "Enforce", **rule()}


def test_a_policy_may_be_as_large_as_its_limits(kubectl: Kubectl) -> None:
    steps = [{"name": f"s{n:02}-{'x' * 59}"} for n in range(MAX_STEPS)]
    rules = [{"name": f"r{n:02}-{'x' * 59}", "match": "x" * 1024, "steps": steps} for n in range(MAX_RULES)]
    kubectl("create", "-f", "-", stdin=policy(rules=rules))


@pytest.mark.parametrize(
    ("spec", "complaint"),
    [
        ({}, "spec.rules: Required value"),
        ({"rules": []}, "spec.rules: Invalid value"),
        ({"rules": [{"name": f"r{n}"} for n in range(65)]}, "spec.rules: Too many"),
        ({"rules": [{"name": "a"}, {"name": "a"}]}, "every rule needs a name of its own"),
        ({"rules": [{"name": "Big"}]}, "spec.rules[0].name: Invalid value"),
        ({"rules": [{}]}, "spec.rules[0].name: Required value"),
        ({"order": "first", **rule()}, "spec.order: Invalid value"),
        ({"mode": "Try", **rule()}, "spec.mode: Unsupported value"),
        (rule(match=""), "spec.rules[0].match: Invalid value"),
        (rule(match="x" * 1025), "spec.rules[0].match: Too long"),
        (rule(action="Delete"), "spec.rules[0].action: Unsupported value"),
        (rule(action="Skip", steps=[{"name": "virusscan"}]), "a rule with the action Skip runs no steps"),
        (rule(steps=[]), "spec.rules[0].steps: Invalid value"),
        (rule(steps=[{"name": "a"}, {"name": "a"}]), "spec.rules[0].steps[1]: Duplicate value"),
        (rule(steps=[{"name": "finished"}]), "finished is a reserved word"),
        (rule(steps=[{"name": "a b"}]), "spec.rules[0].steps[0].name: Invalid value"),
        (rule(steps=[{"name": "a", "maxRetries": -1}]), "spec.rules[0].steps[0].maxRetries: Invalid value"),
        (
            rule(steps=[{"name": "a", "backoffSeconds": 2, "maxBackoffSeconds": 1}]),
            "backoffSeconds must not be greater than maxBackoffSeconds",
        ),
        (rule(priorityClass="Not a class"), "spec.rules[0].priorityClass: Invalid value"),
    ],
)
def test_what_makes_no_sense_is_refused_with_the_field(
    kubectl: Kubectl, spec: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(KubectlError, match=re.escape(complaint)):
        kubectl("create", "-f", "-", stdin=policy(**spec))


def test_columns_fit_a_terminal(kubectl: Kubectl) -> None:
    name = "a-name-as-long-as-the-id-of-an-upload"
    kubectl("create", "-f", "-", stdin=policy(name, **EVERYTHING))
    condition = {
        "type": "Ready",
        "status": "False",
        "reason": "InvalidExpression",
        "message": "rule big-videos: character 1: foo is not known",
        "lastTransitionTime": NOW,
    }
    status = {
        "observedGeneration": 1,
        "matched": 1234567,
        "conditions": [condition],
        "rules": [{"name": "others", "matched": 1234567, "lastMatchedTime": NOW}],
    }
    patch = json.dumps({"status": status})
    kubectl("patch", "upppol", name, "--subresource=status", "--type=merge", f"--patch={patch}")
    table = kubectl("get", "upppol")
    assert table.splitlines()[0].split() == ["NAME", "ORDER", "MODE", "READY", "MATCHED", "AGE"]
    assert table.splitlines()[1].split()[:5] == [name, "-5", "DryRun", "False", "1234567"]
    assert max(map(len, table.splitlines())) <= TERMINAL
    head, line = kubectl("get", "upppol", "--output=wide").splitlines()
    assert head.split()[6:] == ["RULES", "REASON", "MESSAGE"]
    assert "InvalidExpression" in line
    assert "rule big-videos: character 1" in line
    assert kubectl.json("get", "upppol", name)["status"] == status


@pytest.mark.parametrize(
    ("path", "fields"),
    [
        ("upppol.spec", PostprocessingPolicySpec),
        ("upppol.spec.rules", PolicyRule),
        ("upppol.spec.rules.steps", PolicyStep),
        ("upppol.status", PostprocessingPolicyStatus),
    ],
)
def test_kubectl_explains_every_field(kubectl: Kubectl, path: str, fields: type[ApiModel]) -> None:
    text = explained(kubectl, path)
    for name, field in fields.model_fields.items():
        assert re.search(rf"^  {api_name(name)}\t<(.+?)>", text, re.MULTILINE), name
        assert " ".join((field.description or "").split()) in " ".join(text.split()), name
