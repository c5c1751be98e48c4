"""What the parts of a pipeline share."""

from collections.abc import Callable
from dataclasses import dataclass

from uploadpp.core.config import Config
from uploadpp.core.model import Millis
from uploadpp.core.sharding import Shard
from uploadpp.pipeline.acks import AckTracker
from uploadpp.pipeline.faults import Faults
from uploadpp.pipeline.ports import Choose, CountMatches
from uploadpp.pipeline.timers import Timers
from uploadpp.telemetry.metrics import Metrics
from uploadpp.telemetry.tracing import Tracing


@dataclass(frozen=True, slots=True, kw_only=True)
class Shared:
    """The shard, its configuration, and what every part of its pipeline uses."""

    config: Config
    shard: Shard
    acks: AckTracker
    timers: Timers
    metrics: Metrics
    faults: Faults
    clock: Callable[[], Millis]
    tracing: Tracing | None = None
    choose: Choose | None = None
    """Asks the policies; None where there can be none."""
    count_matches: CountMatches | None = None
    """Called once for each upload that was asked about, when its first state is stored."""
