"""An upload to its resource.

By hand and without pydantic, because it runs for every status write. What `conditions`
or the spec already say is not stored twice: the stage is the reason of `Succeeded`, the
cursor is the position of `currentStep`, the time of a stall is that of `Stalled`.
"""

from enum import StrEnum
from typing import Any

from uploadpp.api import API_VERSION, KIND
from uploadpp.api.plan import encode_plan, hidden_steps
from uploadpp.api.timestamps import format_time
from uploadpp.core.conditions import Condition, Unserved, conditions
from uploadpp.core.model import FileOrder, Millis, PolicyRef, StepStatus, Streak, Upload
from uploadpp.core.naming import LABELS, POLICY_ANNOTATION, resource_name
from uploadpp.core.plan_text import policy_text
from uploadpp.core.sharding import BUCKET_LABEL, bucket_label
from uploadpp.core.states import CancelPolicy, DesiredState, StepState

MAX_INT64 = 2**63 - 1
MAX_FILENAME = 1024
MAX_ID = 256
LEFT = "Left"
"""The order in the status of an upload that is no longer released in order."""
HELD = "Held"
"""The state of the policy in the status of an upload that it holds."""
UNORDERED = FileOrder()
OVER = frozenset({StepState.SUCCEEDED, StepState.FAILED, StepState.SKIPPED})

Json = dict[str, Any]


class ShownField(StrEnum):
    """The fields of a file that everyone who may list the resources may read."""

    FILENAME = "filename"
    FILESIZE = "filesize"
    USER_ID = "userID"
    SPACE_ID = "spaceID"
    STORAGE_ID = "storageID"
    OPAQUE_ID = "opaqueID"


ALL_SHOWN = frozenset(ShownField)


def to_resource(
    upload: Upload,
    *,
    namespace: str,
    shown: frozenset[ShownField],
    sealed: str,
) -> Json:
    """The resource to create; its status takes a second write."""
    metadata: Json = {
        "name": resource_name(upload.id),
        "namespace": namespace,
        "labels": {**LABELS, BUCKET_LABEL: bucket_label(upload.id)},
    }
    if upload.policy is not None:  # were we killed before the status, nothing else would tell it
        metadata["annotations"] = {POLICY_ANNOTATION: policy_text(upload.policy, upload)}
    return {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "metadata": metadata,
        "spec": to_spec(upload, shown=shown, sealed=sealed),
    }


def to_spec(upload: Upload, *, shown: frozenset[ShownField], sealed: str) -> Json:
    """The spec of an upload that came over the wire."""
    spec: Json = {"upload": _encode_file(upload, shown), **encode_plan(upload.plan)}
    if sealed:
        spec["sealed"] = sealed
    control = upload.control
    if control.desired is not DesiredState.ACTIVE:
        spec["desiredState"] = control.desired
    if control.cancel_policy is not CancelPolicy.ABORT:
        spec["cancelPolicy"] = control.cancel_policy
    if control.restart is not None:
        spec["restart"] = _filled(
            token=control.restart.token,
            mode=control.restart.mode,
            fromStep=control.restart.from_step,
        )
    return spec


def _encode_file(upload: Upload, shown: frozenset[ShownField]) -> Json:
    file = upload.file
    values = {
        ShownField.FILENAME: file.filename[:MAX_FILENAME],
        ShownField.USER_ID: file.user_id[:MAX_ID],
        ShownField.SPACE_ID: file.space_id[:MAX_ID],
        ShownField.STORAGE_ID: file.storage_id[:MAX_ID],
        ShownField.OPAQUE_ID: file.opaque_id[:MAX_ID],
    }
    encoded: Json = {"id": upload.id, "receivedTime": format_time(upload.received_at)}
    if ShownField.FILESIZE in shown:
        encoded["filesize"] = min(file.filesize, MAX_INT64)
    encoded.update((field.value, value) for field, value in values.items() if value and field in shown)
    return encoded


def to_status(upload: Upload, uid: str = "", sealed_with: str = "", unserved: Unserved | None = None) -> Json:
    """The status of an upload: everything that `from_resource` needs, defaults left out.

    `uid` is that of the resource: a status that is found in another one comes from a backup. `sealed_with` is
    the fingerprint of the key that `spec.sealed` is sealed with. `unserved` is only shown.
    """
    generation = upload.observed_generation
    over = sum(step.state in OVER for step in upload.steps)
    log = upload.log
    status = _filled(
        observedGeneration=generation,
        conditions=[_encode_condition(each, generation) for each in conditions(upload, unserved)],
        currentStep=upload.current_step,
        progress=f"{over}/{len(upload.plan)}",
        outcome=upload.outcome,
        message=upload.message,
        stageTime=format_time(upload.since),
        startTime=_time(upload.started_at),
        nextAttemptTime=_time(upload.next_attempt_at),
        completionTime=_time(upload.completed_at),
        expirationTime=_time(upload.expires_at),
        run=upload.run,
        finishes=upload.finishes,
        releases=upload.releases,
        urlRequests=upload.url_requests,
        restarts=upload.restarts,
        observedToken=upload.observed_token,
        steps=[_encode_step(plan.name, step) for plan, step in zip(upload.plan, upload.steps, strict=False)],
        log=_filled(stream=log.stream, sequence=log.sequence),
        sealedWith=sealed_with,
        uid=uid,
    )
    decided = upload.run > 0 or upload.policy is not None or upload.plan_fixed
    if (hidden := hidden_steps(upload.plan, always=upload.plan_in_status and decided)) is not None:
        status["plan"] = hidden
    status["retryCount"] = upload.retry_count
    if upload.policy is not None:
        status["policy"] = _encode_policy(upload.policy, upload)
    if upload.order != UNORDERED:
        order = upload.order
        state = LEFT if order.left else ""
        status["order"] = _filled(after=order.after, arrival=order.arrival, state=state)
    if log.start is not None:
        status.setdefault("log", {})["start"] = log.start
    return status


def _encode_condition(condition: Condition, generation: int) -> Json:
    encoded = {
        "type": condition.type,
        "status": condition.status,
        "reason": condition.reason,
        "message": condition.message,
        "lastTransitionTime": format_time(condition.since),
    }
    return {**encoded, "observedGeneration": generation} if generation else encoded


def _encode_step(name: str, step: StepStatus) -> Json:
    return _filled(
        name=name,
        state=step.state,
        attempts=step.attempts,
        retries=step.retries,
        startTime=_time(step.started_at),
        finishTime=_time(step.finished_at),
        outcome=step.outcome,
        reason=step.reason,
        message=step.message,
        streak=None if step.streak is None else _encode_streak(step.streak),
    )


def _encode_policy(policy: PolicyRef, upload: Upload) -> Json:
    return _filled(
        name=policy.name,
        generation=policy.generation,
        rule=policy.rule,
        priorityClass=upload.priority_class,
        state=HELD if upload.policy_holds else "",
    )


def _encode_streak(streak: Streak) -> Json:
    return _filled(
        startTime=_time(streak.since),
        lastTime=_time(streak.last),
        uploads=streak.uploads,
        openTime=_time(streak.opened_at),
        counted=streak.counted,
    )


def _filled(**values: object) -> Json:
    """Without the fields that are empty."""
    return {name: value for name, value in values.items() if value}


def _time(at: Millis | None) -> str | None:
    return None if at is None else format_time(at)
