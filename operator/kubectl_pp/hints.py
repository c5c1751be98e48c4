"""Advice about an upload; pure, and written for people who see such an upload for the first time."""

from shlex import quote
from typing import NamedTuple

from kubectl_pp.times import human
from kubectl_pp.upload import DesiredState, Outcome, Stage, StepReason, Upload
from kubectl_pp.words import current

UNSEEN_SECONDS = 30
STALL_SECONDS = 600
"""The default of stallAfterSeconds."""


_UNWELL = "is not well since"
"""What the operator says on an upload that waits for its step's breaker to close."""
_ASKED = (Stage.AWAITING_READY, Stage.AWAITING_URL)


class Hint(NamedTuple):
    """One piece of advice; `command` is a verb of ours with its arguments, empty when there is none."""

    text: str
    command: str = ""


def hints(upload: Upload, now: float) -> list[Hint]:
    """Advice, the most useful first."""
    if upload.left_alone:
        return _left_alone(upload)
    found = []
    unseen = int(upload.meta.get("generation", 1)) > int(upload.status.get("observedGeneration", 0))
    if unseen and now - max(upload.since, upload.created) > UNSEEN_SECONDS:
        found.append(
            Hint("The operator has not acted on the last change of the spec. Is it running?", "doctor")
        )
    if upload.ended:
        return found + _ended(upload)
    if upload.unserved:
        return found + _unserved(upload)
    if upload.stuck:
        return found + _stuck(upload)
    if upload.stage == Stage.QUEUED:
        return [*found, _unwell(upload) if _UNWELL in upload.message else _queued(upload.step)]
    if upload.stage == Stage.AWAITING_TURN:
        return found + _behind(str((upload.status.get("order") or {}).get("after", "")))
    return found + _moving(upload, now)


def _left_alone(upload: Upload) -> list[Hint]:
    return [
        Hint(
            "Delete this resource: nothing comes of it, whatever it asks for. To run the upload from it "
            "nevertheless, create it again once the other one is gone."
        ),
        Hint("What happens to the upload, as long as it has another resource:", f"status {quote(upload.id)}"),
    ]


def _unserved(upload: Upload) -> list[Hint]:
    return [
        Hint(
            f"Start the service of step {upload.step}, or connect it to the same NATS. If it runs, does it "
            "listen for exactly this name?"
        ),
        Hint(
            "A service that is new does not get uploads that already wait. If this one does not continue, "
            "start the step once more:",
            f"resume {upload.name}",
        ),
        *_skip(upload),
        Hint("Or end the upload; its bytes are kept:", f"cancel {upload.name}"),
    ]


def _stuck(upload: Upload) -> list[Hint]:
    name, step = upload.name, upload.step
    resume = Hint("When the cause is fixed, resume it:", f"resume {name}")
    if upload.stage == Stage.RUNNING:
        return [
            Hint(
                f"No service has answered the step {step}. Is one running that listens for "
                "exactly this name, and is it connected to the same NATS? Look at its logs."
            ),
            Hint("When it runs again, start the step once more:", f"resume {name}"),
            Hint("For all uploads that wait for it:", f"resume -s {quote(step)}"),
            *_skip(upload),
            Hint("Or end the upload; its bytes are kept:", f"cancel {name}"),
        ]
    if upload.stage == Stage.HELD:
        now_at = current(upload)
        large = now_at is not None and now_at.reason == StepReason.TOO_LARGE
        cause = (
            f"The file is larger than the step {step} may get (maxFilesize)."
            if large
            else (
                f"The step {step} has no retries left, and its onExhausted is Hold. Its last message is "
                "above."
            )
        )
        return [
            Hint(cause),
            Hint("To let the file in anyway:", f"resume {name}") if large else resume,
            *_skip(upload),
            Hint("Or end the upload; its bytes are kept:", f"cancel {name}"),
        ]
    if upload.stage == Stage.AWAITING_URL:
        return [
            Hint(
                "The storage does not send a fresh download URL. Does storage-users run, and "
                "does it still have the upload? `storage-users uploads sessions --id "
                f"{upload.id}` of the ocis or opencloud program says so."
            ),
            resume,
        ]
    if upload.stage == Stage.AWAITING_READY:
        asked = Hint(
            "The storage was told the outcome and has not confirmed it. Does storage-users "
            "run with asynchronous uploads (OCIS_ASYNC_UPLOADS or OC_ASYNC_UPLOADS), and is "
            "it connected to the same NATS?"
        )
        if upload.outcome == Outcome.ABORT:
            return [
                asked,
                Hint("An abort is not repeated: that would make the storage remove the bytes."),
            ]
        return [asked, Hint("Ask it once more:", f"resume {name}")]
    return [Hint("The upload waits for an answer. The conditions say whose."), resume]


def _skip(upload: Upload) -> list[Hint]:
    names = [step.name for step in upload.steps]
    if upload.step not in names or names[-1] == upload.step:
        return []
    following = names[names.index(upload.step) + 1]
    text = f"Or leave {upload.step} out, at your own risk, in a new run:"
    return [Hint(text, f"restart {upload.name} --from-step {quote(following)}")]


def _moving(upload: Upload, now: float) -> list[Hint]:
    name, step = upload.name, current(upload)
    if upload.stage == Stage.PENDING:
        return [_not_started(now - upload.created)]
    if upload.stage == Stage.RUNNING and step is not None:
        limit = step.plan.get("stallAfterSeconds") or upload.spec.get("stallAfterSeconds") or STALL_SECONDS
        left = (step.started or now) + limit - now
        when = f"; if it does not within {human(left)}, it is reported as stalled" if left > 0 else ""
        return [Hint(f"Nothing: the service of step {step.name} has the file and will answer{when}.")]
    if upload.stage == Stage.BACKING_OFF:
        return [
            Hint("Nothing: the operator starts the step again automatically."),
            Hint("To start it now:", f"resume {name}"),
        ]
    if upload.stage == Stage.RELEASE_BACKING_OFF:
        return [
            Hint(
                "The storage failed to release the file. The operator asks it again "
                "automatically. The log of storage-users says why it failed."
            ),
            Hint("To ask it now:", f"resume {name}"),
        ]
    if upload.stage == Stage.DELAYING:
        return [
            Hint("Nothing: the configured delay is running."),
            Hint("To start the delay over:", f"resume {name}"),
        ]
    if upload.stage == Stage.SUSPENDED:
        return [Hint("It is suspended. To continue it:", f"unsuspend {name}")]
    if upload.desired == DesiredState.SUSPENDED:
        return [Hint("It is suspended after the current step. To continue it:", f"unsuspend {name}")]
    return [Hint("Nothing: the storage was asked and will answer.")] if upload.stage in _ASKED else []


def _behind(earlier: str) -> list[Hint]:
    text = "Nothing: it is released when the earlier upload of the same file has ended, or takes too long."
    return [Hint(text), *([Hint("What that one waits for:", f"status {quote(earlier)}")] if earlier else [])]


def _unwell(upload: Upload) -> Hint:
    text = (
        f"Nothing: step {upload.step} failed for several uploads in a row (breakerAfter). The operator "
        "starts it for one upload from time to time, and for all again once one gets a good answer. Until "
        "then this upload keeps its retries. The log of the step's service says what is wrong. How many wait:"
    )
    return Hint(text, "stats")


def _queued(step: str) -> Hint:
    text = (
        f"Nothing: step {step} has as many uploads as it may have at once (maxInFlight). Slots are "
        "shared fairly between users or spaces, by their weights. How many run there, and how "
        "many are queued:"
    )
    return Hint(text, "stats")


def _not_started(seconds: float) -> Hint:
    if seconds < UNSEEN_SECONDS:
        return Hint("Nothing: the operator will start it in a moment.")
    return Hint("The operator has not started it yet. Is it running?", "doctor")


def _unanswered(upload: Upload) -> Hint:
    text = "The storage has not answered for a long time. The log of storage-users says why."
    if upload.outcome == Outcome.ABORT:
        return Hint(f"{text} Nothing is sent again, because a second abort can remove the bytes.")
    return Hint(f"{text} To ask it again:", f"resume {upload.name}")


def _ended(upload: Upload) -> list[Hint]:
    name = upload.name
    if upload.stage == Stage.COMPLETED:
        return [Hint("Nothing: the storage has released the file.")]
    if upload.stage == Stage.UPLOAD_FAILED:
        return [
            Hint(
                "All steps passed, but the storage failed to release the file, and no "
                "retries are left. The log of storage-users says why."
            ),
            Hint("When the cause is fixed, ask it again:", f"resume {name}"),
        ]
    if upload.stage == Stage.CLEANED:
        return [Hint("Nothing: the upload was removed with the storage's own command.")]
    if upload.stage == Stage.GONE:
        return [
            Hint(
                "The storage does not have the upload any more: its file, folder or space was "
                "deleted. If this happens to every upload, asynchronous uploads are off: set "
                "OCIS_ASYNC_UPLOADS or OC_ASYNC_UPLOADS to true in storage-users."
            ),
            Hint("If the storage still has it:", f"restart {name}"),
        ]
    if upload.stage == Stage.UNANSWERED:
        return [_unanswered(upload)]
    if upload.outcome == Outcome.DELETE:
        return [Hint("The storage removed the upload. The user has to upload the file again.")]
    cause = {
        Stage.RETRIES_EXHAUSTED: (
            "A step failed more often than its retries allow. Its last message is above."
        ),
        Stage.STEP_TIMED_OUT: (
            "A step did not answer in time. Is its service running? Is timeoutSeconds too low?"
        ),
        Stage.ABORTED: "A step rejected the file. If that is right, there is nothing to do.",
        Stage.CANCELLED: "It was cancelled by a person.",
    }
    found = [Hint(text) for stage, text in cause.items() if stage == upload.stage]
    risk = (
        "The storage was told to abort the upload and keep its bytes. If a new run is aborted as well, "
        "the storage deletes them."
        if upload.outcome == Outcome.ABORT
        else "The storage was not told. If it has already ended the upload, a new run can lose the file."
    )
    return [*found, Hint(f"{risk} To begin one anyway:", f"restart {name} --force")]
