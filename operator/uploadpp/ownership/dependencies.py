"""What an ownership needs and does not own: connections, settings, clocks."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from nats.aio.client import Client

from uploadpp.api.codec import ShownField
from uploadpp.core.config import Config
from uploadpp.core.model import Millis
from uploadpp.pipeline.ports import (
    Ask,
    Choose,
    CountMatches,
    Notices,
    ReadEnds,
    Resources,
    Seals,
    Watching,
)
from uploadpp.pipeline.rehearsal import Rehearse, rehearse
from uploadpp.pipeline.unserved_steps import UnservedNames
from uploadpp.process.clock import wall_clock
from uploadpp.resources.relist import SOON_READ
from uploadpp.resources.watch.kopf_handlers import Sink
from uploadpp.resources.watch.watch_filter import IsOwnWrite
from uploadpp.telemetry.metrics import Metrics
from uploadpp.telemetry.tracing import Tracing
from uploadpp.wire.legacy_consumers import DEFAULT_POLICY, Policy
from uploadpp.wire.marks import Marks
from uploadpp.wire.stream import StartFrom

ACK_SECONDS = 0.05
RESYNC_SECONDS = 600.0
ASK_SECONDS = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Dependencies:
    """What an ownership needs and does not own."""

    config: Config
    client: Client
    store: Resources
    events: Notices
    seals: Seals
    marks: Marks
    metrics: Metrics
    namespace: str
    owner: str = ""  # which installation this is, for others on the same stream
    shown: frozenset[ShownField]
    writers: int
    max_ended: int = 10_000
    max_recorded: int = 100_000
    start_from: StartFrom
    legacy_policy: Policy = DEFAULT_POLICY
    ack_seconds: float = ACK_SECONDS
    resync_seconds: float = RESYNC_SECONDS
    soon_read: int = SOON_READ
    clock: Callable[[], Millis] = wall_clock
    monotonic: Callable[[], float] = time.monotonic
    watch: Callable[[Sink, str, str, IsOwnWrite], Watching]
    lost_after: datetime | None = None
    held_for: tuple[str, ...] = ()  # the consumers of the legacy service because of which we stopped
    rehearse: Rehearse = rehearse
    tracing: Tracing | None = None
    choose: Choose | None = None  # the policies; None where there can be none
    count_matches: CountMatches | None = None
    ask: Ask | None = None  # the storage, about uploads that it may have lost; None asks nothing
    read_ends: ReadEnds | None = None  # the log, about uploads of new resources; None asks nothing
    ask_seconds: float = ASK_SECONDS
    policies_known: Callable[[], bool] = lambda: True  # until then, no shard is taken
    unserved: UnservedNames = lambda: None  # the steps that no service listens for
