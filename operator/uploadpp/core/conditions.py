"""The conditions of an upload, and one sentence that says what it waits for.

Both are computed from the state alone, so nothing about them is stored or can go stale.
`Succeeded` and `Finished` are there from the start; `Acknowledged`, `Stalled` and
`Suspended` only once they mean something (each costs bytes in every write).

`Unserved` is the exception: it tells what was found out about the services of steps, which the state of
an upload does not contain. It is shown and never believed (docs/adr/0053).
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from uploadpp.core.model import MAX_MESSAGE, Millis, StepStatus, Upload
from uploadpp.core.states import (
    NO_SERVICE,
    STALL_REASONS,
    STALLED,
    UNSERVED,
    DesiredState,
    Outcome,
    Stage,
    StepReason,
    StepState,
)

ACKNOWLEDGED = frozenset(
    {
        Stage.COMPLETED,
        Stage.DELETED,
        Stage.ABORTED,
        Stage.RETRIES_EXHAUSTED,
        Stage.STEP_TIMED_OUT,
        Stage.CANCELLED,
    },
)
CANCELLED_UNTOLD = (
    "cancelled as requested; the storage was not told, because it may already have received an outcome"
)
"""What such an upload says until it is deleted. It tells that no UploadReady came (`_acknowledged`)."""


class ConditionType(StrEnum):
    """The condition types of an UploadPostprocessing."""

    SUCCEEDED = "Succeeded"
    FINISHED = "Finished"
    ACKNOWLEDGED = "Acknowledged"
    STALLED = "Stalled"
    SUSPENDED = "Suspended"
    UNSERVED = UNSERVED


class ConditionStatus(StrEnum):
    """The three states of a Kubernetes condition."""

    TRUE = "True"
    FALSE = "False"
    UNKNOWN = "Unknown"


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition; `since` is when its status last changed, in ms."""

    type: ConditionType
    status: ConditionStatus
    reason: str
    message: str
    since: Millis


class Unserved(NamedTuple):
    """A step that no service listens for, and since when an upload is known to wait for one, in ms."""

    step: str
    since: Millis


def may_be_unserved(upload: Upload) -> bool:
    """Whether an upload waits for the service of its current step, and nothing worse is known."""
    return upload.stage in {Stage.RUNNING, Stage.QUEUED} and upload.stalled_at is None


def conditions(upload: Upload, unserved: Unserved | None = None) -> tuple[Condition, ...]:
    """All conditions of an upload: what the STATUS column shows first, which is the summary or `Unserved`."""
    stage, ended = upload.stage, upload.stage.ended
    begun = upload.started_at or upload.since
    since = (upload.completed_at or upload.since) if ended else begun
    succeeded = ConditionStatus.UNKNOWN
    if ended:
        succeeded = ConditionStatus.TRUE if stage is Stage.COMPLETED else ConditionStatus.FALSE
    found = [
        Condition(ConditionType.SUCCEEDED, succeeded, _where(upload), describe(upload), since),
        Condition(
            ConditionType.FINISHED,
            ConditionStatus.TRUE if ended else ConditionStatus.FALSE,
            "Ended" if ended else "InProgress",
            "",
            since,
        ),
    ]
    if upload.finishes:
        found.append(_acknowledged(upload))
    if upload.stalled_at is not None:
        reason = STALL_REASONS[stage]
        found.append(
            Condition(ConditionType.STALLED, ConditionStatus.TRUE, reason, upload.message, upload.stalled_at),
        )
    if upload.control.desired is DesiredState.SUSPENDED and not ended:
        message = "set spec.desiredState to Active to continue"
        found.append(
            Condition(ConditionType.SUSPENDED, ConditionStatus.TRUE, "Requested", message, upload.since),
        )
    if unserved is not None and unserved.step == upload.current_step and may_be_unserved(upload):
        found.insert(0, _unserved(unserved))
    return tuple(found)


def _unserved(unserved: Unserved) -> Condition:
    text = f"no service listens for step {unserved.step}; start one, then resume the upload if it still waits"
    return Condition(ConditionType.UNSERVED, ConditionStatus.TRUE, NO_SERVICE, text, unserved.since)


def _acknowledged(upload: Upload) -> Condition:
    if upload.stage in ACKNOWLEDGED and upload.message != CANCELLED_UNTOLD:
        status, reason = ConditionStatus.TRUE, "UploadReady"
    elif upload.stage in {Stage.RELEASE_BACKING_OFF, Stage.UPLOAD_FAILED}:
        status, reason = ConditionStatus.FALSE, "ReleaseFailed"
    else:
        status, reason = ConditionStatus.UNKNOWN, "NoAnswerYet"
    return Condition(ConditionType.ACKNOWLEDGED, status, reason, "", upload.since)


def _where(upload: Upload) -> str:
    """The stage, or that nobody answers, which matters more: the reason of `Stalled` then gives the stage."""
    return STALLED if upload.stalled_at is not None and not upload.stage.ended else upload.stage


def describe(upload: Upload) -> str:
    """What the upload waits for, or how it ended, for a person who sees only this."""
    text = _end(upload) if upload.stage.ended else _waits(upload)
    if upload.message:
        text = upload.message if upload.stage.ended else f"{text}; {upload.message}"
    return text[:MAX_MESSAGE]


def _waits(upload: Upload) -> str:
    step = upload.current_step
    match upload.stage:
        case Stage.PENDING | Stage.QUEUED | Stage.AWAITING_TURN:
            text = f"waiting for {_awaited(upload)}"
        case Stage.RUNNING:
            text = f"waiting for step {step} to answer (attempt {upload.step.attempts})"
        case Stage.DELAYING:
            text = "waiting for the configured delay to end"
        case Stage.BACKING_OFF:
            text = f"step {step} failed{_said(upload.step)}; the operator retries it automatically"
        case Stage.SUSPENDED:
            text = "suspended; set spec.desiredState to Active to continue"
        case Stage.AWAITING_URL:
            text = _asked(upload)
        case Stage.AWAITING_READY:
            text = f"the storage was told to {_order(upload.outcome)}; waiting for its UploadReady"
        case Stage.RELEASE_BACKING_OFF:
            tried = f"the storage failed to release the file (attempt {upload.releases})"
            text = f"{tried}; the operator asks it again automatically"
        case Stage.HELD if upload.is_held_unbegun:
            return "not begun"
        case Stage.HELD if upload.step.reason is StepReason.TOO_LARGE:
            text = f"step {step} was not started{_said(upload.step)}; resume, restart or cancel the upload"
        case _:
            text = (
                f"step {step} has no retries left{_said(upload.step)}; resume, restart or cancel the upload"
            )
    return text


def _awaited(upload: Upload) -> str:
    if upload.stage is Stage.PENDING:
        return "the operator to start it"
    if upload.stage is Stage.QUEUED:
        return f"a slot at step {upload.current_step}"
    return f"upload {upload.order.after} of the same file, which arrived earlier, to end"


def _asked(upload: Upload) -> str:
    """What the storage was asked for with RestartPostprocessing."""
    if upload.cursor == len(upload.plan):
        return "the storage was asked to announce the upload, which is known only from this resource"
    return f"step {upload.current_step} needs a fresh download URL; waiting for the storage to send one"


def _said(step: StepStatus) -> str:
    return f": {step.message}" if step.message else ""


def _order(outcome: Outcome | None) -> str:
    match outcome:
        case Outcome.ABORT:
            return "abort the upload and keep its bytes"
        case Outcome.DELETE:
            return "delete the upload"
        case _:
            return "release the file"


def _end(upload: Upload) -> str:
    if upload.stage is Stage.COMPLETED:
        pairs = zip(upload.plan, upload.steps, strict=False)  # no steps before the first run
        others = [plan.name for plan, step in pairs if step.state is not StepState.SUCCEEDED]
        passed = f"steps that did not pass: {', '.join(others)}" if others else "all steps passed"
        if upload.policy is not None and not upload.plan:
            passed = f"rule {upload.policy.rule} of policy {upload.policy.name} runs no steps"
        return f"{passed}; the storage released the file"
    decider = upload.decider
    if decider is not None and upload.stage is not Stage.CANCELLED:
        step, name = upload.steps[decider], upload.plan[decider].name
        if step.reason is StepReason.FINISHED_ELSEWHERE:
            return f"another service told the storage to {_order(upload.outcome)} during step {name}"
        did = f"answered {step.outcome}" if step.reason is StepReason.REJECTED else "had no retries left"
        return f"step {name} {did}{_said(step)}"
    if upload.outcome is not None and upload.stage in {Stage.ABORTED, Stage.DELETED}:
        return f"the storage was told to {_order(upload.outcome)}"
    return {
        Stage.CANCELLED: "cancelled as requested",
        Stage.UPLOAD_FAILED: "the storage failed to release the file; resume to try again",
    }.get(upload.stage, f"ended: {upload.stage}")
