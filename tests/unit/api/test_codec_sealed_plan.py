"""A resource goes by the plan that was sealed with it, whatever its spec says."""

from copy import deepcopy
from typing import Any

import pytest

from uploadpp.api.codec import ALL_SHOWN, from_resource, to_resource, to_status
from uploadpp.core.config import Config
from uploadpp.core.evolve import evolve
from uploadpp.core.model import Millis, Origin, PolicyRef, StepPlan, Upload
from uploadpp.core.plan_text import Ruled, SealedPlan, plan_to_seal, read_sealed_plan
from uploadpp.testing.builders import START, UPLOAD_ID, after, arrival, config_of

REF = PolicyRef("default", 3, "videos")
STEPS = (StepPlan(name="deep-scan", timeout=Millis(300_000)), StepPlan(name="sign"))
UNLISTED = (StepPlan(name="Virus Scan!"),)
CONFIG = config_of("a", "b")


def upload_of(plan: tuple[StepPlan, ...] = STEPS, **fields: object) -> Upload:
    return evolve(Upload(id=UPLOAD_ID, received_at=START, plan=plan), **fields)


def made(upload: Upload) -> dict[str, Any]:
    return deepcopy(to_resource(upload, namespace="uploads", shown=ALL_SHOWN, sealed="sealed"))


def read(resource: dict[str, Any], upload: Upload) -> Upload:
    return from_resource(
        resource, CONFIG, upload.origin, read_sealed_plan(plan_to_seal(upload, upload.origin))
    )


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


@pytest.mark.parametrize("status", [False, True])
@pytest.mark.parametrize("spec", ["1999-12-31T23:59:59Z", "2099-12-31T23:59:59Z", None])
@pytest.mark.parametrize("later", [0, 60_000])
def test_the_time_of_the_announcement_is_sealed(spec: str | None, later: int, *, status: bool) -> None:
    """All events of the upload tell of it. `later`: its URL was renewed since."""
    upload = upload_of(origin=Origin(url_received_at=Millis(START + later)))
    resource = made(upload)
    if spec is None:
        del resource["spec"]["upload"]["receivedTime"]
    else:
        resource["spec"]["upload"]["receivedTime"] = spec
    if status:
        resource["status"] = to_status(upload)
    assert read(resource, upload).received_at == START


def test_without_a_sealed_time_the_spec_says_when_it_was_announced() -> None:
    """An earlier version has sealed it."""
    upload = upload_of(origin=Origin(url_received_at=Millis(START + 60_000)))
    for sealed in (None, SealedPlan(STEPS)):
        assert from_resource(made(upload), CONFIG, upload.origin, sealed).received_at == START


def test_the_time_of_the_announcement_that_came_behind_a_resource_counts_more() -> None:
    upload = upload_of(origin=Origin(announced_at=Millis(START + 5)))
    assert read(made(upload), upload).received_at == START + 5


ALTERED: list[tuple[str, dict[str, Any]]] = [
    ("steps.0", {"maxFilesize": 1}),
    ("steps.0", {"onExhausted": "Continue", "maxRetries": 0}),
    ("retryPolicy", {"onExhausted": "Continue", "maxRetries": 0}),
    ("", {"stallAfterSeconds": 1}),
]


def altered(resource: dict[str, Any], where: str, values: dict[str, Any]) -> dict[str, Any]:
    """The resource with fields in its spec that a webhook, or the default of a newer CRD, has added."""
    found = deepcopy(resource)
    spec = found["spec"]
    part = spec["steps"][0] if where == "steps.0" else spec.setdefault(where, {}) if where else spec
    part |= values
    return found


@pytest.mark.parametrize(("where", "values"), ALTERED)
@pytest.mark.parametrize("begun", [True, False])
def test_an_upload_with_a_status_keeps_the_plan_that_was_sealed(
    where: str, values: dict[str, Any], *, begun: bool
) -> None:
    """From then on the status tells it: also where the sealed part is one that says no plan."""
    upload = evolve(after(arrival(), config=Config(steps=STEPS)), plan_fixed=True) if begun else upload_of()
    resource = {**altered(made(upload), where, values), "status": to_status(upload)}
    found = read(resource, upload)
    assert (found.plan, found.plan_fixed, found.plan_in_status) == (STEPS, True, True)
    assert (found.run, found.steps) == (upload.run, upload.steps)
    again = from_resource({**resource, "status": to_status(found)}, CONFIG, found.origin)
    assert (again.plan, again.plan_fixed, again.plan_in_status) == (STEPS, True, True)


@pytest.mark.parametrize(("where", "values"), ALTERED)
def test_what_was_sealed_without_a_plan_goes_by_its_spec(where: str, values: dict[str, Any]) -> None:
    """By an earlier version, or not at all, as with a resource of a person: nothing else tells its plan."""
    upload = upload_of()
    resource = {**altered(made(upload), where, values), "status": to_status(upload)}
    found = from_resource(resource, CONFIG, upload.origin)
    assert found.plan != STEPS
    assert (found.plan_fixed, found.plan_in_status) == (True, False)


def test_what_the_spec_says_as_it_was_sealed_is_not_said_again() -> None:
    upload = upload_of()
    resource = {**made(upload), "status": to_status(upload)}
    resource["spec"]["steps"][1]["ofALaterVersion"] = 1
    found = read(resource, upload)
    assert (found.plan, found.plan_fixed, found.plan_in_status) == (STEPS, True, False)


def test_a_plan_in_the_status_counts_more_and_so_does_its_rule() -> None:
    upload = upload_of(plan_in_status=True, plan_fixed=True)
    resource = {**made(upload), "status": to_status(upload)}
    found = from_resource(resource, CONFIG, upload.origin, SealedPlan(UNLISTED, Ruled(REF)))
    assert (found.plan, found.policy) == (STEPS, None)


def test_a_plan_by_which_the_upload_has_not_begun_does_not_count() -> None:
    """An older sealed part was put back."""
    upload = evolve(after(arrival(), config=Config(steps=STEPS)), plan_fixed=True)
    resource = {**made(upload), "status": to_status(upload)}
    assert from_resource(resource, CONFIG, upload.origin, SealedPlan(UNLISTED)).plan == STEPS


def test_a_resource_that_lists_no_steps_and_has_not_begun_has_no_plan_yet() -> None:
    upload = evolve(upload_of(), plan=CONFIG.steps)
    resource = {**made(upload), "status": to_status(upload)}
    del resource["spec"]["steps"]
    found = from_resource(resource, CONFIG, upload.origin, SealedPlan(STEPS))
    assert (found.plan, found.plan_fixed) == (CONFIG.steps, False)
