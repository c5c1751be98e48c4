"""The spec: what the upload is, and what people ask for."""

from typing import Annotated

from pydantic import ConfigDict, Field

from uploadpp.api.cel import (
    BACKOFF,
    CANCELLED,
    FIXED,
    FROM_STEP,
    KEPT_SEALED,
    STEPS,
    fixed_presence,
    rules,
)
from uploadpp.api.field_types import (
    MAX_SEALED,
    STEP_NAME,
    ApiModel,
    Count64,
    Identifier,
    ObjectName,
    Retries,
    Seconds,
    SecretKey,
    Size,
    StepName,
    Time,
    Wait,
)
from uploadpp.core.states import (
    CancelPolicy,
    DesiredState,
    OnExhausted,
    OnTooLarge,
    RequiredResult,
    RestartMode,
)


class UploadInfo(ApiModel):
    """What is known of the uploaded file. Which fields are shown is the operator's configuration."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            *map(
                fixed_presence,
                ("filename", "filesize", "userID", "spaceID", "storageID", "opaqueID", "receivedTime"),
            )
        )
    )

    id: Annotated[str, Field(min_length=1, max_length=128)] = Field(
        description="The upload's id in the storage, the one every event about it carries.",
        json_schema_extra=rules(FIXED),
    )
    filename: Annotated[str, Field(max_length=1024)] | None = Field(
        None,
        description="Name of the file, cut to 1024 characters.",
        json_schema_extra=rules(FIXED),
    )
    filesize: Count64 | None = Field(
        None,
        description="Size in bytes. A size above 2^63-1 is shown as 2^63-1.",
        json_schema_extra=rules(FIXED),
    )
    user_id: Identifier | None = Field(
        None, description="Id of the user who uploads.", json_schema_extra=rules(FIXED)
    )
    space_id: Identifier | None = Field(
        None, description="Id of the space the file goes to.", json_schema_extra=rules(FIXED)
    )
    storage_id: Identifier | None = Field(
        None, description="Id of the storage the file goes to.", json_schema_extra=rules(FIXED)
    )
    opaque_id: Identifier | None = Field(
        None, description="Id of the file within its space.", json_schema_extra=rules(FIXED)
    )
    received_time: Time | None = Field(
        None,
        description="When the storage announced the upload. Absent: when the resource was created.",
        json_schema_extra=rules(FIXED),
    )


class SecretKeyRef(ApiModel):
    """A key of a Secret in the resource's own namespace."""

    name: ObjectName = Field(
        description="Name of the Secret, which must have the label uploadpp.io/url-secret=true.",
    )
    key: SecretKey = Field(
        description="Key in the Secret's data. Its value must be an http or https URL.",
    )


class RetryPolicy(ApiModel):
    """How often and when a failed step starts again, and what happens when no retry is left."""

    model_config = ConfigDict(json_schema_extra=rules(BACKOFF))

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

    name: Annotated[StepName, Field(pattern=STEP_NAME)] = Field(
        description="The word the step's service listens for: letters, digits, dots, underscores and dashes, "
        "and not `finished`. `delay` is run by the operator itself.",
    )
    timeout_seconds: Seconds | None = Field(
        None,
        description="How long the step may take before that counts as a failed attempt. Absent: forever.",
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
    max_filesize: Size | None = Field(
        None, description="The size in bytes above which onTooLarge says what happens. Absent: there is none."
    )
    on_too_large: OnTooLarge | None = Field(
        None,
        description="For a file above maxFilesize: Skip leaves the step out, Hold waits for a person. "
        "Absent: Skip.",
    )
    require_result: RequiredResult | None = Field(
        None,
        description="Scan: `continue` counts as retry when it brings no VirusscanResult with a Scandate and "
        "without an ErrorMsg. Optional: any `continue` counts. Absent: Optional.",
    )


class Restart(ApiModel):
    """A wish to do it again. A new token is a new wish; the same token is the same wish, done once."""

    token: Annotated[str, Field(min_length=1, max_length=64, pattern="^[A-Za-z0-9._-]+$")] = Field(
        description="Any word that was not used before, for example a time.",
    )
    mode: RestartMode | None = Field(
        None,
        description="Resume starts the current step, or the release, again. ResumeStep does so for all "
        "uploads in the namespace that are in the step fromStep (finished: waiting for the storage). "
        "Restart begins a new run, unless "
        "the storage may have lost the bytes. ForceRestart does so all the same. Absent: Restart.",
    )
    from_step: Annotated[str, Field(max_length=63)] | None = Field(
        None,
        description="The step a new run begins with. Absent: the first one; for ResumeStep the current one.",
    )


class UploadPostprocessingSpec(ApiModel):
    """What the upload is (fixed), and what people ask for (may be changed at any time)."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            *map(fixed_presence, ("urlSecretRef", "steps", "retryPolicy", "stallAfterSeconds")),
            KEPT_SEALED,
            CANCELLED,
            FROM_STEP,
        ),
    )

    upload: UploadInfo = Field(
        description="What is known of the uploaded file.",
    )
    sealed: Annotated[str, Field(max_length=MAX_SEALED)] | None = Field(
        None,
        description="What must not be readable here: the download URL, users and whatever else goes back to "
        "the event bus unchanged, encrypted. Only the operator writes and reads it. It opens for this upload "
        "alone.",
    )
    url_secret_ref: SecretKeyRef | None = Field(
        None,
        description="Where a resource made by hand gets its download URL from. Absent: the storage is asked.",
        json_schema_extra=rules(FIXED),
    )
    steps: Annotated[list[Step], Field(max_length=32)] | None = Field(
        None,
        description="The steps, in order. An empty list releases the file at once. Absent: the operator's "
        "configured steps.",
        json_schema_extra=rules(FIXED, STEPS),
    )
    retry_policy: RetryPolicy | None = Field(
        None,
        description="For all steps that do not say otherwise.",
        json_schema_extra=rules(FIXED),
    )
    stall_after_seconds: Seconds | None = Field(
        None,
        description="For all steps that do not say otherwise. Absent: 600.",
        json_schema_extra=rules(FIXED),
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
