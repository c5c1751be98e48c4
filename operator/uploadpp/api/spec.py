"""The spec: what the upload is, and what people ask for."""

from typing import Annotated

from pydantic import ConfigDict, Field

from uploadpp.api.limits import (
    INT64,
    ApiModel,
    Identifier,
    Retries,
    Seconds,
    StepName,
    Time,
    Wait,
    rule,
    rules,
)
from uploadpp.core.states import CancelPolicy, DesiredState, OnExhausted, RestartMode

FORBIDDEN = "FieldValueForbidden"
BACKOFF_RULE = rule(
    "!has(self.backoffSeconds) || !has(self.maxBackoffSeconds) || "
    "self.backoffSeconds <= self.maxBackoffSeconds",
    "backoffSeconds must not be greater than maxBackoffSeconds",
    ".backoffSeconds",
)


def _frozen(field: str) -> dict[str, str]:
    return rule(
        f"has(self.{field}) == has(oldSelf.{field}) && "
        f"(!has(self.{field}) || self.{field} == oldSelf.{field})",
        f"{field} is fixed when the resource is created; delete the resource and make a new one",
        f".{field}",
        FORBIDDEN,
    )


class UploadInfo(ApiModel):
    """What is known of the uploaded file. Which fields are shown is the operator's configuration."""

    id: Annotated[str, Field(min_length=1, max_length=128)] = Field(
        description="The upload's id in the storage, the one every event about it carries.",
    )
    filename: Annotated[str, Field(max_length=1024)] | None = Field(
        None,
        description="Name of the file, cut to 1024 characters.",
    )
    filesize: Annotated[int, Field(ge=0, json_schema_extra=INT64)] | None = Field(
        None,
        description="Size in bytes. A size above 2^63-1 is shown as 2^63-1.",
    )
    user_id: Identifier | None = Field(None, description="Id of the user who uploads.")
    space_id: Identifier | None = Field(None, description="Id of the space the file goes to.")
    storage_id: Identifier | None = Field(None, description="Id of the storage the file goes to.")
    opaque_id: Identifier | None = Field(None, description="Id of the file within its space.")
    received_time: Time | None = Field(
        None,
        description="When the storage announced the upload. Absent: when the resource was created.",
    )


class SecretKeyRef(ApiModel):
    """A key of a Secret in the resource's own namespace."""

    name: Annotated[str, Field(min_length=1, max_length=253)] = Field(description="Name of the Secret.")
    key: Annotated[str, Field(min_length=1, max_length=253)] = Field(description="Key in the Secret's data.")


class RetryPolicy(ApiModel):
    """How often and when a failed step starts again, and what happens when no retry is left."""

    model_config = ConfigDict(json_schema_extra=rules(BACKOFF_RULE))

    max_retries: Retries | None = Field(None, description="Retries of one step. Absent: 14.")
    backoff_seconds: Wait | None = Field(
        None,
        description="Wait before the first retry; it doubles with each further one. Absent: 5.",
    )
    max_backoff_seconds: Wait | None = Field(None, description="Longest wait. Absent: 43200, half a day.")
    on_exhausted: OnExhausted | None = Field(
        None,
        description="What happens when no retry is left: Abort ends the upload and keeps its bytes, Hold "
        "waits for a person, Continue goes on with the next step, Delete removes the upload. Absent: Abort.",
    )


class Step(ApiModel):
    """One step. What it does not say itself comes from `spec.retryPolicy`."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            BACKOFF_RULE,
            rule("self.name != 'finished'", "finished is a reserved word, not the name of a step", ".name"),
        ),
    )

    name: Annotated[StepName, Field(pattern=r"^[^, \t\r\n]+$")] = Field(
        description="The word the step's service listens for: without commas and spaces, and not `finished`. "
        "`delay` is run by the operator itself.",
    )
    timeout_seconds: Seconds | None = Field(
        None,
        description="How long the step may take before that counts as a failed attempt. Absent: for ever.",
    )
    stall_after_seconds: Seconds | None = Field(
        None,
        description="How long the step may take before the upload is reported as Stalled. Absent: 600.",
    )
    max_retries: Retries | None = Field(None, description="Instead of retryPolicy.maxRetries.")
    backoff_seconds: Wait | None = Field(None, description="Instead of retryPolicy.backoffSeconds.")
    max_backoff_seconds: Wait | None = Field(None, description="Instead of retryPolicy.maxBackoffSeconds.")
    on_exhausted: OnExhausted | None = Field(None, description="Instead of retryPolicy.onExhausted.")
    delay_seconds: Wait | None = Field(None, description="Length of the step `delay`. Absent: 0.")


class Restart(ApiModel):
    """A wish to do it again. A new token is a new wish; the same token is the same wish, done once."""

    token: Annotated[str, Field(min_length=1, max_length=64, pattern="^[A-Za-z0-9._-]+$")] = Field(
        description="Any word that was not used before, for example a time.",
    )
    mode: RestartMode | None = Field(
        None,
        description="Resume starts the current step, or the release, again. Restart begins a new run, unless "
        "the storage may have lost the bytes. ForceRestart does so all the same. Absent: Restart.",
    )
    from_step: Annotated[str, Field(max_length=63)] | None = Field(
        None,
        description="The step a new run begins with. Absent: the first one.",
    )


CANCELLED_RULE = rule(
    "!has(oldSelf.desiredState) || oldSelf.desiredState != 'Cancelled' || "
    "(has(self.desiredState) && self.desiredState == 'Cancelled') || "
    "(has(self.restart) && (!has(oldSelf.restart) || self.restart.token != oldSelf.restart.token))",
    "a cancelled upload stays cancelled unless the same change sets a new restart.token",
    ".desiredState",
    FORBIDDEN,
)
FROM_STEP_RULE = rule(
    "!has(self.restart) || !has(self.restart.fromStep) || !has(self.steps) || "
    "self.steps.exists(step, step.name == self.restart.fromStep)",
    "restart.fromStep must be the name of one of spec.steps",
    ".restart.fromStep",
)
UNIQUE_STEPS_RULE = rule(
    "self.all(step, self.exists_one(other, other.name == step.name))",
    "the names of the steps must be unique",
)


class UploadPostprocessingSpec(ApiModel):
    """What the upload is (fixed), and what people ask for (may be changed at any time)."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            _frozen("steps"),
            _frozen("retryPolicy"),
            _frozen("stallAfterSeconds"),
            CANCELLED_RULE,
            FROM_STEP_RULE,
        ),
    )

    upload: UploadInfo = Field(
        description="What is known of the uploaded file; fixed when the resource is created.",
        json_schema_extra=rules(
            rule("self == oldSelf", "upload is fixed when the resource is created", reason=FORBIDDEN),
        ),
    )
    sealed: Annotated[str, Field(max_length=65_536)] | None = Field(
        None,
        description="What must not be readable here: the download URL, users and whatever else goes back to "
        "the event bus unchanged, encrypted. Only the operator writes and reads it.",
    )
    url_secret_ref: SecretKeyRef | None = Field(
        None,
        description="Where a resource made by hand gets its download URL from. Absent: the storage is asked.",
    )
    steps: Annotated[list[Step], Field(max_length=32)] | None = Field(
        None,
        description="The steps, in order; fixed when the resource is created. An empty list releases the "
        "file at once. Absent: the operator's configured steps.",
        json_schema_extra=rules(UNIQUE_STEPS_RULE),
    )
    retry_policy: RetryPolicy | None = Field(
        None,
        description="For all steps that do not say otherwise; fixed when the resource is created.",
    )
    stall_after_seconds: Seconds | None = Field(
        None,
        description="For all steps that do not say otherwise; fixed when the resource is created.",
    )
    desired_state: DesiredState | None = Field(
        None,
        description="Active lets the upload run. Suspended lets a running step end and starts no other one. "
        "Cancelled ends the upload as cancelPolicy says. Absent: Active.",
    )
    cancel_policy: CancelPolicy | None = Field(
        None,
        description="How a cancelled upload ends: Abort keeps its bytes in the storage, Delete removes them. "
        "Absent: Abort.",
    )
    restart: Restart | None = Field(None, description="A wish to do it again; a new token is a new wish.")
