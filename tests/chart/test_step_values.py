"""Values of step services: what is refused, what counts more, and what the notes say."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from e2e.cluster.helm import CHART, Helm
from e2e.paths import REPO
from tests.chart.rendering import NAMESPACE, PRODUCTION, RELEASE, Object, container, of_kind, refusal, render
from tests.chart.stepvalues import PLAIN, deployments, pod, step, the_service, variables
from tests.chart.test_missing_values import older_chart

KEY = {"sealingKey": {"existingSecret": "sealing"}}

# -- Values -------------------------------------------------------------------------------------

CLAMD = {"virusscan": {"clamd": "tcp:clamd:3310"}}
POLICY = {"policies": {"rules": [{"outcome": "delete", "name": "*.exe"}]}}
FROM = {"storageCheck": {"from": ["https://ocis:9200/data/"]}}
REFUSED = [
    (each["values"], each["message"])
    for each in yaml.safe_load((Path(__file__).parent / "data/step-refusals.yaml").read_text())
]


@pytest.mark.parametrize(("values", "message"), REFUSED, ids=[message for _, message in REFUSED])
def test_what_cannot_work_is_refused_by_name(values: Object, message: str) -> None:
    assert message in refusal(values)


def test_without_step_services_nothing_of_them_is_made() -> None:
    assert render({"stepServices": {}}) == render({})
    assert render({"stepServices": {"x": None}}) == render({})


def test_defaults_count_for_all_and_an_entry_counts_more() -> None:
    """Also what Go calls empty: `false`, 0 and the empty word."""
    values = {
        "stepServiceDefaults": {
            "replicas": 2,
            "concurrency": 3,
            "startWith": "all",
            "autoscaling": {"enabled": True},
            "nodeSelector": {"disk": "fast"},
            "resources": {"limits": {"memory": "1Gi"}},
        },
        "stepServices": {
            "a": POLICY,
            "b": {
                **POLICY,
                "replicas": 0,
                "autoscaling": {"enabled": False},
                "resources": {"requests": None},
            },
        },
    }
    objects = render(values)
    a, b = deployments(objects).values()
    assert ("replicas" in a["spec"], b["spec"]["replicas"]) == (False, 0)
    assert [
        each["metadata"]["labels"]["uploadpp.io/step"] for each in of_kind(objects, "HorizontalPodAutoscaler")
    ] == ["a"]
    assert pod(a)["nodeSelector"] == {"disk": "fast"}
    assert step(a)["resources"] == {"limits": {"memory": "1Gi"}, "requests": {"cpu": "50m", "memory": "96Mi"}}
    assert step(b)["resources"] == {"limits": {"memory": "1Gi"}}
    assert variables(a)["UPLOADPP_STEP_CONCURRENCY"] == variables(b)["UPLOADPP_STEP_CONCURRENCY"] == "3"
    assert variables(b)["UPLOADPP_STEP_TIMEOUT"] == "300s"


def test_users_that_are_left_to_the_cluster_are_left_to_it_here_too() -> None:
    open_shift = {"podSecurityContext": {"runAsUser": None, "runAsGroup": None, "fsGroup": None}}
    for deployment in deployments(render(PLAIN | open_shift)).values():
        assert pod(deployment)["securityContext"] == {
            "runAsNonRoot": True,
            "seccompProfile": {"type": "RuntimeDefault"},
        }
        (credentials,) = [each for each in pod(deployment)["volumes"] if each["name"] == "credentials"]
        assert credentials["projected"]["defaultMode"] == 0o444


def test_an_older_release_may_be_upgraded_with_its_values_and_one_service(tmp_path: Path) -> None:
    """`--reuse-values` has neither the new groups nor their defaults."""
    chart = older_chart(tmp_path, ("stepServices",), ("stepServiceDefaults",), ("externalSteps",))
    given = KEY | the_service(CLAMD, stepServiceDefaults={"replicas": 2})
    assert Helm(NAMESPACE).render(RELEASE, given, chart) == Helm(NAMESPACE).render(RELEASE, given)


@pytest.mark.parametrize(
    "text", ["x\nhostNetwork: true", 'x"\nhostNetwork: true', "{{ .Release.Name }}", "x: y # &z"]
)
def test_what_is_written_stays_text(text: str) -> None:
    """In rules, commands and variables: it adds no field and is not a template."""

    def values(word: str) -> Object:
        named = {"outcome": "abort", "name": [word], "message": word}
        return {
            "stepServices": {
                "p": {"policies": {"rules": [named]}, "podAnnotations": {"a": word}},
                "c": {"command": {"exec": word}, "extraEnv": [{"name": "A", "value": word}]},
                "o": {"program": {"command": [word]}, "image": {"repository": "own", "tag": "1"}},
            }
        }

    objects = render(values(text))
    (config,) = of_kind(objects, "ConfigMap")
    assert yaml.safe_load(config["data"]["rules.yaml"])["rules"][0]["message"] == text
    found = deployments(objects)
    assert variables(found["c"])["UPLOADPP_STEP_EXEC"] == variables(found["c"])["A"] == text
    assert step(found["o"])["command"] == [text]
    assert "hostNetwork" not in {key for each in found.values() for key in pod(each)}


def test_a_parent_chart_has_step_services_with_its_registry() -> None:
    objects = render(PLAIN | {"global": {"imageRegistry": "mirror:5000", "imagePullSecrets": ["a"]}})
    found = deployments(objects)
    images = {
        each["image"]
        for name in found
        for each in [*pod(found[name]).get("initContainers", []), step(found[name])]
    }
    assert images == {
        "mirror:5000/clamav/clamav:1.4",
        "mirror:5000/uploadpp/upload-postprocessing:0.1.0",
        "mirror:5000/registry/own:2",
    }
    assert all(pod(each)["imagePullSecrets"] == [{"name": "a"}] for each in found.values())


# -- Notes --------------------------------------------------------------------------------------


def notes(**values: Any) -> str:  # noqa: ANN401 -- values
    """What `helm install` says."""
    said = Helm(NAMESPACE)("install", RELEASE, str(CHART), "--dry-run=client", values=KEY | values)
    return said.split("\nNOTES:\n")[1]


def test_the_notes_name_steps_without_service_and_services_without_step() -> None:
    said = notes(
        steps=[
            {"name": "virusscan"},
            {"name": "policies"},
            {"name": "own"},
            {"name": "theirs"},
            {"name": "delay"},
        ],
        stepServices={"policies": POLICY, "spare": POLICY},
        externalSteps=["theirs"],
        **FROM,
    )
    named = [line for line in said.splitlines() if line.startswith("* ")]
    assert [line.split(".")[0] for line in named[:2]] == [
        "* NOBODY IN THIS RELEASE SERVES virusscan",
        "* NOBODY IN THIS RELEASE SERVES own",
    ]
    assert named[2].startswith("* stepServices.spare serves spare, which is not in steps")
    assert len(named) == 3
    assert "antivirus of ocis" in said


def test_the_notes_say_when_a_service_works_longer_than_the_operator_waits() -> None:
    service = {"stepServices": {"x": POLICY}, **FROM}
    said = notes(steps=[{"name": "x", "timeoutSeconds": 300}], **service)
    assert "timeoutSeconds of the step be more than stepServices.x.timeoutSeconds" in said
    assert "\n* " not in notes(steps=[{"name": "x", "timeoutSeconds": 301}], **service)
    said = notes(steps=[{"name": "x", "stallAfterSeconds": 300}], **service)
    assert "an upload counts as stalled after 300 s, and its service works up to 300 s" in said
    assert "counts as stalled after 200 s" in notes(steps=[{"name": "x"}], stallAfterSeconds=200, **service)
    outside: Object = {key: PRODUCTION[key] for key in ("steps", "delaySeconds")}
    assert "\n* " not in notes(**outside, externalSteps=["virusscan", "policies"])


def test_the_notes_say_when_steps_download_from_anywhere() -> None:
    served: Object = {"steps": [{"name": "x"}], "stepServices": {"x": POLICY}}
    assert "\n* storageCheck.from is empty" in notes(**served)
    assert "\n* " not in notes(**served, **FROM)


PAGE = REPO / "docs" / "step-services.md"


def test_the_page_about_step_services_can_be_copied() -> None:
    """Each of its values works, and leaves no step without service."""
    found = re.findall(r"^```yaml\n(# values\.yaml of .*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    assert len(found) > 5
    for block in found:
        values = yaml.safe_load(block)
        services = deployments(render(values))
        served = {variables(each)["UPLOADPP_STEP_NAME"] for each in services.values()}
        assert served == {each["name"] for each in values.get("steps", [])}, block


def test_the_operator_is_as_before() -> None:
    assert container(render({})) == next(
        each["spec"]["template"]["spec"]["containers"][0]
        for each in of_kind(render(PLAIN | {"steps": []}), "Deployment")
        if each["metadata"]["name"] == f"{RELEASE}-upload-postprocessing"
    )
