"""The pipeline of one shard without servers: what is published and recorded is kept, for a test to look at.

Everything between a message and what comes of it is the real code.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass, field

from uploadpp.core.commands import Notice
from uploadpp.core.config import Config
from uploadpp.core.model import FileInfo, Millis, Origin, PolicyRef, StepPlan, Upload
from uploadpp.core.policy import Choice
from uploadpp.core.sharding import Shard
from uploadpp.pipeline.acks import AckTracker, PendingMessage
from uploadpp.pipeline.admission import StepAdmission
from uploadpp.pipeline.applier import Applier
from uploadpp.pipeline.breakers import Breakers
from uploadpp.pipeline.faults import Faults
from uploadpp.pipeline.file_order import FileLines
from uploadpp.pipeline.ports import Bus
from uploadpp.pipeline.router import Router
from uploadpp.pipeline.shared import Shared
from uploadpp.pipeline.timers import Timers
from uploadpp.pipeline.tracked_upload import TrackedUpload
from uploadpp.pipeline.uploads import Lifecycle, Uploads
from uploadpp.telemetry.metrics import Metrics
from uploadpp.testing.policies import judged
from uploadpp.wire.decode import Event
from uploadpp.wire.encode import Outgoing
from uploadpp.wire.marks import Marks
from uploadpp.wire.stream_message import StreamMessage

STREAM = "main-queue@1"
THEN = Millis(1_795_000_000_000)
NOW = Millis(THEN + 3_600_000)
CONFIG = Config(steps=(StepPlan(name="a"), StepPlan(name="b")))
MARKS = Marks([b"of both"])

Chosen = Callable[[Origin, FileInfo], Choice | None]
"""What policies without a dry run choose."""


@dataclass
class KeptEvents:
    """A bus that keeps what is published. A test says by `on_stored` that the stream has it."""

    sent: list[Outgoing] = field(default_factory=list)
    confirmed: list[tuple[str, int]] = field(default_factory=list)
    on_stored: list[Callable[[int], None]] = field(default_factory=list)
    on_refused: list[Callable[[str], None]] = field(default_factory=list)

    def publish(
        self, outgoing: Outgoing, on_stored: Callable[[int], None], on_refused: Callable[[str], None]
    ) -> None:
        """Keep an event."""
        self.sent.append(outgoing)
        self.on_stored.append(on_stored)
        self.on_refused.append(on_refused)

    def confirm(self, event_id: str, sequence: int) -> None:
        """Note it."""
        self.confirmed.append((event_id, sequence))

    def store(self, sequence: int) -> None:
        """The stream has what was published and not stored so far, from this position on."""
        waiting, self.on_stored = self.on_stored, []
        for number, each in enumerate(waiting):
            each(sequence + number)


@dataclass
class Turns:
    """The turning points of uploads, by the names of their resources (`pipeline.uploads.Lifecycle`)."""

    storable: list[str] = field(default_factory=list)
    ended: list[str] = field(default_factory=list)
    forgotten: list[str] = field(default_factory=list)
    overruled: list[str] = field(default_factory=list)

    def on_storable(self, tracked: TrackedUpload) -> None:
        """Note it."""
        self.storable.append(tracked.name)

    def on_ended(self, tracked: TrackedUpload) -> None:
        """Note it."""
        self.ended.append(tracked.name)

    def on_forgotten(self, tracked: TrackedUpload) -> None:
        """Note it."""
        self.forgotten.append(tracked.name)

    def on_overruled(self, tracked: TrackedUpload) -> None:
        """Note it."""
        self.overruled.append(tracked.name)


class NothingDeferred:
    """Every upload is at hand, and none is evicted."""

    def defer(self, event: Event, sequence: int, timestamp: Millis, message: PendingMessage) -> bool:
        """Apply it now."""
        del event, sequence, timestamp, message
        return False

    def at(self, step: str, among: Collection[str] | None = None) -> list[str]:
        """None."""
        del step, among
        return []


class PipelineBench:
    """A pipeline, and everything that a test may want to look at."""

    def __init__(  # noqa: PLR0913 -- what may be another in each test
        self,
        config: Config,
        bus: Bus,
        clock: Callable[[], Millis],
        *,
        lifecycle: Lifecycle | None = None,
        shard: Shard | None = None,
        marks: Marks | None = None,
        choose: Chosen | None = None,
    ) -> None:
        self.told: list[tuple[str, str]] = []
        """What was said on resources: the name of each, and the reason."""
        self.turns = Turns()
        self.acks, self.timers, self.metrics = AckTracker(), Timers(clock), Metrics()
        self.clock = clock
        shard, lifecycle = shard or Shard(), lifecycle or self.turns
        self.notices: list[Notice] = []
        """What was said about the shard."""
        self.matched: list[PolicyRef] = []
        """The rules that uploads were counted for."""
        self.breakers = Breakers(config, self.metrics, clock, self.notices.append)
        breakers = self.breakers if config.breaker_after else None
        self.admission = StepAdmission(config, shard, self.metrics, breakers)
        limited = self.admission if config.max_in_flight or config.breaker_after else None
        self.lines = FileLines()
        ordered = self.lines if config.order_timeout else None
        self.faults = Faults(self.metrics, self.post, limited.gave_up if limited is not None else None)
        self.shared = Shared(
            config=config,
            shard=shard,
            acks=self.acks,
            timers=self.timers,
            metrics=self.metrics,
            faults=self.faults,
            clock=clock,
            choose=(lambda *said: judged(choose(*said))) if choose is not None else None,
            count_matches=self.matched.extend,
        )
        self.uploads = Uploads(self.shared, limited, ordered, lifecycle)
        self.applier = Applier(self.shared, self.uploads, limited, ordered, lifecycle, bus)
        nothing = NothingDeferred()
        self.router = Router(self.shared, self.uploads, limited, self.applier, nothing, nothing)
        self.applier.begin(marks or Marks([b"of the bench"]))
        self.acks.start(STREAM, 0)

    @property
    def news(self) -> list[str]:
        """The reasons of what was said about the shard."""
        return [notice.reason for notice in self.notices]

    def post(self, name: str, uid: str, notice: Notice) -> None:
        """Say something on a resource."""
        del uid
        self.told.append((name, notice.reason))

    def read(self, sequence: int, data: bytes, at: Millis | None = None, message_id: str = "") -> None:
        """The log hands over a message."""
        stored_at = self.clock() if at is None else at
        self.router.on_message(StreamMessage(sequence, stored_at, sequence, 0, data, message_id))

    def act(self) -> None:
        """The log is read to its end."""
        self.applier.act()

    def tracked(self, upload_id: str) -> TrackedUpload:
        """An upload in memory.

        Raises:
            KeyError: it is not there.
        """
        tracked = self.uploads.by_id(upload_id)
        if tracked is None:
            raise KeyError(upload_id)
        return tracked

    def upload(self, upload_id: str) -> Upload:
        """The state of an upload in memory."""
        return self.tracked(upload_id).upload
