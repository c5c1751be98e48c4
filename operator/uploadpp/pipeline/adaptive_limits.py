"""The limits of one shard that follow what the services of steps can do (docs/adr/0059).

They are in memory only: a new owner begins at the floor. Nothing that is replayed depends on them, because
they change only how many uploads are granted a step from now on.
"""

from collections.abc import Callable, Iterable

from uploadpp.core.adaptive_limit import AdaptiveLimit
from uploadpp.core.breaker import is_good_answer
from uploadpp.core.config import Config
from uploadpp.core.model import Millis, StepStatus, Upload
from uploadpp.core.sharding import Shard
from uploadpp.core.slots import share_of
from uploadpp.core.states import OUT_OF_RETRIES, Stage
from uploadpp.pipeline.share_owner import size_of
from uploadpp.pipeline.tracked_upload import TrackedUpload

OpenBreakers = Callable[[], Iterable[str]]
"""The steps whose breakers are open."""


class AdaptiveLimits:
    """What is known of each step with `minInFlight`."""

    def __init__(self, config: Config, shard: Shard, open_breakers: OpenBreakers) -> None:
        self._open_breakers = open_breakers
        self.limits: dict[str, AdaptiveLimit[TrackedUpload]] = {
            step: AdaptiveLimit(max(share_of(floor, shard), 1), share_of(config.max_in_flight[step], shard))
            for step, floor in config.min_in_flight.items()
        }

    def started(self, step: str, tracked: TrackedUpload, at_step: int) -> None:
        """An upload was granted a step; `at_step` are there now, with it."""
        limit = self.limits.get(step)
        if limit is not None:
            limit.started(tracked, size_of(tracked.upload), at_step)

    def left(self, step: str, tracked: TrackedUpload) -> None:
        """An upload has left a step: what has the service said?"""
        limit = self.limits.get(step)
        if limit is None:
            return
        status = _status(tracked.upload, step)
        if step in self._open_breakers():
            limit.left(tracked)
            limit.begin_again()
        elif is_good_answer(status):
            limit.answered(tracked, _took(status))
        elif _has_failed(tracked.upload, status):
            limit.failed(tracked)
        else:
            limit.left(tracked)


def _status(upload: Upload, step: str) -> StepStatus:
    named = (each for plan, each in zip(upload.plan, upload.steps, strict=False) if plan.name == step)
    return next(named, StepStatus())


def _took(status: StepStatus) -> Millis:
    """How long the answer took; 0 where the clocks of those who tell differ by more than that."""
    return Millis(max((status.finished_at or 0) - (status.started_at or 0), 0))


def _has_failed(upload: Upload, status: StepStatus) -> bool:
    """Whether the service has asked for a retry, or has not answered in time."""
    return (
        upload.stage is Stage.BACKING_OFF or upload.stalled_at is not None or status.reason in OUT_OF_RETRIES
    )
