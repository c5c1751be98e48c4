"""The status: where the upload stands. Only the operator writes it."""

from typing import Annotated

from pydantic import Field

from uploadpp.api.field_types import ApiModel, Count, Count64, Message, StepName, Time
from uploadpp.api.spec import Step
from uploadpp.core.conditions import ConditionStatus, ConditionType
from uploadpp.core.states import Outcome, StepReason, StepState


class ConditionModel(ApiModel):
    """One aspect of the upload, in the form all Kubernetes tools know."""

    type: ConditionType = Field(
        description="Succeeded: the summary, whose reason says where the upload stands; Unknown "
        "until it ends. Finished: whether it has ended, well or not. Acknowledged: whether the storage "
        "has carried out the outcome. Stalled: somebody does not answer. Suspended: it waits because a "
        "person asked for that. Unserved: no service listens for the current step; absent otherwise.",
    )
    status: ConditionStatus = Field(description="True, False or Unknown.")
    reason: Annotated[str, Field(min_length=1, max_length=64, pattern="^[A-Za-z]+$")] = Field(
        description="Why, in one word.",
    )
    message: Message = Field(description="Why, for a person; may be empty.")
    last_transition_time: Time = Field(description="When the status of this condition last changed.")
    observed_generation: Count64 | None = Field(
        None,
        description="The metadata.generation this condition is about.",
    )


class StepStatusModel(ApiModel):
    """What has happened to one step in the present run."""

    name: StepName = Field(description="Name of the step.")
    state: StepState = Field(
        description="Waiting: not yet its turn. Running: its service was told to start. BackingOff: it "
        "failed and starts again. Held: it failed and waits for a person. Succeeded, Failed, Skipped: it "
        "is over.",
    )
    attempts: Count | None = Field(None, description="How often it was started. Absent: 0.")
    retries: Count | None = Field(None, description="How often it failed and was retried. Absent: 0.")
    start_time: Time | None = Field(None, description="When the last attempt started.")
    finish_time: Time | None = Field(None, description="When the last attempt ended.")
    outcome: Outcome | None = Field(None, description="What its service answered last.")
    reason: StepReason | None = Field(None, description="Why it failed or was cut short, in one word.")
    message: Message | None = Field(None, description="What its service said about that.")


class PlannedStep(Step):
    """A step with a name that no spec takes."""

    name: StepName = Field(description="The word the step's service listens for.")


class LogPositionModel(ApiModel):
    """How far the event stream has been applied to this upload."""

    stream: Annotated[str, Field(max_length=128)] | None = Field(
        None,
        description="Which stream: its name and when it was created.",
    )
    sequence: Count64 | None = Field(None, description="The last message that was applied. Absent: 0.")
    start: Count64 | None = Field(
        None,
        description="The message that last told somebody to do something; answers count only after it.",
    )


class FileOrderModel(ApiModel):
    """Where the upload stands among those of the same file that are under way."""

    after: Annotated[str, Field(max_length=128)] | None = Field(
        None, description="The id of the upload that is released before this one. Absent: there was none."
    )
    arrival: Count64 | None = Field(
        None, description="The message that announced this upload, where another one was under way."
    )
    state: Annotated[str, Field(max_length=16)] | None = Field(
        None,
        description="Left: this upload has been over, and goes on. It waits for no other, and none for it. "
        "Absent: it is released in its turn.",
    )


class UploadPostprocessingStatus(ApiModel):
    """Where the upload stands. Only the operator writes it."""

    observed_generation: Count64 | None = Field(
        None,
        description="The metadata.generation the operator has acted on.",
    )
    conditions: Annotated[list[ConditionModel], Field(max_length=8)] | None = Field(
        None,
        description="What the column STATUS shows first: Succeeded, or Unserved while no service listens for "
        "the step. Take them by their type. `kubectl wait --for=condition=Finished` waits for any end.",
    )
    current_step: Annotated[str, Field(max_length=63)] | None = Field(
        None,
        description="The step being worked on; `finished` once the storage was told the outcome; absent "
        "before the start and after the end.",
    )
    progress: Annotated[str, Field(max_length=8, pattern="^[0-9]+/[0-9]+$")] | None = Field(
        None,
        description="How many of the steps are over.",
    )
    outcome: Outcome | None = Field(None, description="What the storage was told to do with the file.")
    retry_count: Count | None = Field(None, description="Retries of all steps in the present run.")
    message: Message | None = Field(
        None,
        description="What is out of the ordinary, for example why a restart was refused.",
    )
    stage_time: Time | None = Field(
        None,
        description="Since when the upload stands where the reason of Succeeded says.",
    )
    start_time: Time | None = Field(None, description="When the present run began.")
    next_attempt_time: Time | None = Field(None, description="When a delay or back-off is over.")
    completion_time: Time | None = Field(None, description="When the upload ended.")
    expiration_time: Time | None = Field(None, description="When the operator removes this resource.")
    run: Count | None = Field(None, description="The number of the present run: 1, and one more per restart.")
    finishes: Count | None = Field(
        None,
        description="How often the storage was told the outcome in the present run. Absent: 0.",
    )
    releases: Count | None = Field(
        None,
        description="How often the storage failed to release the file in the present run. Absent: 0.",
    )
    url_requests: Count | None = Field(
        None,
        description="How often the storage was asked for a fresh URL in the present run. Absent: 0.",
    )
    restarts: Count | None = Field(
        None, description="How many wishes in spec.restart were granted. Absent: 0."
    )
    observed_token: Annotated[str, Field(max_length=64)] | None = Field(
        None,
        description="The spec.restart.token last acted on.",
    )
    steps: Annotated[list[StepStatusModel], Field(max_length=32)] | None = Field(
        None,
        description="What has happened to each step in the present run, in order.",
    )
    plan: Annotated[list[PlannedStep], Field(max_length=32)] | None = Field(
        None,
        description="The steps with their settings, where spec.steps does not list them or cannot: what an "
        "upload was planned with does not change with the operator's settings.",
    )
    sealed_with: Annotated[str, Field(max_length=16)] | None = Field(
        None,
        description="The fingerprint of the key with which the operator has sealed spec.sealed. Who may edit "
        "resources can change that field, but not this one.",
    )
    uid: Annotated[str, Field(max_length=64)] | None = Field(
        None,
        description="The metadata.uid of the resource this status was written for. Another one shows that "
        "the resource was restored from a backup.",
    )
    order: FileOrderModel | None = Field(
        None, description="Its place among uploads of the same file. Absent: it was the only one."
    )
    log: LogPositionModel | None = Field(None, description="How far the event stream has been applied.")
