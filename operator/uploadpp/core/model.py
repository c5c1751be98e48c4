"""The state of one upload, as plain frozen values.

`Upload` is everything `decide` may look at. It is rebuilt from a resource by `api.codec`
and from nothing else, so whatever matters after a crash has to be a field here.

What changes with every event is a NamedTuple: a changed copy of one costs a fifth of that
of a frozen dataclass (`core.evolve`), and copies were a third of the operator's CPU.
"""

from dataclasses import dataclass
from itertools import chain
from typing import NamedTuple, NewType

from uploadpp.core.evolve import evolve
from uploadpp.core.states import (
    IN_STEP,
    OUT_OF_RETRIES,
    CancelPolicy,
    DesiredState,
    OnExhausted,
    OnTooLarge,
    Outcome,
    RequiredResult,
    RestartMode,
    Stage,
    StepReason,
    StepState,
)

Millis = NewType("Millis", int)
"""Milliseconds: a point in time since the epoch, or a length of time."""

RELEASING = frozenset({Stage.AWAITING_READY, Stage.RELEASE_BACKING_OFF, Stage.UPLOAD_FAILED})
"""Stages in which PostprocessingFinished is out and the storage has not confirmed it."""
_PASSED = frozenset({StepState.SUCCEEDED, StepState.SKIPPED})
_AFTER_STEPS = RELEASING | {Stage.SUSPENDED, Stage.AWAITING_URL, Stage.AWAITING_TURN}

FINISHED_STEP = "finished"
"""`currentStep` once all steps have ended; the legacy service reserves this word."""

DELAY_STEP = "delay"
"""The step the operator runs itself."""

RESTARTED_BY = "postprocessing-restart"
"""The user of a BytesReceived that answers RestartPostprocessing, whoever has uploaded the file."""

MAX_MESSAGE = 1024
"""The longest message that is kept; a step service may say anything."""


class Origin(NamedTuple):
    """What came with BytesReceived and has to go out again unchanged, as raw JSON.

    A bearer URL and personal data: never logged, never shown, stored only sealed (F32).
    `url_expires_at` is read from the token in the URL; None when it has none (F33).
    """

    url: str = '""'
    url_received_at: Millis = Millis(0)
    url_expires_at: Millis | None = None
    filename: str = '""'
    filesize: str = "0"
    executing_user: str = "null"
    impersonating_user: str = "null"
    space_owner: str = "null"
    resource_id: str = "null"
    initiator_id: str = ""
    extra_info: str | None = None
    traceparent: str = ""
    announced_at: Millis | None = None
    """When BytesReceived came, if a person had created the resource, which shows another time."""
    by_hand: bool = False
    """Whether the upload is only known from a person's resource: the storage has not announced it."""

    def __repr__(self) -> str:
        """Shows none of it, so that it cannot end up in a log."""
        return "Origin(…)"

    @property
    def has_url(self) -> bool:
        """Whether there is a URL a step could read the bytes from."""
        return self.url != '""'

    @property
    def again(self) -> bool:
        """Whether the storage announces an upload that it has announced before."""
        return f'"{RESTARTED_BY}"' in self.executing_user

    def with_url_of(self, other: "Origin") -> "Origin":
        """The same upload and users with a renewed URL (F24: the user is never replaced)."""
        return evolve(
            self,
            url=other.url,
            url_received_at=other.url_received_at,
            url_expires_at=other.url_expires_at,
        )

    def needs_renewal(self, now: Millis, margin: Millis) -> bool:
        """Whether a step that starts now could find its URL expired.

        The margin is at most a tenth of the URL's life, so that a storage with
        short-lived URLs is not asked for a new one at every step.
        """
        if not self.has_url:
            return True
        if self.url_expires_at is None:
            return False
        lifetime = self.url_expires_at - self.url_received_at
        return now >= self.url_expires_at - min(margin, lifetime // 10)


class FileInfo(NamedTuple):
    """What may be shown of the file; which fields are filled is configurable."""

    filename: str = ""
    filesize: int = 0
    user_id: str = ""
    space_id: str = ""
    storage_id: str = ""
    opaque_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepPlan:
    """One step as configured when the upload arrived (`spec.steps[]`), lengths in ms."""

    name: str
    timeout: Millis | None = None
    stall_after: Millis = Millis(600_000)
    max_retries: int = 14
    backoff: Millis = Millis(5_000)
    max_backoff: Millis = Millis(43_200_000)
    on_exhausted: OnExhausted = OnExhausted.ABORT
    delay: Millis = Millis(0)
    max_filesize: int | None = None
    on_too_large: OnTooLarge = OnTooLarge.SKIP
    require_result: RequiredResult = RequiredResult.OPTIONAL

    def ends_with(self, reason: StepReason | None) -> bool:
        """Whether a failure of the step for this reason ends the upload; out of retries it may go on."""
        return not (reason in OUT_OF_RETRIES and self.on_exhausted is OnExhausted.CONTINUE)

    def is_passed(self, step: "StepStatus") -> bool:
        """Whether the upload may continue after the step: answered or left out by a rule (invariant 2.9)."""
        if step.state in _PASSED:
            return True
        return step.state is StepState.FAILED and not self.ends_with(step.reason)


class Streak(NamedTuple):
    """The failures of a step since its last good answer, as of the last one of an upload (`core.breaker`)."""

    since: Millis
    """The first failure of the streak."""
    last: Millis
    """The failure of this upload."""
    uploads: int
    """How many uploads are part of the streak."""
    opened_at: Millis | None = None
    """When the breaker opened; None while it had not."""
    counted: int = 0
    """How many retries the streak has taken from this upload."""


class StepStatus(NamedTuple):
    """What has happened to one step in this run (`status.steps[]`)."""

    state: StepState = StepState.WAITING
    attempts: int = 0
    retries: int = 0
    started_at: Millis | None = None
    finished_at: Millis | None = None
    outcome: str = ""
    reason: StepReason | None = None
    message: str = ""
    streak: Streak | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RestartRequest:
    """A person's request in `spec.restart`; a new token is a new request."""

    token: str
    mode: RestartMode = RestartMode.RESTART
    from_step: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Control:
    """The part of the spec a person may change at any time."""

    desired: DesiredState = DesiredState.ACTIVE
    cancel_policy: CancelPolicy = CancelPolicy.ABORT
    restart: RestartRequest | None = None
    generation: int = 1

    @property
    def cancel_outcome(self) -> Outcome:
        """What the storage is told when the upload is cancelled."""
        return Outcome.DELETE if self.cancel_policy is CancelPolicy.DELETE else Outcome.ABORT


class LogPosition(NamedTuple):
    """How far the log has been applied to this upload.

    `stream` tells one incarnation of the stream from another (name and creation time).
    `start` is the sequence of the last command we published for the upload: an answer
    counts only when it comes after it, which is what tells attempts apart on a wire
    that carries no attempt number.
    """

    stream: str = ""
    sequence: int = 0
    start: int | None = None

    def with_start(self, start: int | None) -> "LogPosition":
        """The same position, with the last command of ours at `start`; None while it is not in the log."""
        return self if start is self.start else LogPosition(self.stream, self.sequence, start)


class FileOrder(NamedTuple):
    """The position of an upload among those of the same file (docs/adr/0052). Usually it is the only one."""

    after: str = ""
    """The upload that is released before it; empty where none was under way when it arrived."""
    arrival: int = 0
    """The position of its announcement in the log, where another upload of the file was under way."""
    left: bool = False
    """Whether it had ended before. If it is continued, no upload waits for it, and it waits for none."""


class PolicyRef(NamedTuple):
    """The rule that an upload got its plan from, and the generation of its policy at that time."""

    name: str
    generation: int
    rule: str


class Upload(NamedTuple):
    """One upload in postprocessing."""

    id: str
    received_at: Millis
    origin: Origin = Origin()
    file: FileInfo = FileInfo()
    plan: tuple[StepPlan, ...] = ()
    plan_fixed: bool = False
    """Whether the resource or an own event in the log contains the plan. Then the plan never changes."""
    plan_in_status: bool = False
    """Whether the status contains the plan, because the spec has none or another one."""
    control: Control = Control()

    stage: Stage = Stage.PENDING
    since: Millis = Millis(0)
    run: int = 0
    cursor: int = 0
    steps: tuple[StepStatus, ...] = ()
    outcome: Outcome | None = None
    next_attempt_at: Millis | None = None
    finishes: int = 0
    releases: int = 0
    url_requests: int = 0
    stalled_at: Millis | None = None
    started_at: Millis | None = None
    completed_at: Millis | None = None
    expires_at: Millis | None = None
    observed_generation: int = 0
    observed_token: str = ""
    restarts: int = 0
    message: str = ""
    log: LogPosition = LogPosition()
    order: FileOrder = FileOrder()
    policy: PolicyRef | None = None
    """The rule that chose the plan; None where no policy did (docs/adr/0056)."""
    priority_class: str = ""
    policy_holds: bool = False
    """Whether a rule holds the upload until a person decides. Nothing has run, and the storage waits."""
    lost_status: bool = False
    """Pending, although the operator created the resource: it always writes a status, so perhaps a backup."""

    @property
    def current_step(self) -> str:
        """The current step; `finished` once all have ended, empty before and after."""
        stage = self.stage
        if stage in IN_STEP and self.cursor < len(self.plan):
            return self.plan[self.cursor].name
        if stage in _AFTER_STEPS:
            return FINISHED_STEP
        if stage is Stage.UNANSWERED and self.outcome is not None:
            return FINISHED_STEP
        return ""

    @property
    def is_created_by_us(self) -> bool:
        """Whether it stands for a resource that the operator created, and has not given a status so far."""
        return self.lost_status and not self.origin.by_hand

    @property
    def is_held_unbegun(self) -> bool:
        """Whether a person has to say first that the upload has not already ended."""
        return self.stage is Stage.HELD and self.run == 0

    @property
    def retry_count(self) -> int:
        """Retries of all steps in this run."""
        return sum([step.retries for step in self.steps])

    @property
    def step(self) -> StepStatus:
        """The status of the current step; only valid while one is current."""
        return self.steps[self.cursor]

    @property
    def left_out_by_restart(self) -> int:
        """How many of the first steps this run was asked to leave out."""
        count = 0
        while count < len(self.steps) and self.steps[count].reason is StepReason.BEFORE_RESTART:
            count += 1
        return count

    def next_step(self, index: int) -> int:
        """The first step from `index` on that is not passed, or before it; the number of steps when all are.

        The ones before it are passed unless an event of ours told of a later step first.
        """
        plan, steps = self.plan, self.steps
        for each in chain(range(index, len(plan)), range(index)):
            if not plan[each].is_passed(steps[each]):
                return each
        return len(plan)

    @property
    def decider(self) -> int | None:
        """Which step's failure decided the outcome; None when none did (all passed, or cancelled between)."""
        for index in reversed(range(len(self.steps))):
            if self.steps[index].state is StepState.FAILED:
                return index if self.plan[index].ends_with(self.steps[index].reason) else None
        return None

    def with_step(self, index: int, status: StepStatus) -> "Upload":
        """The same upload with one step's status replaced."""
        return evolve(self, steps=self.steps_with(index, status))

    def steps_with(self, index: int, status: StepStatus) -> tuple[StepStatus, ...]:
        """The steps with one's status replaced."""
        return (*self.steps[:index], status, *self.steps[index + 1 :])
