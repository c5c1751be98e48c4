"""What each stage means, for docs/api.md; a test keeps it complete."""

from uploadpp.core.states import NO_SERVICE, STALLED, Stage

STAGES: dict[Stage, str] = {
    Stage.PENDING: "The operator has not started it yet.",
    Stage.QUEUED: "It waits for a slot at a step that is at no more than `maxInFlight` uploads at once.",
    Stage.RUNNING: "A step was told to start and has not answered.",
    Stage.DELAYING: "The step `delay` lets time pass.",
    Stage.BACKING_OFF: "A step failed. The operator starts it again at `status.nextAttemptTime`.",
    Stage.HELD: "A step has no retry left and its policy is Hold: resume, restart or cancel the upload.",
    Stage.SUSPENDED: "`spec.desiredState` is Suspended and no step is running.",
    Stage.AWAITING_URL: "The download URL is missing or expires soon; the storage was asked for a fresh one.",
    Stage.AWAITING_TURN: "All steps passed. An earlier upload of the same file is released first; how long "
    "that may take is `UPLOADPP_ORDER_TIMEOUT`.",
    Stage.AWAITING_READY: "The storage was told the outcome and has not answered with UploadReady.",
    Stage.RELEASE_BACKING_OFF: "The storage failed to release the file. The operator asks again later.",
    Stage.COMPLETED: "All steps passed and the file is released.",
    Stage.DELETED: "A step answered `delete`, or its policy was Delete.",
    Stage.ABORTED: "A step answered `abort`; the storage keeps the bytes.",
    Stage.RETRIES_EXHAUSTED: "A step failed more often than it may.",
    Stage.STEP_TIMED_OUT: "A step did not answer in time, and has no retry left.",
    Stage.CANCELLED: "Ended because `spec.desiredState` is Cancelled.",
    Stage.CLEANED: "The storage's own command removed the upload.",
    Stage.UPLOAD_FAILED: "The storage failed to release the file as often as it may; resume to try again.",
    Stage.GONE: "The storage has said several times that it does not have the upload any more.",
    Stage.UNANSWERED: "The storage did not answer for so long that the upload ended; resume to try again.",
}

WORDS: dict[str, str] = {
    STALLED: "Running, AwaitingReady or AwaitingURL, and the answer is overdue; the condition `Stalled` says "
    "whose.",
    NO_SERVICE: "Running or Queued, and no service listens for the step. Here the word is the reason of the "
    "condition `Unserved`; that of `Succeeded` still is the stage.",
    **{stage.value: meaning for stage, meaning in STAGES.items()},
}
"""What the column STATUS can say."""
