"""The spec: what the upload is, and what people want to happen to it."""

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
    fixed_presences,
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
    """What is known about the uploaded file. A setting of the operator says which fields are shown."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            fixed_presences(
                ("filename", "filesize", "userID", "spaceID", "storageID", "opaqueID", "receivedTime"),
                sometimes="storageID",
            )
        )
    )

    id: Annotated[str, Field(min_length=1, max_length=128)] = Field(
        description="Id of the upload in the storage. Every event about the upload carries it.",
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
        None, description="Id of the user who uploaded the file.", json_schema_extra=rules(FIXED)
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
    """How often and when a failed step starts again, and what happens when no retries are left."""

    model_config = ConfigDict(json_schema_extra=rules(BACKOFF))

    max_retries: Retries | None = Field(None, description="Retries of one step. Absent: 14.")
    backoff_seconds: Wait | None = Field(
        None,
        description="Pause before the first retry. It doubles with each further retry. Absent: 5.",
    )
    max_backoff_seconds: Wait | None = Field(None, description="Longest pause. Absent: 43200 (12 hours).")
    on_exhausted: OnExhausted | None = Field(
        None,
        description="What happens when no retries are left. Abort: the upload ends, and the storage keeps "
        "its bytes. Hold: the upload waits for a person. Continue: the next step starts. Delete: the storage "
        "deletes the upload. Absent: Abort.",
    )


class Step(ApiModel):
    """One step. Fields that are absent have the values of `spec.retryPolicy`."""

    name: Annotated[StepName, Field(pattern=STEP_NAME)] = Field(
        description="Name of the step. Its service listens for this name. Letters, digits, dots, underscores "
        "and dashes; not `finished`. The operator itself runs the step `delay`.",
    )
    timeout_seconds: Seconds | None = Field(
        None,
        description="Time after which an attempt without an answer counts as failed. Absent: no limit.",
    )
    stall_after_seconds: Seconds | None = Field(
        None,
        description="Time after which a step without an answer is reported as Stalled. Absent: "
        "spec.stallAfterSeconds.",
    )
    max_retries: Retries | None = Field(None, description="Overrides retryPolicy.maxRetries.")
    backoff_seconds: Wait | None = Field(None, description="Overrides retryPolicy.backoffSeconds.")
    max_backoff_seconds: Wait | None = Field(None, description="Overrides retryPolicy.maxBackoffSeconds.")
    on_exhausted: OnExhausted | None = Field(None, description="Overrides retryPolicy.onExhausted.")
    delay_seconds: Wait | None = Field(None, description="Length of the step `delay`. Absent: 0.")
    max_filesize: Size | None = Field(
        None,
        description="Largest file for this step, in bytes. onTooLarge applies above it. Absent: no limit.",
    )
    on_too_large: OnTooLarge | None = Field(
        None,
        description="What happens to a file above maxFilesize. Skip: the step is left out. Hold: the upload "
        "waits for a person. Absent: Skip.",
    )
    require_result: RequiredResult | None = Field(
        None,
        description="What a `continue` must contain. Scan: a VirusscanResult with a Scandate and without an "
        "ErrorMsg; other answers count as `retry`. Optional: nothing. Absent: Optional.",
    )


class Restart(ApiModel):
    """A request to start again. The operator acts once on each new token."""

    token: Annotated[str, Field(min_length=1, max_length=64, pattern="^[A-Za-z0-9._-]+$")] = Field(
        description="Any word that was not used before for this upload, for example a time.",
    )
    mode: RestartMode | None = Field(
        None,
        description="Resume: starts the current step, or the release, again. ResumeStep: the same for all "
        "uploads in the namespace that are in the step fromStep (`finished`: those that wait for the "
        "storage). Restart: begins a new run; refused if the storage may have lost the bytes. "
        "ForceRestart: begins a new run in any case. Absent: Restart.",
    )
    from_step: Annotated[str, Field(max_length=63)] | None = Field(
        None,
        description="The step with which the new run begins. Absent: the first; with ResumeStep the current.",
    )


class UploadPostprocessingSpec(ApiModel):
    """What the upload is (fixed), and what people want to happen to it (can be changed at any time)."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            *map(fixed_presence, ("urlSecretRef", "steps", "retryPolicy", "stallAfterSeconds")),
            KEPT_SEALED,
            CANCELLED,
            FROM_STEP,
        ),
    )

    upload: UploadInfo = Field(
        description="What is known about the uploaded file.",
    )
    sealed: Annotated[str, Field(max_length=MAX_SEALED)] | None = Field(
        None,
        description="Encrypted data that must not be readable here: the download URL, the user, all other "
        "data that goes back to the event stream unchanged, and the plan. Only the operator writes and "
        "reads it. It can be decrypted for this upload only.",
    )
    url_secret_ref: SecretKeyRef | None = Field(
        None,
        description="Source of a hand-made resource's download URL. Absent: the operator asks the storage.",
        json_schema_extra=rules(FIXED),
    )
    steps: Annotated[list[Step], Field(max_length=32)] | None = Field(
        None,
        description="The steps, in order. With an empty list the file is released at once. Absent: the steps "
        "that are configured for the operator.",
        json_schema_extra=rules(FIXED, STEPS),
    )
    retry_policy: RetryPolicy | None = Field(
        None,
        description="Defaults for all steps.",
        json_schema_extra=rules(FIXED),
    )
    stall_after_seconds: Seconds | None = Field(
        None,
        description="Default for all steps. Absent: 600.",
        json_schema_extra=rules(FIXED),
    )
    desired_state: DesiredState | None = Field(
        None,
        description="Active: the upload runs. Suspended: a running step may end, and no other step starts. "
        "Cancelled: the upload ends as cancelPolicy says. Absent: Active.",
    )
    cancel_policy: CancelPolicy | None = Field(
        None,
        description="How a cancelled upload ends. Abort: the storage keeps its bytes. Delete: the storage "
        "deletes them. Absent: Abort.",
    )
    restart: Restart | None = Field(
        None, description="A request to start again. The operator acts once on each new token."
    )
