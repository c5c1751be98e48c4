"""The words of the state machine: stages, step states, outcomes, policies.

Values are what people read in `kubectl get`; they never change without an API version.
"""

from enum import StrEnum
from functools import cached_property


class Word(StrEnum):
    """A word with the hash of its text. `Enum` computes one in Python, several times for each event."""

    __hash__ = str.__hash__


class Stage(Word):
    """Where an upload stands; the value is the reason of its `Succeeded` condition, unless it is stalled."""

    PENDING = "Pending"
    QUEUED = "Queued"
    RUNNING = "Running"
    DELAYING = "Delaying"
    BACKING_OFF = "BackingOff"
    HELD = "Held"
    SUSPENDED = "Suspended"
    AWAITING_URL = "AwaitingURL"
    AWAITING_TURN = "AwaitingTurn"
    AWAITING_READY = "AwaitingReady"
    RELEASE_BACKING_OFF = "ReleaseBackOff"
    COMPLETED = "Completed"
    DELETED = "Deleted"
    ABORTED = "Aborted"
    RETRIES_EXHAUSTED = "RetriesExhausted"
    STEP_TIMED_OUT = "StepTimedOut"
    CANCELLED = "Cancelled"
    CLEANED = "Cleaned"
    UPLOAD_FAILED = "UploadFailed"
    GONE = "Gone"
    UNANSWERED = "Unanswered"

    @cached_property  # asked about thirty times for each upload
    def ended(self) -> bool:
        """Whether nothing more happens to the upload unless a person asks for it."""
        return self in ENDED

    @property
    def in_step(self) -> bool:
        """Whether a step is current: it runs, waits for its next attempt, or is held."""
        return self in IN_STEP


ENDED = frozenset(
    {
        Stage.COMPLETED,
        Stage.DELETED,
        Stage.ABORTED,
        Stage.RETRIES_EXHAUSTED,
        Stage.STEP_TIMED_OUT,
        Stage.CANCELLED,
        Stage.CLEANED,
        Stage.UPLOAD_FAILED,
        Stage.GONE,
        Stage.UNANSWERED,
    },
)
UNHEARD = frozenset({Stage.GONE, Stage.UNANSWERED})
"""Ends without an answer of the storage: a later one counts, and a person may retry."""

IN_STEP = frozenset(
    {
        Stage.QUEUED,
        Stage.RUNNING,
        Stage.DELAYING,
        Stage.BACKING_OFF,
        Stage.HELD,
        Stage.SUSPENDED,
        Stage.AWAITING_URL,
        Stage.AWAITING_TURN,
    },
)


STALLED = "Stalled"
"""The reason of `Succeeded` while somebody does not answer, instead of the stage."""


class StallReason(Word):
    """Who does not answer: the reason of the condition `Stalled`, one for each stage that can stall."""

    NO_ANSWER_FROM_STEP = "NoAnswerFromStep"
    NO_UPLOAD_READY = "NoUploadReady"
    NO_FRESH_URL = "NoFreshURL"
    RELEASE_FAILED = "ReleaseFailed"


STALL_REASONS = {
    Stage.RUNNING: StallReason.NO_ANSWER_FROM_STEP,
    Stage.AWAITING_READY: StallReason.NO_UPLOAD_READY,
    Stage.AWAITING_URL: StallReason.NO_FRESH_URL,
    Stage.UPLOAD_FAILED: StallReason.RELEASE_FAILED,
}
STALLED_STAGES = {reason: stage for stage, reason in STALL_REASONS.items()}

UNSERVED = "Unserved"
"""The condition of an upload at a step that no service listens for. No rule reads it."""
NO_SERVICE = "NoService"
"""Its reason, which the STATUS column shows instead of the stage."""


class StepState(Word):
    """Where one step of an upload stands."""

    WAITING = "Waiting"
    RUNNING = "Running"
    BACKING_OFF = "BackingOff"
    HELD = "Held"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"
    SKIPPED = "Skipped"


class StepReason(Word):
    """Why a step failed or was cut short."""

    REJECTED = "Rejected"
    RETRIES_EXHAUSTED = "RetriesExhausted"
    TIMED_OUT = "TimedOut"
    TOO_LARGE = "TooLarge"
    CANCELLED = "Cancelled"
    CLEANED = "Cleaned"
    GONE = "Gone"
    RELEASED_ELSEWHERE = "ReleasedElsewhere"
    FINISHED_ELSEWHERE = "FinishedElsewhere"
    BEFORE_RESTART = "BeforeRestart"
    """The restart began with a later step, as it was asked to."""
    UNANSWERED = "Unanswered"
    """The storage was told the outcome, and no answer of the step is known."""


OUT_OF_RETRIES = frozenset({StepReason.RETRIES_EXHAUSTED, StepReason.TIMED_OUT})
"""Why a step has failed that had no retries left; `onExhausted` says what follows."""


class Outcome(Word):
    """The four words of the wire; RETRY never ends an upload."""

    CONTINUE = "continue"
    RETRY = "retry"
    ABORT = "abort"
    DELETE = "delete"


class OnExhausted(Word):
    """What happens when a step has used up its retries; the legacy service aborts (F12)."""

    ABORT = "Abort"
    HOLD = "Hold"
    CONTINUE = "Continue"
    DELETE = "Delete"


class OnTooLarge(Word):
    """What happens at a step to a file that is larger than its `maxFilesize`."""

    SKIP = "Skip"
    HOLD = "Hold"


class RequiredResult(Word):
    """What a step's `continue` has to bring; SCAN is a scan result with its time and without an error."""

    OPTIONAL = "Optional"
    SCAN = "Scan"


class DesiredState(Word):
    """What a person wants of the upload (`spec.desiredState`)."""

    ACTIVE = "Active"
    SUSPENDED = "Suspended"
    CANCELLED = "Cancelled"


class CancelPolicy(Word):
    """How a cancelled upload ends: with its bytes kept (ABORT) or removed (DELETE)."""

    ABORT = "Abort"
    DELETE = "Delete"


class RestartMode(Word):
    """What `spec.restart` asks for.

    RESUME_STEP is for all uploads in the step of this one; FORCE_RESTART also for those after an abort (F13).
    """

    RESUME = "Resume"
    RESUME_STEP = "ResumeStep"
    RESTART = "Restart"
    FORCE_RESTART = "ForceRestart"


class Ignored(Word):
    """Why an input changed nothing; the label of `uploadpp_inputs_ignored_total`."""

    UNKNOWN_UPLOAD = "UnknownUpload"
    ALREADY_APPLIED = "AlreadyApplied"
    DUPLICATE = "Duplicate"
    NOT_CURRENT_STEP = "NotCurrentStep"
    NOT_RUNNING = "NotRunning"
    BEFORE_START = "BeforeStart"
    UPLOAD_ENDED = "UploadEnded"
    UPLOAD_ABORTED = "UploadAborted"
    HELD = "Held"
    NOT_AWAITED = "NotAwaited"
    SUSPENDED = "Suspended"
    NOTHING_DUE = "NothingDue"
    OTHER_STEP = "OtherStep"
    NO_RULE = "NoRule"
