"""What each stage means, for docs/api.md; a test keeps it complete."""

from uploadpp.core.states import NO_SERVICE, STALLED, Stage

STAGES: dict[Stage, str] = {
    Stage.PENDING: "The operator has not started the upload yet.",
    Stage.QUEUED: "It waits for a slot at a step (`maxInFlight`), or until it is well (`breakerAfter`).",
    Stage.RUNNING: "A step was told to start and has not answered.",
    Stage.DELAYING: "The upload waits in the step `delay`.",
    Stage.BACKING_OFF: "A step failed. The operator starts it again at `status.nextAttemptTime`.",
    Stage.HELD: "A step has no retries left and its `onExhausted` is Hold, or a policy holds the upload "
    "before it begins: resume, restart or cancel the upload.",
    Stage.SUSPENDED: "`spec.desiredState` is Suspended and no step is running.",
    Stage.AWAITING_URL: "The download URL is missing or expires soon; the storage was asked for a fresh one.",
    Stage.AWAITING_TURN: "All steps passed. The upload waits until an earlier upload of the same file is "
    "released, for `UPLOADPP_ORDER_TIMEOUT` at most.",
    Stage.AWAITING_READY: "The outcome was sent to the storage, which has not answered with UploadReady yet.",
    Stage.RELEASE_BACKING_OFF: "The storage failed to release the file. The operator asks again later.",
    Stage.COMPLETED: "All steps passed and the file is released.",
    Stage.DELETED: "A step answered `delete`, or its policy was Delete.",
    Stage.ABORTED: "A step answered `abort`; the storage keeps the bytes.",
    Stage.RETRIES_EXHAUSTED: "A step failed and had no retries left.",
    Stage.STEP_TIMED_OUT: "A step did not answer in time, and has no retries left.",
    Stage.CANCELLED: "The upload ended because `spec.desiredState` is Cancelled.",
    Stage.CLEANED: "A command of the storage removed the upload.",
    Stage.UPLOAD_FAILED: "The storage failed to release the file too often; resume the upload to try again.",
    Stage.GONE: "The storage has said several times that it no longer has the upload.",
    Stage.UNANSWERED: "The storage did not answer for too long, so the upload ended; resume it to try again.",
}

WORDS: dict[str, str] = {
    STALLED: "Running, AwaitingReady or AwaitingURL, and the answer is overdue; the condition `Stalled` says "
    "which service owes it.",
    NO_SERVICE: "Running or Queued, and no service listens for the step. This word is the reason of the "
    "condition `Unserved`; the reason of `Succeeded` is still the stage.",
    **{stage.value: meaning for stage, meaning in STAGES.items()},
}
"""What the column STATUS can say."""
