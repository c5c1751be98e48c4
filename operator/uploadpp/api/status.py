"""The status: where the upload stands. Only the operator writes it."""

from typing import Annotated

from pydantic import Field

from uploadpp.api.field_types import (
    ApiModel,
    Count,
    Count64,
    Message,
    Retries,
    Seconds,
    StepName,
    Time,
    Wait,
)
from uploadpp.api.spec import Step
from uploadpp.core.conditions import ConditionStatus, ConditionType
from uploadpp.core.states import OnExhausted, Outcome, StepReason, StepState


class ConditionModel(ApiModel):
    """One aspect of the upload, in the standard form of Kubernetes."""

    type: ConditionType = Field(
        description="Succeeded: the summary; its reason is the stage of the upload, or Stalled, and its "
        "status is Unknown until the upload ends. Finished: the upload has ended, with or without success. "
        "Acknowledged: the storage has confirmed the outcome. Stalled: a step or the storage does not "
        "answer, or the storage could not release the file. Suspended: a person has suspended the upload. "
        "Unserved: no service listens for the current step; absent otherwise.",
    )
    status: ConditionStatus = Field(description="True, False or Unknown.")
    reason: Annotated[str, Field(min_length=1, max_length=64, pattern="^[A-Za-z]+$")] = Field(
        description="The reason for the status, in one word.",
    )
    message: Message = Field(description="The reason for the status, for people. May be empty.")
    last_transition_time: Time = Field(description="When the status of this condition last changed.")
    observed_generation: Count64 | None = Field(
        None,
        description="The metadata.generation to which this condition applies.",
    )


class StreakModel(ApiModel):
    """The failures of this step in a row, of all uploads, up to that of this one. Only with breakerAfter."""

    start_time: Time | None = Field(None, description="When the first of these failures happened.")
    last_time: Time | None = Field(None, description="When this upload failed.")
    uploads: Count | None = Field(None, description="How many uploads had failed in a row by then.")
    open_time: Time | None = Field(None, description="When the step's breaker opened. Absent: it was closed.")
    counted: Count | None = Field(
        None, description="How many retries of this upload these failures have used. Absent: 0."
    )


class StepStatusModel(ApiModel):
    """What has happened to one step in the current run."""

    name: StepName = Field(description="Name of the step.")
    state: StepState = Field(
        description="Waiting: the step has not started. Running: its service was told to start. BackingOff: "
        "the last attempt failed and another one follows. Held: it failed, and the upload waits for a "
        "person. Succeeded, Failed, Skipped: the step has ended.",
    )
    attempts: Count | None = Field(None, description="How often the step was started. Absent: 0.")
    retries: Count | None = Field(None, description="How often the step failed and was retried. Absent: 0.")
    start_time: Time | None = Field(None, description="When the last attempt started.")
    finish_time: Time | None = Field(None, description="When the last attempt ended.")
    outcome: Outcome | None = Field(None, description="The last answer of its service.")
    reason: StepReason | None = Field(None, description="Why the step failed or was cut short, in one word.")
    message: Message | None = Field(None, description="The message of its service.")
    streak: StreakModel | None = Field(
        None,
        description="The failures of the step in a row, if breakerAfter is set. Removed when the step works "
        "again.",
    )


class PlannedStep(Step):
    """A step of the plan. Fields that are absent have fixed defaults; spec.retryPolicy does not apply."""

    name: StepName = Field(
        description="Name of the step. Its service listens for this name. spec.steps may not accept it."
    )
    stall_after_seconds: Seconds | None = Field(
        None,
        description="Time after which a step without an answer is reported as Stalled. Absent: 600.",
    )
    max_retries: Retries | None = Field(None, description="Retries of the step. Absent: 14.")
    backoff_seconds: Wait | None = Field(
        None, description="Pause before the first retry. It doubles with each further retry. Absent: 5."
    )
    max_backoff_seconds: Wait | None = Field(None, description="Longest pause. Absent: 43200 (12 hours).")
    on_exhausted: OnExhausted | None = Field(
        None, description="What happens when no retries are left, as in spec.retryPolicy. Absent: Abort."
    )


class LogPositionModel(ApiModel):
    """The position up to which the event stream is applied to this upload."""

    stream: Annotated[str, Field(max_length=128)] | None = Field(
        None,
        description="The stream: its name and the time of its creation.",
    )
    sequence: Count64 | None = Field(None, description="Position of the last applied message. Absent: 0.")
    start: Count64 | None = Field(
        None,
        description="Position of the last command for the upload. Only answers after it count.",
    )


class FileOrderModel(ApiModel):
    """The position of the upload among the uploads of the same file that are in flight."""

    after: Annotated[str, Field(max_length=128)] | None = Field(
        None, description="Id of the upload that is released before this one. Absent: there was none."
    )
    arrival: Count64 | None = Field(
        None, description="Position of the announcement, if another upload of the file was in flight then."
    )
    state: Annotated[str, Field(max_length=16)] | None = Field(
        None,
        description="Left: this upload had ended and was resumed. It waits for no other upload, and no other "
        "upload waits for it. Absent: it is released in its turn.",
    )


class PolicyModel(ApiModel):
    """The rule of a PostprocessingPolicy that chose the steps when the upload arrived."""

    name: Annotated[str, Field(max_length=253)] | None = Field(None, description="Name of the policy.")
    generation: Count64 | None = Field(
        None, description="The metadata.generation of the policy at that time."
    )
    rule: Annotated[str, Field(max_length=63)] | None = Field(None, description="Name of the rule in it.")
    priority_class: Annotated[str, Field(max_length=63)] | None = Field(
        None, description="The priority class that the rule names. Absent: none."
    )
    state: Annotated[str, Field(max_length=16)] | None = Field(
        None, description="Held: the rule holds the upload until a person decides. Absent: it does not."
    )


class UploadPostprocessingStatus(ApiModel):
    """The state of the upload. Only the operator writes it."""

    observed_generation: Count64 | None = Field(
        None,
        description="The last metadata.generation on which the operator has acted.",
    )
    conditions: Annotated[list[ConditionModel], Field(max_length=8)] | None = Field(
        None,
        description="The column STATUS shows the reason of the first condition: Succeeded, or Unserved while "
        "no service listens for the step. Select conditions by type, not by position. `kubectl wait "
        "--for=condition=Finished` waits until the upload ends, with or without success.",
    )
    current_step: Annotated[str, Field(max_length=63)] | None = Field(
        None,
        description="The current step. `finished` when no step follows: the outcome was sent to the storage, "
        "or will be. Absent before the first step and after the end.",
    )
    progress: Annotated[str, Field(max_length=8, pattern="^[0-9]+/[0-9]+$")] | None = Field(
        None,
        description="Number of steps that have ended, and of all steps.",
    )
    outcome: Outcome | None = Field(None, description="The outcome that was sent to the storage.")
    retry_count: Count | None = Field(None, description="Retries of all steps in the current run.")
    message: Message | None = Field(
        None,
        description="What is unusual about the upload, for example why a restart was refused.",
    )
    stage_time: Time | None = Field(
        None,
        description="When the upload entered its stage, which is the reason of the condition Succeeded.",
    )
    start_time: Time | None = Field(None, description="When the current run began.")
    next_attempt_time: Time | None = Field(None, description="When the delay or the back-off ends.")
    completion_time: Time | None = Field(None, description="When the upload ended.")
    expiration_time: Time | None = Field(None, description="When the operator removes this resource.")
    run: Count | None = Field(
        None, description="Number of the current run. It begins at 1 and grows by one with each restart."
    )
    finishes: Count | None = Field(
        None,
        description="How often the outcome was sent to the storage in the current run. Absent: 0.",
    )
    releases: Count | None = Field(
        None,
        description="How often the storage failed to release the file in the current run. Absent: 0.",
    )
    url_requests: Count | None = Field(
        None,
        description="How often the operator asked the storage for a fresh URL in the current run. Absent: 0.",
    )
    restarts: Count | None = Field(
        None, description="How many requests in spec.restart were granted. Absent: 0."
    )
    observed_token: Annotated[str, Field(max_length=64)] | None = Field(
        None,
        description="The last spec.restart.token on which the operator has acted.",
    )
    steps: Annotated[list[StepStatusModel], Field(max_length=32)] | None = Field(
        None,
        description="What has happened to each step in the current run, in order.",
    )
    plan: Annotated[list[PlannedStep], Field(max_length=32)] | None = Field(
        None,
        description="The steps of the upload with their settings, if spec.steps does not or cannot list them."
        " A change of the operator's settings does not change them.",
    )
    sealed_with: Annotated[str, Field(max_length=16)] | None = Field(
        None,
        description="Fingerprint of the key with which the operator sealed spec.sealed. A user who may edit "
        "resources can change spec.sealed, but not this field.",
    )
    uid: Annotated[str, Field(max_length=64)] | None = Field(
        None,
        description="The metadata.uid of the resource for which this status was written. If they differ, the "
        "resource was restored from a backup.",
    )
    policy: PolicyModel | None = Field(
        None,
        description="The policy that chose the steps. A later change of the policy does not change them. "
        "Absent: no policy did.",
    )
    order: FileOrderModel | None = Field(
        None, description="Its position among the uploads of the same file. Absent: there was no other."
    )
    log: LogPositionModel | None = Field(
        None, description="The position up to which the event stream is applied."
    )
