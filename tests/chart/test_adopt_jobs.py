"""The Jobs that take uploads over and give them back: no operator beside them, and rights of their own."""

from typing import Any

import pytest

from tests.chart.rendering import EVERYTHING, PRODUCTION, SETS, Object, of_kind, render, the

JOBS = {"adopt": "adopt", "handBack": "release"}
Rights = set[tuple[str, str]]


def with_job(value: str, values: Object, *arguments: str) -> list[Object]:
    return render({**values, value: {"enabled": True, "args": list(arguments)}})


def rights(role: Object) -> Rights:
    return {
        (resource, verb) for rule in role["rules"] for resource in rule["resources"] for verb in rule["verbs"]
    }


def role_of(objects: list[Object], job: str) -> Object:
    (found,) = [each for each in of_kind(objects, "Role") if each["metadata"]["name"].endswith(f"-{job}")]
    return found


def pod_of(objects: list[Object]) -> Any:  # noqa: ANN401 -- the spec of a Pod
    return the(objects, "Job")["spec"]["template"]["spec"]


@pytest.mark.parametrize("name", SETS)
def test_there_is_no_job_unless_it_is_asked_for(name: str) -> None:
    assert not of_kind(render(SETS[name]), "Job")


@pytest.mark.parametrize("value", JOBS)
@pytest.mark.parametrize("name", SETS)
def test_no_operator_runs_beside_the_job(name: str, value: str) -> None:
    objects = with_job(value, SETS[name])
    assert the(objects, "Deployment")["spec"]["replicas"] == 0
    job = the(objects, "Job")
    assert job["metadata"]["annotations"]["helm.sh/hook"] == "post-install,post-upgrade"
    assert job["spec"]["template"]["spec"]["restartPolicy"] == "Never"
    selector = the(objects, "Deployment")["spec"]["selector"]["matchLabels"]
    assert not selector.items() <= job["spec"]["template"]["metadata"]["labels"].items()


@pytest.mark.parametrize("value", JOBS)
def test_it_runs_with_what_the_operator_has(value: str) -> None:
    objects = with_job(value, PRODUCTION, "--dry-run")
    operator = the(objects, "Deployment")["spec"]["template"]["spec"]
    pod = pod_of(objects)
    (own,), (theirs,) = pod["containers"], operator["containers"]
    for each in ("image", "volumeMounts", "securityContext"):
        assert own[each] == theirs[each]
    served = {"UPLOADPP_WEBHOOK_CERT_FILE", "UPLOADPP_WEBHOOK_KEY_FILE"}  # it serves no webhook
    assert own["env"] == [each for each in theirs["env"] if each["name"] not in served]
    sources = operator["volumes"][0]["projected"]["sources"]
    sources[:] = [each for each in sources if each["secret"]["name"] != "webhook"]
    assert pod["volumes"] == operator["volumes"]
    assert own["args"] == [JOBS[value], "--wait=3m", "--dry-run"]


def test_only_an_interruption_is_tried_again() -> None:
    """The exit status says so: 1 is an interruption, and whatever is more needs a person."""
    (rule,) = the(with_job("adopt", {}), "Job")["spec"]["podFailurePolicy"]["rules"]
    assert rule == {"action": "FailJob", "onExitCodes": {"operator": "In", "values": [2, 3, 4]}}


@pytest.mark.parametrize("value", JOBS)
def test_its_rights_are_its_own_and_no_more_than_it_needs(value: str) -> None:
    job = JOBS[value]
    objects = with_job(value, EVERYTHING)
    own = {"adopt": {("uploadpostprocessings", "create"), ("uploadpostprocessings/status", "patch")}}
    expected: Rights = {
        ("uploadpostprocessings", "get"),
        ("uploadpostprocessings", "list"),
        ("leases", "create"),
        ("leases", "get"),
        ("leases", "update"),
    }
    assert rights(role_of(objects, job)) == expected | own.get(job, {("uploadpostprocessings", "delete")})
    account = pod_of(objects)["serviceAccountName"]
    (binding,) = [
        each for each in of_kind(objects, "RoleBinding") if each["metadata"]["name"].endswith(f"-{job}")
    ]
    assert account == binding["subjects"][0]["name"] == binding["roleRef"]["name"]
    assert account != the(objects, "Deployment")["spec"]["template"]["spec"]["serviceAccountName"]


@pytest.mark.parametrize("value", JOBS)
def test_where_others_give_the_rights_it_has_those_of_the_operator(value: str) -> None:
    objects = with_job(value, {"rbac": {"create": False}})
    assert not of_kind(objects, "Role")
    operator = the(objects, "Deployment")["spec"]["template"]["spec"]["serviceAccountName"]
    assert pod_of(objects)["serviceAccountName"] == operator
