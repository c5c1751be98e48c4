"""The steps of an upload in its spec.

A value that all steps share is written once, next to the steps; a value that is the
API's own default is not written at all. These defaults are those of `StepPlan`, never
the operator's configuration: what an upload was planned with must not change later.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import lru_cache
from typing import Any

from uploadpp.api.field_reader import FieldReader, InvalidResourceError
from uploadpp.api.field_types import is_step_name
from uploadpp.core.model import Millis, StepPlan, Upload
from uploadpp.core.states import OnExhausted, OnTooLarge, RequiredResult

DEFAULT = StepPlan(name="default")
SECOND = 1000
PLAN_FIELDS = ("steps", "retryPolicy", "stallAfterSeconds")
"""The fields of a spec that hold the plan (`encode_plan`)."""

OF_POLICY = {
    "maxRetries": "max_retries",
    "backoffSeconds": "backoff",
    "maxBackoffSeconds": "max_backoff",
    "onExhausted": "on_exhausted",
}
SHARED = {"stallAfterSeconds": "stall_after", **OF_POLICY}
OF_STEP = {
    "timeoutSeconds": "timeout",
    "delaySeconds": "delay",
    "maxFilesize": "max_filesize",
    "onTooLarge": "on_too_large",
    "requireResult": "require_result",
    **SHARED,
}


def is_listed(plan: tuple[StepPlan, ...]) -> bool:
    """Whether a spec can list the steps: the API server refuses some names."""
    return all(is_step_name(step.name) for step in plan)


@lru_cache(maxsize=64)
def encode_plan(plan: tuple[StepPlan, ...]) -> dict[str, Any]:
    """The spec's part about steps.

    The answer is shared by all uploads with the same plan: it must not be changed. Steps are left out
    if the API server would refuse one of their names: the operator may be configured with any word. Such
    an upload has its steps in the status alone (`hidden_steps`).
    """
    common = {name for name, field in SHARED.items() if len({getattr(step, field) for step in plan}) == 1}
    values = _values(plan[0], common) if plan else {}
    policy = {name: values[name] for name in OF_POLICY if name in values}
    spec: dict[str, Any] = {}
    if is_listed(plan):
        spec["steps"] = [{"name": step.name, **_values(step, OF_STEP.keys() - common)} for step in plan]
    if policy:
        spec["retryPolicy"] = policy
    if "stallAfterSeconds" in values:
        spec["stallAfterSeconds"] = values["stallAfterSeconds"]
    return spec


def tells_plan(spec: Mapping[str, Any], upload: Upload) -> bool:
    """Whether a spec, read again, leads to the plan of an upload.

    The list of steps in a spec does not count for an upload that was announced at another time than the spec
    says (`decode_plan`).
    """
    planned = encode_plan(upload.plan)
    same = all(spec.get(field) == planned.get(field) for field in PLAN_FIELDS)
    return same and upload.origin.announced_at is None


def added_to_plan(written: Mapping[str, Any], kept: Mapping[str, Any]) -> str:
    """What in a spec, as it was kept, leads to another plan than that with which it was written.

    Fields that this version does not know lead nowhere, and a field with the value that it has where it is
    absent changes nothing. So a newer CRD may fill in its defaults.

    Returns:
        The path of the first such field; empty where both lead to the same plan.
    """
    try:
        if _leads_to(kept) == _leads_to(written):
            return ""
    except InvalidResourceError as error:
        return error.field
    known = _settings(written)
    return next((path for path, value in _settings(kept).items() if known.get(path) != value), "spec.steps")


def _leads_to(spec: Mapping[str, Any]) -> tuple[StepPlan, ...]:
    """The plan of a spec; where it lists no steps, what it makes of a configured one."""
    return decode_plan(FieldReader(spec, "spec"), None, (DEFAULT,))


def _settings(spec: Mapping[str, Any]) -> dict[str, Any]:
    """All fields of a spec that set something in its plan, by their paths."""
    parts = {"spec": (spec, ("stallAfterSeconds",)), "spec.retryPolicy": (spec.get("retryPolicy"), OF_POLICY)}
    parts |= {f"spec.steps[{index}]": (step, OF_STEP) for index, step in enumerate(spec.get("steps") or ())}
    return {
        f"{path}.{name}": values[name]
        for path, (values, names) in parts.items()
        for name in names
        if values and values.get(name) is not None
    }


def hidden_steps(plan: tuple[StepPlan, ...], *, always: bool = False) -> list[dict[str, Any]] | None:
    """The steps as the status holds them, where the spec cannot or `always`; None where the spec does."""
    if not always and is_listed(plan):
        return None
    return [{"name": step.name, **_values(step, OF_STEP)} for step in plan]


def decode_hidden(status: FieldReader) -> tuple[StepPlan, ...] | None:
    """The steps that `hidden_steps` has put into a status; None where it has not."""
    if "plan" not in status:
        return None
    steps = status.children("plan")
    return _shared(tuple(_overlay(DEFAULT, step, OF_STEP, step.text("name")) for step in steps))


def _values(step: StepPlan, names: Iterable[str]) -> dict[str, Any]:
    """The fields of a step that are not what they are by default, in a fixed order."""
    found: dict[str, Any] = {}
    for name, field in OF_STEP.items():
        value = getattr(step, field)
        if name in names and value != getattr(DEFAULT, field):
            found[name] = -(-value // SECOND) if name.endswith("Seconds") else value
    return found


def decode_plan(
    spec: FieldReader, begun: Iterable[str] | None, configured: tuple[StepPlan, ...], *, listed: bool = True
) -> tuple[StepPlan, ...]:
    """The steps of an upload.

    Args:
        spec: the resource's spec.
        begun: the names in its status, once a run has begun.
        configured: the operator's own steps, for a resource that lists none.
        listed: whether the list in the spec counts.
    """
    policy = spec.child("retryPolicy")
    if listed and "steps" in spec:
        base = _overlay(_overlay(DEFAULT, spec, ("stallAfterSeconds",)), policy, OF_POLICY)
        steps = [_overlay(base, step, OF_STEP, step.text("name")) for step in spec.children("steps")]
    else:
        known = {step.name: step for step in configured}
        names = known if begun is None else begun
        plans = [known.get(name) or StepPlan(name=name) for name in names]
        steps = [_overlay(_overlay(plan, spec, ("stallAfterSeconds",)), policy, OF_POLICY) for plan in plans]
    return _shared(tuple(steps))


def decode_step(step: FieldReader, base: StepPlan) -> StepPlan:
    """One step: what it sets itself, and all other values of `base`."""
    return _overlay(base, step, OF_STEP, step.text("name"))


def _overlay(plan: StepPlan, values: FieldReader, names: Iterable[str], name: str = "") -> StepPlan:
    """The plan, with the values that are set in `values` (and perhaps a name) in place of its own."""
    changes: dict[str, Any] = {"name": name} if name else {}
    for each in names if values else ():
        if each in values:
            changes[OF_STEP[each]] = _decoded(values, each)
    return replace(plan, **changes) if changes else plan


def _decoded(values: FieldReader, name: str) -> Any:  # noqa: ANN401  # what a field of StepPlan takes
    match name:
        case "onExhausted":
            return values.word(name, OnExhausted, OnExhausted.ABORT)
        case "onTooLarge":
            return values.word(name, OnTooLarge, OnTooLarge.SKIP)
        case "requireResult":
            return values.word(name, RequiredResult, RequiredResult.OPTIONAL)
    value = values.number(name)
    return Millis(value * SECOND) if name.endswith("Seconds") else value


@lru_cache(maxsize=256)
def _shared(plan: tuple[StepPlan, ...]) -> tuple[StepPlan, ...]:
    """One object in memory for all uploads with the same plan."""
    return plan
