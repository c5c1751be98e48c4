"""What a resource tells of the policy that chose the steps of its upload."""

from typing import Any

import pytest

from uploadpp.api.codec import ALL_SHOWN, InvalidResourceError, from_resource, to_resource, to_status
from uploadpp.api.v1alpha1 import UploadPostprocessing
from uploadpp.core.evolve import evolve
from uploadpp.core.inputs import BytesReceived
from uploadpp.core.model import PolicyRef, StepPlan, Upload
from uploadpp.core.naming import POLICY_ANNOTATION
from uploadpp.core.policy import Choice, PolicyAction
from uploadpp.testing.builders import UPLOAD_ID, UploadScenario, arrival, by_hand, config_of

REF = PolicyRef("default", 3, "videos")
STEPS = (StepPlan(name="deep-scan"),)
RUN = Choice(ref=REF, plan=STEPS, priority_class="bulk")
SKIP = Choice(ref=REF, action=PolicyAction.SKIP)
HOLD = Choice(ref=REF, action=PolicyAction.HOLD, plan=STEPS, message="too odd")
CONFIG = config_of("a", "b")


def announced(choice: Choice | None) -> BytesReceived:
    return evolve(arrival(), choice=choice)


def arrived(choice: Choice | None) -> Upload:
    story = UploadScenario(CONFIG)
    story.tell(announced(choice))
    return evolve(story.upload, plan_fixed=True)


def stored(upload: Upload, **status: object) -> dict[str, Any]:
    resource = to_resource(upload, namespace="uploads", shown=ALL_SHOWN, sealed="sealed")
    return {**resource, "status": {**to_status(upload), **status}}


@pytest.mark.parametrize(
    ("choice", "told"),
    [
        (RUN, {"name": "default", "generation": 3, "rule": "videos", "priorityClass": "bulk"}),
        (SKIP, {"name": "default", "generation": 3, "rule": "videos"}),
        (HOLD, {"name": "default", "generation": 3, "rule": "videos", "state": "Held"}),
    ],
)
def test_the_status_tells_the_rule(choice: Choice, told: dict[str, object]) -> None:
    upload = arrived(choice)
    resource = stored(upload)
    assert resource["status"]["policy"] == told
    UploadPostprocessing.model_validate({"spec": resource["spec"], "status": {"policy": told}}, strict=False)
    assert from_resource(resource, config_of("other"), upload.origin) == upload


def test_without_a_policy_nothing_is_told() -> None:
    resource = stored(arrived(None))
    assert "policy" not in resource["status"]
    assert "annotations" not in resource["metadata"]


@pytest.mark.parametrize(
    ("choice", "note"),
    [
        (RUN, "default/3/videos/p=bulk"),
        (SKIP, "default/3/videos"),
        (HOLD, "default/3/videos/h=too%20odd%3B%20resume%2C%20restart"),
    ],
)
def test_the_resource_tells_the_rule_from_its_creation_on(choice: Choice, note: str) -> None:
    upload = arrived(choice)
    resource = stored(upload)
    assert resource["metadata"]["annotations"][POLICY_ANNOTATION].startswith(note)
    del resource["status"]
    read = from_resource(resource, CONFIG, upload.origin)
    assert (read.policy, read.priority_class) == (REF, choice.priority_class)
    held = choice is HOLD
    assert (read.policy_holds, read.message) == (held, upload.message if held else "")
    assert (read.plan, read.plan_fixed) == (upload.plan, True)


def test_a_status_counts_more_than_what_was_told_at_the_creation() -> None:
    resource = stored(arrived(HOLD))
    resource["status"] = stored(evolve(arrived(RUN), policy=PolicyRef("default", 4, "x")))["status"]
    read = from_resource(resource, CONFIG, arrival().origin)
    assert (read.policy, read.policy_holds) == (PolicyRef("default", 4, "x"), False)
    resource["status"] = stored(arrived(None))["status"]
    resource["spec"] = stored(arrived(None))["spec"]
    assert from_resource(resource, CONFIG, arrival().origin).policy is None


def test_a_status_of_another_resource_says_why_it_is_held_and_not_the_policy() -> None:
    resource = stored(arrived(HOLD), uid="old")
    resource["metadata"]["uid"] = "new"
    read = from_resource(resource, CONFIG, arrival().origin)
    assert (read.policy, read.policy_holds, read.lost_status) == (REF, False, True)
    assert read.message == "the status was written for another resource, as after a restore from a backup"


@pytest.mark.parametrize("note", ["", "nonsense", "a/b/c"])
def test_a_note_that_nobody_can_read_tells_nothing(note: str) -> None:
    resource = stored(arrived(RUN))
    del resource["status"]
    resource["metadata"]["annotations"] = {POLICY_ANNOTATION: note}
    read = from_resource(resource, CONFIG, arrival().origin)
    assert (read.policy, read.priority_class, read.policy_holds) == (None, "", False)


def test_a_note_counts_only_beside_the_steps_it_is_about() -> None:
    resource = stored(arrived(RUN))
    del resource["status"], resource["spec"]["steps"]
    assert from_resource(resource, CONFIG, arrival().origin).policy is None


@pytest.mark.parametrize("choice", [RUN, HOLD, SKIP])
def test_steps_of_a_rule_that_the_spec_does_not_list_are_in_the_status(choice: Choice) -> None:
    """The resource was made by a person; held, it runs the steps of the rule and no others."""
    story = by_hand()
    story.state = evolve(story.upload, plan_in_status=True)
    story.tell(announced(choice))
    upload = story.upload
    made = {"metadata": {}, "spec": {"upload": {"id": UPLOAD_ID}}, "status": to_status(upload)}
    read = from_resource(made, config_of("other"), upload.origin)
    assert (read.plan, read.policy, read.policy_holds) == (upload.plan, REF, choice is HOLD)
    assert read.plan_fixed


@pytest.mark.parametrize(
    ("field", "value"), [("name", 1), ("generation", "3"), ("generation", -1), ("rule", [])]
)
def test_a_field_of_another_type_is_named(field: str, value: object) -> None:
    resource = stored(arrived(RUN))
    resource["status"]["policy"][field] = value
    with pytest.raises(InvalidResourceError, match=rf"^status\.policy\.{field}: "):
        from_resource(resource, CONFIG, arrival().origin)
