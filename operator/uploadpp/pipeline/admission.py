"""Grants slots at steps with `maxInFlight`, or with a breaker, to the uploads of one shard (docs/adr/0010).

Who holds a slot is computed from the stage of each upload, after every change of it: no counter can go
wrong, and nothing has to survive a crash.
"""

import logging
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import NamedTuple

from uploadpp.core.config import Config
from uploadpp.core.evolve import evolve
from uploadpp.core.model import Origin
from uploadpp.core.sharding import Shard
from uploadpp.core.shares import Share
from uploadpp.core.slots import Slots, holds_slot, share_of
from uploadpp.core.states import Stage
from uploadpp.pipeline.adaptive_limits import AdaptiveLimits
from uploadpp.pipeline.breakers import Breakers
from uploadpp.pipeline.share_owner import share_of_upload, size_of
from uploadpp.pipeline.tracked_upload import TrackedUpload
from uploadpp.telemetry.metrics import Metrics

log = logging.getLogger(__name__)


UNLIMITED = sys.maxsize


class _Place(NamedTuple):
    """Where an upload holds a slot or waits for one, and for whom it counts, by what its origin says."""

    step: str
    share: Share
    origin: Origin


class StepAdmission:
    """The queues of all steps of one shard that have one."""

    def __init__(
        self, config: Config, shard: Shard, metrics: Metrics, breakers: Breakers | None = None
    ) -> None:
        """`breakers` is None where no step has one."""
        self._policy = policy = config.shares
        limits = {step: share_of(limit, shard) for step, limit in config.max_in_flight.items()}
        self._slots: dict[str, Slots[TrackedUpload]] = {
            step: Slots(limits.get(step, UNLIMITED), policy.normal, policy.small_first)
            for step in dict.fromkeys((*limits, *config.breaker_after))
        }
        self._limited = {step: self._slots[step] for step in limits}
        self.breakers = breakers
        open_breakers = breakers.are_open if breakers is not None else tuple
        self._adaptive = AdaptiveLimits(config, shard, open_breakers)
        for step, adaptive in self._adaptive.limits.items():
            self._slots[step].resize(adaptive.limit)
        self._metrics = metrics
        self._at: dict[TrackedUpload, _Place] = {}
        self._came: list[TrackedUpload] = []
        self._shown = dict.fromkeys(self._slots, 0)
        self._grant: Callable[[TrackedUpload], None] | None = None
        self._granting = False

    def open(self, grant: Callable[[TrackedUpload], None]) -> None:
        """Grant slots by `grant` from now on: the log is read, and edited resources were looked at."""
        self._grant = grant
        for step, slots in self._limited.items():
            self._metrics.slots.labels(step).inc(slots.limit)
        self.grant()

    def close(self) -> None:
        """Grant nothing any more."""
        if self.breakers is not None:
            self.breakers.close()
        if self._grant is not None:
            for step, slots in self._limited.items():
                self._metrics.slots.labels(step).dec(slots.limit)
        self._grant = None

    def moved(self, tracked: TrackedUpload) -> None:
        """Look where an upload stands now."""
        upload = tracked.upload
        waits = upload.stage is Stage.QUEUED
        step = upload.current_step if waits or holds_slot(upload) else ""
        known = self._at.get(tracked)
        if known is not None and (known.step != step or (waits and self._slots[step].holds(tracked))):
            self.left(tracked)
            known = None
        slots = self._slots.get(step)
        if slots is None:
            return
        if known is not None and known.origin is upload.origin:
            share = known.share
        else:
            share = share_of_upload(upload, self._policy)
            if known is not None and share != known.share:
                slots.leave(tracked)  # its URL has come and names another user or space
            self._at[tracked] = _Place(step, share, upload.origin)
        if not waits:
            slots.hold(tracked, share)
        else:
            breakers = self.breakers
            order = breakers.place(step, upload) if breakers is not None else (upload.received_at,)
            slots.wait(tracked, share, order, size_of(upload) if self._policy.small_first else 0)
            if not upload.message:
                self._came.append(tracked)

    def left(self, tracked: TrackedUpload) -> None:
        """An upload is at no limited step any more."""
        known = self._at.pop(tracked, None)
        if known is not None:
            self._slots[known.step].leave(tracked)
            self._adaptive.left(known.step, tracked)
            self._resize(known.step)

    def queued(self, step: str) -> list[TrackedUpload]:
        """The uploads that are queued for a step."""
        here = [tracked for tracked, place in self._at.items() if place.step == step]
        return [tracked for tracked in here if tracked.upload.stage is Stage.QUEUED]

    def gave_up(self, tracked: TrackedUpload) -> None:
        """Free the slot of an upload on which our own code failed: it may never leave its step."""
        try:
            self.left(tracked)
        except Exception:
            log.exception("cannot free a slot", extra={"upload": tracked.upload.id})
        self.grant()

    @contextmanager
    def together(self) -> Iterator[None]:
        """Grant only when all who come meanwhile are queued: the first of them have no right to all slots."""
        before, self._granting = self._granting, True
        try:
            yield
        finally:
            self._granting = before
        self.grant()

    def grant(self) -> None:
        """Give out what is free, and tell who has to wait for how many."""
        if self._granting:
            return  # what a grant changes is looked at by the loop below
        self._granting = True
        try:
            for step, slots in self._slots.items():
                while (grant := self._grant) is not None and (tracked := self._next(step, slots)) is not None:
                    since = tracked.upload.since
                    try:
                        grant(tracked)
                    except Exception:
                        log.exception(
                            "cannot start an upload that was granted a slot; continuing with the others",
                            extra={"upload": tracked.upload.id},
                        )
                        self.gave_up(tracked)
                        continue
                    if (at := self._at.get(tracked)) is not None and at.step == step:
                        self._adaptive.started(step, tracked, slots.used)
                    waited = max(tracked.upload.since - since, 0) / 1000
                    self._metrics.queue_seconds.labels(step).observe(waited)
                self._show(step, slots)
            if self._grant is not None and self._came:
                self._tell()
        finally:
            self._granting = False

    def _next(self, step: str, slots: Slots[TrackedUpload]) -> TrackedUpload | None:
        """Who is granted the step now; None when nobody is."""
        if self.breakers is not None and self.breakers.holds_back(step, slots.used):
            return None
        return slots.grant()

    def _resize(self, step: str) -> None:
        """Have as many slots as the limit of a step says now."""
        adaptive = self._adaptive.limits.get(step)
        if adaptive is None or adaptive.limit == self._slots[step].limit:
            return
        if self._grant is not None:
            self._metrics.slots.labels(step).inc(adaptive.limit - self._slots[step].limit)
        self._slots[step].resize(adaptive.limit)

    def unanswered(self, step: str) -> int:
        """How many uploads were granted a step with an adaptive limit, and have not left it."""
        return self._adaptive.limits[step].under_way

    @property
    def limits(self) -> Mapping[str, tuple[int, int, int]]:
        """Floor, present limit and ceiling of each step with `minInFlight`."""
        return {step: (each.floor, each.limit, each.ceiling) for step, each in self._adaptive.limits.items()}

    def _show(self, step: str, slots: Slots[TrackedUpload]) -> None:
        used = slots.used if step in self._limited else 0
        if used != self._shown[step]:
            self._metrics.slots_used.labels(step).inc(used - self._shown[step])
            self._shown[step] = used

    def _tell(self) -> None:
        """Say why the upload waits; that goes into the next write, and is worth none of its own."""
        for tracked in self._came:
            upload = tracked.upload
            if upload.stage is Stage.QUEUED and not upload.message and tracked in self._at:
                tracked.upload = evolve(upload, message=self._why(upload.current_step))
        self._came.clear()

    def _why(self, step: str) -> str:
        unwell = self.breakers.why(step) if self.breakers is not None else ""
        if unwell or step not in self._limited:
            return unwell
        slots = self._slots[step]
        others = slots.waiting - 1
        queued = f"{_counted(others, 'other upload')} {'was' if others == 1 else 'were'} queued before"
        bounds = ""
        if (adaptive := self._adaptive.limits.get(step)) is not None:
            bounds = f" now, between {adaptive.floor} and {adaptive.ceiling}"
        return f"{_counted(slots.limit, 'slot')}{bounds}, {queued}"


def _counted(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"
