"""The life of one upload, told event by event through the pure core.

For tests and for people who want to try an idea in a REPL: no server, no clock, no files.
"""

from collections.abc import Mapping

from uploadpp.core.commands import Command, Kind, Mark, Notice, ResumeStep
from uploadpp.core.config import Config
from uploadpp.core.decision import AnyDecision
from uploadpp.core.evolve import evolve
from uploadpp.core.inputs import (
    Absent,
    BreakerOpened,
    BytesReceived,
    CleanUpload,
    Follows,
    Foremost,
    Granted,
    Input,
    Published,
    Resume,
    SpecChanged,
    StepFinished,
    StreakEnded,
    Tick,
    UploadReady,
)
from uploadpp.core.machine import decide
from uploadpp.core.model import (
    Control,
    FileInfo,
    LogPosition,
    Millis,
    Origin,
    RestartRequest,
    StepPlan,
    Upload,
)
from uploadpp.core.plan_text import Planned
from uploadpp.core.replay import Position, apply
from uploadpp.core.rules.timers import wake_at
from uploadpp.core.states import CancelPolicy, DesiredState, RestartMode

UPLOAD_ID = "7d1f0c52-6c0b-4a7e-9a5e-2f3f1f0c9d11"
START = Millis(1_795_000_000_000)
SECOND = Millis(1_000)
ZERO = Millis(0)
STREAM = "main-queue@1"
USER = '{"id":{"opaque_id":"mary"}}'
RESTART_USER = '{"id":{"opaque_id":"postprocessing-restart"}}'
URL = '"https://storage.example.test/data/a"'
FRESH_URL = '"https://storage.example.test/data/b"'

SPACE = "4c510ada-c86b-4815-8820-42cdf82c3d51"
OTHER_STREAM = "main-queue/2026-10-02T08:15:30.120045001Z"
NOW = Millis(START + 123)
"""A moment within a second; a resource keeps whole seconds of most moments."""
CONFIG = Config(steps=(StepPlan(name="virusscan"), StepPlan(name="policies")))
FILE = FileInfo(
    filename="report.pdf",
    filesize=48_213,
    user_id=SPACE,
    space_id=SPACE,
    storage_id=SPACE,
    opaque_id=SPACE,
)
ARRIVAL = BytesReceived(Origin(url='"https://a"'), FILE)
PASSED: tuple[Input, ...] = (
    ARRIVAL,
    StepFinished("virusscan", "continue"),
    StepFinished("policies", "continue"),
    UploadReady(failed=False),
)
"""What happens to an upload that passes both steps of CONFIG."""


def config_of(*steps: str | StepPlan, **settings: Millis | int | Mapping[str, int]) -> Config:
    """A configuration with these steps; a word is a step with the defaults."""
    plans = tuple(StepPlan(name=step) if isinstance(step, str) else step for step in steps)
    return evolve(Config(steps=plans), **settings)


def arrival(url: str = URL, *, user: str = USER, expires_at: Millis | None = None) -> BytesReceived:
    """BytesReceived as the storage sends it."""
    origin = Origin(
        url=url,
        url_received_at=START,
        url_expires_at=expires_at,
        executing_user=user,
        filename='"plan.pdf"',
        filesize="48213",
    )
    return BytesReceived(origin, FileInfo(filename="plan.pdf", filesize=48_213))


NOT_FROM_THE_LOG = (
    Tick,
    SpecChanged,
    Granted,
    Absent,
    Follows,
    Foremost,
    BreakerOpened,
    StreakEnded,
)


class UploadScenario:
    """One upload under one configuration.

    Every command comes back through the log at once, unless `reads_own_events` is switched off.
    What was published so far is in `commands`, what people were told in `notices`.
    """

    def __init__(
        self,
        config: Config,
        upload: Upload | None = None,
        now: Millis = START,
        upload_id: str = UPLOAD_ID,
    ) -> None:
        self.config = config
        self.upload_id = upload_id
        self.state = upload
        self.now = now
        self.sequence = 0
        self.stream = STREAM
        self.reads_own_events = True
        self.commands: list[Command] = []
        self.notices: list[Notice] = []

    @property
    def upload(self) -> Upload:
        """The upload as it is now.

        Raises:
            LookupError: nothing has made one yet.
        """
        if self.state is None:
            raise LookupError("the upload is not known")
        return self.state

    @property
    def published(self) -> list[str]:
        """The commands in short: `start virusscan 1`, `finish continue 1`."""
        return [short(command) for command in self.commands]

    def tell(self, event: Input, *, after: Millis = SECOND) -> AnyDecision:
        """Something happens: from the log, from a person, or a timer."""
        self.now = Millis(self.now + after)
        if isinstance(event, NOT_FROM_THE_LOG):
            decision = decide(self.state, self.upload_id, event, self.now, self.config)
        else:
            self.sequence += 1
            decision = self._apply(event)
        self._take(decision)
        return decision

    def read_own_event(self, command: Command) -> AnyDecision:
        """One of our commands comes back through the log."""
        self.sequence += 1
        decision = self._apply(come_back(command, self.sequence, self.state))
        self.state = decision.upload
        if decision.commands:
            self._take(decision)
        return decision

    def _apply(self, event: Input) -> AnyDecision:
        at = Position(self.stream, self.sequence)
        return apply(self.state, self.upload_id, event, at, self.now, self.config)

    def _take(self, decision: AnyDecision) -> None:
        self.state = decision.upload
        self.commands += decision.commands
        self.notices += decision.notices
        if self.reads_own_events and decision.upload is not None:
            for command in decision.commands:
                self.read_own_event(command)

    # -- what the world says ----------------------------------------------------------------

    def arrives(self, url: str = URL, *, user: str = USER, expires_at: Millis | None = None) -> AnyDecision:
        """BytesReceived."""
        return self.tell(arrival(url, user=user, expires_at=expires_at))

    def answers(self, outcome: str, step: str | None = None, message: str = "") -> AnyDecision:
        """StepFinished, of the current step unless another is named."""
        return self.tell(StepFinished(self.upload.current_step if step is None else step, outcome, message))

    def ready(self, *, failed: bool = False) -> AnyDecision:
        """UploadReady."""
        return self.tell(UploadReady(failed))

    def resumed(self, step: str = "") -> AnyDecision:
        """ResumePostprocessing."""
        return self.tell(Resume(step))

    def cleaned(self) -> AnyDecision:
        """CleanUpload."""
        return self.tell(CleanUpload())

    def absent(self, *, lasting: bool = True) -> AnyDecision:
        """The storage says that it does not have the upload."""
        return self.tell(Absent(404, lasting=lasting))

    def timer(self) -> AnyDecision:
        """The time `wake_at` names has come.

        Raises:
            LookupError: the upload waits for no timer.
        """
        due = wake_at(self.upload, self.config)
        if due is None:
            raise LookupError(f"no timer is set while {self.upload.stage}")
        return self.tell(Tick(), after=Millis(max(due - self.now, 0)))

    def granted(self) -> AnyDecision:
        """A slot at the step it is queued for is free."""
        return self.tell(Granted())

    # -- what people say --------------------------------------------------------------------

    def edited(self, control: Control) -> AnyDecision:
        """A person has changed the spec."""
        return self.tell(SpecChanged(evolve(control, generation=self.upload.control.generation + 1)))

    def wanted(self, desired: DesiredState, policy: CancelPolicy = CancelPolicy.ABORT) -> AnyDecision:
        """`spec.desiredState` was changed."""
        return self.edited(evolve(self.upload.control, desired=desired, cancel_policy=policy))

    def restarted(
        self,
        token: str,
        mode: RestartMode = RestartMode.RESTART,
        from_step: str = "",
        desired: DesiredState = DesiredState.ACTIVE,
    ) -> AnyDecision:
        """`spec.restart` was set."""
        request = RestartRequest(token=token, mode=mode, from_step=from_step)
        return self.edited(evolve(self.upload.control, restart=request, desired=desired))


def mark_of(
    story: UploadScenario, kind: Kind, number: int, detail: str = "", token: str = "", run: int = 1
) -> Mark:
    """The mark of a command for the upload of a story."""
    return Mark(kind, story.upload.received_at, run, number, detail, token)


def meet(story: UploadScenario, mark: Mark, sequence: int = 50, *, after: Millis = ZERO) -> Upload | None:
    """The state after one of our events was met in the log; None when it says nothing new."""
    now = Millis(story.now + after)
    decision = decide(story.upload, story.upload.id, Published(mark, sequence), now, story.config)
    assert decision.commands == ()  # noqa: S101 -- the events of others are what makes commands
    return None if decision.ignored else decision.upload


def come_back(command: Command, sequence: int, upload: Upload | None = None) -> Input:
    """What a published command means when it is met in the log; without `upload` it tells no plan."""
    if isinstance(command, ResumeStep):
        return Resume(command.step, command.mark.token)
    if upload is None:
        return Published(command.mark, sequence)
    planned = Planned(upload.plan, upload.left_out_by_restart, upload.policy, upload.priority_class)
    return Published(command.mark, sequence, planned)


def short(command: Command) -> str:
    """A command in three or four words."""
    mark = command.mark
    return " ".join(part for part in (mark.kind, mark.detail, str(mark.number)) if part)


def placeless(upload: Upload) -> Upload:
    """The upload without its place in the log, which even an ignored message moves, and what it proves."""
    return evolve(upload, log=LogPosition(), plan_fixed=False)


def begun(*steps: str | StepPlan, **settings: Millis | int | Mapping[str, int]) -> UploadScenario:
    """A story whose upload has arrived."""
    story = UploadScenario(config_of(*steps, **settings))
    story.arrives()
    return story


def after(*events: Input, upload_id: str = UPLOAD_ID, config: Config = CONFIG) -> Upload:
    """The upload after these events, the first at `NOW` and the others a second apart.

    Raises:
        LookupError: they make no upload.
    """
    story = UploadScenario(config, now=Millis(NOW - SECOND), upload_id=upload_id)
    story.stream, story.sequence = OTHER_STREAM, 99
    for event in events:
        story.tell(event)
    return story.upload


def of_kind(story: UploadScenario, kind: Kind) -> list[Command]:
    """The commands of one kind that were published so far."""
    return [command for command in story.commands if command.mark.kind is kind]


def by_hand(control: Control | None = None, *, url: str = URL) -> UploadScenario:
    """A resource that a person has applied, not yet looked at."""
    config = config_of("a", "b")
    story = UploadScenario(config)
    story.state = Upload(
        id=UPLOAD_ID,
        received_at=START,
        since=START,
        plan=config.steps,
        origin=arrival(url).origin,
        control=control or Control(),
    )
    return story
