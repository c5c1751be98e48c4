"""What `decide` must know of the configuration; made once at start by `process.settings`."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from uploadpp.core.model import Millis, StepPlan
from uploadpp.core.shares import SharePolicy

MINUTE = Millis(60_000)
_OTHER = StepPlan(name="other")


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """Behaviour that is not snapshotted into an upload.

    `steps` is the list new uploads get. Lengths of time are in milliseconds.
    """

    steps: tuple[StepPlan, ...] = ()
    unlisted_steps: tuple[StepPlan, ...] = ()
    """Steps that have settings and are not among `steps`: only a policy lists them."""
    other_step: StepPlan = _OTHER
    """The settings of a step that is not configured."""
    max_in_flight: Mapping[str, int] = field(default_factory=dict)
    """Maximum number of uploads at a step's service, by step. Extra uploads are queued."""
    min_in_flight: Mapping[str, int] = field(default_factory=dict)
    """Step to its floor, where the limit follows what the service can do; `max_in_flight` is the ceiling."""
    breaker_after: Mapping[str, int] = field(default_factory=dict)
    """Step to how many uploads must fail there in a row to open its breaker; who comes there is queued."""
    shares: SharePolicy = field(default_factory=SharePolicy)
    """Between whom the slots of a step are shared, and with which weights."""
    ready_after: Millis = Millis(10 * MINUTE)
    """How long the storage may take to answer PostprocessingFinished with UploadReady."""
    unanswered_after: Millis = Millis(24 * 60 * MINUTE)
    """How long after the report of a stall an upload ends, if the storage still does not answer."""
    max_finish_resends: int = 3
    """How often an unanswered PostprocessingFinished goes out again (never for abort)."""
    max_releases: int = 5
    """How often a failed release (UploadReady with Failed after continue) is retried."""
    release_backoff: Millis = Millis(30_000)
    max_release_backoff: Millis = Millis(60 * MINUTE)
    url_margin: Millis = Millis(5 * MINUTE)
    """A step is not started with a URL that expires sooner than this."""
    url_after: Millis = Millis(2 * MINUTE)
    """How long the storage may take to answer RestartPostprocessing with a fresh URL."""
    max_url_requests: int = 5
    order_timeout: Millis = Millis(10 * MINUTE)
    """How long a release may wait for an earlier upload of the same file; 0 keeps no order."""
    ttl_completed: Millis = Millis(10 * MINUTE)
    ttl_failed: Millis = Millis(7 * 24 * 60 * MINUTE)

    def defaults_of(self, step: str) -> StepPlan:
        """The settings of a step that a policy lists without settings of its own."""
        known = (*self.steps, *self.unlisted_steps)
        return next((plan for plan in known if plan.name == step), self.other_step)

    def has_queue(self, step: str) -> bool:
        """Whether an upload waits to be granted the step."""
        return step in self.max_in_flight or step in self.breaker_after
