"""Everything that can happen to an upload.

An input from the log carries no sequence number here: whether it was applied before is
the reader's question (`core.replay`), not the machine's.
"""

from dataclasses import dataclass, field

from uploadpp.core.commands import Mark
from uploadpp.core.model import Control, FileInfo, Origin, Streak
from uploadpp.core.plan_text import Planned
from uploadpp.core.policy import Choice


@dataclass(frozen=True, slots=True)
class Follows:
    """An earlier upload of the same file, `upload_id`, is under way and is released first.

    `arrival` is the position of this upload's announcement in the log, where that has just been read.
    """

    upload_id: str
    arrival: int = 0


@dataclass(frozen=True, slots=True)
class Foremost:
    """No earlier upload of the same file is under way."""


@dataclass(frozen=True, slots=True)
class BytesReceived:
    """The storage has all bytes (or answers RestartPostprocessing)."""

    origin: Origin = field(repr=False)
    file: FileInfo
    earlier: "tuple[Input, ...]" = field(default=(), repr=False)
    """What the log has said of the upload before, when it was not known yet."""
    follows: Follows | None = field(default=None, repr=False)
    """Set where another upload of the same file is under way."""
    choice: Choice | None = field(default=None, repr=False)
    """What a policy says of an upload that arrives; None where none matches."""
    control: Control = field(default=Control(), repr=False)
    """What a person's resource asks for that is there already: the desired state, and how to cancel."""


@dataclass(frozen=True, slots=True)
class StepFinished:
    """A step service has answered. `outcome` is its word, unchecked.

    `scanned` says whether its result proves that a scan was done. `streak` is that of the step if the answer
    is a failure; None where the step has no breaker.
    """

    step: str
    outcome: str
    message: str = ""
    scanned: bool = False
    streak: Streak | None = None


@dataclass(frozen=True, slots=True)
class UploadReady:
    """The storage has released the file, or failed to."""

    failed: bool


@dataclass(frozen=True, slots=True)
class Resume:
    """ResumePostprocessing; `step` set means: only uploads in that step.

    `token` is that of `spec.restart` when it was a request there that we have published.
    """

    step: str = ""
    token: str = ""


@dataclass(frozen=True, slots=True)
class CleanUpload:
    """The storage's CLI has thrown the upload away."""


@dataclass(frozen=True, slots=True)
class Published:
    """One of our own commands, met in the log: proof that it went out.

    It proves that something was begun, never how a step has ended (invariant 2.9).
    `sequence` is its position, which later answers are compared with; `planned` is the plan that
    it was published by, which events of earlier versions do not tell. `streak` is that of the step if a
    time-out had led to it.
    """

    mark: Mark
    sequence: int
    planned: Planned | None = None
    streak: Streak | None = None


@dataclass(frozen=True, slots=True)
class StartedElsewhere:
    """StartPostprocessingStep of another service, at this position of the log."""

    step: str
    sequence: int


@dataclass(frozen=True, slots=True)
class RetriedElsewhere:
    """PostprocessingRetry of another service: nobody needs ours as well."""


@dataclass(frozen=True, slots=True)
class FinishedElsewhere:
    """PostprocessingFinished of another service, at this position of the log; `outcome` is its word."""

    outcome: str
    sequence: int


ELSEWHERE = (StartedElsewhere, RetriedElsewhere, FinishedElsewhere)
"""What another service that drives the stream publishes."""


@dataclass(frozen=True, slots=True)
class SpecChanged:
    """The resource was made or edited by a person, or looked at after downtime."""

    control: Control


@dataclass(frozen=True, slots=True)
class Absent:
    """The storage says that there is nothing behind the download URL: HTTP `status`, 404 or 410.

    `lasting` means that it has said so several times, with time in between.
    """

    status: int
    lasting: bool


@dataclass(frozen=True, slots=True)
class Tick:
    """The time that `wake_at` returned has come.

    `streak` is that of the step if it has not answered until now.
    """

    streak: Streak | None = None


@dataclass(frozen=True, slots=True)
class Granted:
    """A slot at the step the upload is queued for is free, and it is this upload's turn."""


@dataclass(frozen=True, slots=True)
class BreakerOpened:
    """The breaker of a step has opened: the upload is part of the streak, or waits; `why` is for people."""

    step: str
    streak: Streak
    why: str = ""


@dataclass(frozen=True, slots=True)
class StreakEnded:
    """A step has given a good answer to some upload. `opened` says whether the breaker had been open."""

    step: str
    opened: bool = False


Input = (
    BytesReceived
    | StepFinished
    | UploadReady
    | Resume
    | CleanUpload
    | Published
    | StartedElsewhere
    | RetriedElsewhere
    | FinishedElsewhere
    | SpecChanged
    | Absent
    | Tick
    | Granted
    | BreakerOpened
    | StreakEnded
    | Follows
    | Foremost
)
