"""A resource without a status goes by the plan that was sealed with it, whatever its spec says."""

from copy import deepcopy
from typing import Any

import pytest

from uploadpp.api.codec import ALL_SHOWN, from_resource, to_resource, to_status
from uploadpp.core.evolve import evolve
from uploadpp.core.model import Millis, PolicyRef, StepPlan, Upload
from uploadpp.core.plan_text import Ruled, SealedPlan, plan_to_seal, read_sealed_plan
from uploadpp.testing.builders import START, UPLOAD_ID, config_of

REF = PolicyRef("default", 3, "videos")
STEPS = (StepPlan(name="deep-scan", timeout=Millis(300_000)), StepPlan(name="sign"))
UNLISTED = (StepPlan(name="Virus Scan!"),)
CONFIG = config_of("a", "b")


def upload_of(plan: tuple[StepPlan, ...] = STEPS, **fields: object) -> Upload:
    return evolve(Upload(id=UPLOAD_ID, received_at=START, plan=plan), **fields)


def made(upload: Upload) -> dict[str, Any]:
    return deepcopy(to_resource(upload, namespace="uploads", shown=ALL_SHOWN, sealed="sealed"))


def read(resource: dict[str, Any], upload: Upload) -> Upload:
    return from_resource(resource, CONFIG, upload.origin, read_sealed_plan(plan_to_seal(upload)))


def test_as_created_the_spec_contains_the_plan() -> None:
    found = read(made(upload_of()), upload_of())
    assert (found.plan, found.plan_fixed, found.plan_in_status) == (STEPS, True, False)
    assert found.lost_status


@pytest.mark.parametrize("steps", [None, [], [{"name": "sign"}], [{"name": "sign"}, {"name": "deep-scan"}]])
def test_where_the_spec_says_otherwise_the_sealed_plan_counts(steps: list[object] | None) -> None:
    upload = upload_of()
    resource = made(upload)
    resource["spec"]["steps"] = steps
    if steps is None:
        del resource["spec"]["steps"]
    found = read(resource, upload)
    assert (found.plan, found.plan_fixed, found.plan_in_status) == (STEPS, True, True)
    written = {**resource, "status": to_status(found)}
    again = from_resource(written, CONFIG, found.origin)
    assert (again.plan, again.plan_fixed, again.plan_in_status) == (STEPS, True, True), (
        "and the status tells it"
    )


def test_a_setting_of_a_step_counts_as_well() -> None:
    resource = made(upload_of())
    resource["spec"]["steps"][0]["timeoutSeconds"] = 1
    assert read(resource, upload_of()).plan == STEPS


def test_steps_that_no_spec_can_list_are_those_that_were_sealed() -> None:
    upload = upload_of(UNLISTED, policy=REF, policy_holds=True, priority_class="bulk", message="too odd")
    found = read(made(upload), upload)
    assert (found.plan, found.plan_fixed, found.plan_in_status) == (UNLISTED, True, False)
    assert (found.policy, found.priority_class, found.policy_holds) == (REF, "bulk", True)
    assert found.message == "too odd"


@pytest.mark.parametrize("sealed", [SealedPlan(STEPS), SealedPlan(STEPS, Ruled(REF))])
def test_the_sealed_rule_counts_and_not_the_annotation(sealed: SealedPlan) -> None:
    """Anybody who may edit the resource can write that."""
    resource = made(upload_of(policy=PolicyRef("other", 1, "x"), policy_holds=True, message="wait"))
    found = from_resource(resource, CONFIG, upload_of().origin, sealed)
    assert (found.policy, found.policy_holds) == (sealed.ruled and REF, False)


def test_the_status_counts_more() -> None:
    resource = {**made(upload_of()), "status": to_status(upload_of())}
    found = from_resource(resource, CONFIG, upload_of().origin, SealedPlan(UNLISTED, Ruled(REF)))
    assert (found.plan, found.policy) == (STEPS, None)
