"""The breakers of the steps of one shard (docs/adr/0055).

Whether a step is well follows from the uploads at it: each keeps the streak as it was at its own last
failure. So nothing has to survive a crash. While a breaker is open, `pipeline.admission` grants the step only
to probes. Inputs tell the other uploads what that means for them (`core.rules.recovery`).
"""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager

from uploadpp.api.timestamps import format_time
from uploadpp.core.breaker import Breaker, is_good_answer
from uploadpp.core.commands import Notice
from uploadpp.core.config import Config
from uploadpp.core.evolve import evolve
from uploadpp.core.inputs import BreakerOpened, Input, Published, StepFinished, StreakEnded, Tick
from uploadpp.core.model import Millis, StepStatus, Streak, Upload
from uploadpp.core.states import Stage
from uploadpp.pipeline import fault_event_texts
from uploadpp.pipeline.tracked_upload import TrackedUpload
from uploadpp.telemetry.metrics import Metrics

LOOK_SECONDS = 0.5
"""How often the operator checks whether a probe is due. It does not check while all breakers are closed."""
NOTED_AFTER = Millis(30_000)
"""How long a breaker is open before uploads that were queued already say so: each costs a write."""
Queued = Callable[[str], Sequence[TrackedUpload]]
"""The uploads that are queued for a step."""
Together = Callable[[], AbstractContextManager[None]]
"""Within it nobody is granted a step; at its end, all that may go on are."""
Told = tuple[TrackedUpload, BreakerOpened | StreakEnded]


class Breakers:
    """What is known of each step with `breakerAfter`."""

    def __init__(
        self,
        config: Config,
        metrics: Metrics,
        clock: Callable[[], Millis],
        news: Callable[[Notice], None],
    ) -> None:
        self._shortest = {step: config.defaults_of(step).backoff for step in config.breaker_after}
        self._breakers = {step: Breaker(after) for step, after in config.breaker_after.items()}
        self._metrics = metrics
        self._clock = clock
        self._news = news
        self._failed: dict[str, dict[TrackedUpload, None]] = {step: {} for step in self._breakers}
        """The uploads at each step that are part of a streak, in the order in which they joined it."""
        self._at: dict[TrackedUpload, str] = {}
        self._opened: dict[str, None] = {}
        self._noted: dict[str, Millis | None] = {}
        """Since when the breaker of each step was open when all queued uploads were last told so."""
        self._ended: dict[str, bool] = {}
        """Steps whose streak has ended, and whether the breaker had been open."""
        self._paused_at: dict[str, Millis] = {}
        """When the pause of each step began: at its last failure, or when the clock was seen set back."""
        self._stale: list[TrackedUpload] = []
        self._acting = False
        self.doubtful = False
        """Whether `take` has something to tell."""

    # -- what happens to uploads ------------------------------------------------------------

    def informed(self, event: Input, upload: Upload | None, now: Millis, *, live: bool) -> Input:
        """The input, with the streak that its step has if the input is a failure.

        With `live` it is the newest that has happened, whatever the clocks say.
        """
        if upload is None or upload.stage is not Stage.RUNNING:
            return event
        if not isinstance(event, StepFinished | Tick | Published):
            return event
        step = upload.current_step
        breaker = self._breakers.get(step)
        if breaker is None:
            return event
        return evolve(
            event, streak=breaker.failure(upload.step.streak, breaker.after_all(now) if live else now)
        )

    def moved(self, tracked: TrackedUpload, before: Upload | None = None, *, live: bool = False) -> None:
        """Look where an upload stands now, and what its steps have said."""
        upload = tracked.upload
        step = upload.current_step
        at_step = step in self._breakers and upload.cursor < len(upload.steps)
        streak = upload.step.streak if at_step else None
        if tracked in self._at and (streak is None or self._at[tracked] != step):
            self.left(tracked)
        if streak is not None:
            self._at[tracked] = step
            self._failed[step][tracked] = None
            self._seen(step, streak)
        if before is None or before.steps is upload.steps or before.run != upload.run:
            return
        for plan, old, new in zip(upload.plan, before.steps, upload.steps, strict=False):
            if new is not old and plan.name in self._breakers:
                self._said(plan.name, old, new, live=live)

    def left(self, tracked: TrackedUpload) -> None:
        """An upload has left its step, or is not part of a streak any more."""
        step = self._at.pop(tracked, None)
        if step is not None:
            del self._failed[step][tracked]
            self.doubtful = self.doubtful or not self._failed[step]

    def read_again(self, upload: Upload, step: str, at: Millis) -> None:
        """A replay reads an answer that is in a resource already: other uploads may not know of it yet."""
        for plan, status in zip(upload.plan, upload.steps, strict=False):
            if plan.name == step and step in self._breakers and status.finished_at == at:
                self._said(step, StepStatus(), status, live=False)

    def _said(self, step: str, old: StepStatus, new: StepStatus, *, live: bool) -> None:
        if is_good_answer(new) and not is_good_answer(old):
            self._well(step, new.finished_at or Millis(0), live=live)
        elif new.streak is not None and new.streak is not old.streak:
            self._seen(step, new.streak)  # it has ended the upload, or the step in it

    def _seen(self, step: str, streak: Streak) -> None:
        before = self._breakers[step]
        if streak.last <= before.well_at:  # a message that was read late: the step has been well since
            self._end(step, had_opened=streak.opened_at is not None)
            return
        self._breakers[step] = after = before.seen(streak)
        if after is not before:
            self._paused_at.pop(step, None)
        if after.is_open and not before.is_open:
            self._opened[step] = None
            self.doubtful = True
            if self._acting:
                self._metrics.breaker_open.labels(step).inc()
                self._news(fault_event_texts.breaker_opened(step, streak.uploads))

    def _well(
        self,
        step: str,
        at: Millis,
        *,
        live: bool,
        notice: Callable[[str], Notice] = fault_event_texts.breaker_closed,
    ) -> None:
        before = self._breakers[step]
        self._breakers[step] = after = before.well(before.after_all(at) if live else at)
        if before.streak is not None or self._failed[step]:
            self._end(step, had_opened=before.is_open)
        if before.is_open and not after.is_open:
            self._opened.pop(step, None)
            if self._acting:
                self._metrics.breaker_open.labels(step).dec()
                self._news(notice(step))

    def _end(self, step: str, *, had_opened: bool) -> None:
        """The uploads of a streak that is over have to be told."""
        self._ended[step] = self._ended.get(step, False) or had_opened
        self.doubtful = True

    # -- what uploads are told --------------------------------------------------------------

    def open(self, queued: Queued) -> None:
        """The log is read to its end: from now on, tell uploads that a breaker is open."""
        self._acting = self.doubtful = True
        for step, breaker in self._breakers.items():
            self._metrics.breaker_open.labels(step).inc(breaker.is_open)
            if breaker.is_open:
                self._opened[step] = None
            else:
                self._stale += _saying_so(queued(step), step)

    def close(self) -> None:
        """Tell nothing any more."""
        if self._acting:
            for step, breaker in self._breakers.items():
                self._metrics.breaker_open.labels(step).dec(breaker.is_open)
        self._acting = False

    def take(self, queued: Queued, together: Together) -> Iterator[Told]:
        """The inputs that are due now, each with its upload.

        Those that have failed are told first, and go on in the order in which they arrived. Of the others,
        who goes on now need not be told.
        """
        self.doubtful = False
        self._close_those_without_failures()
        ended, self._ended, stale, self._stale = self._ended, {}, self._stale, []
        with together():
            for step, had_opened in ended.items():
                well_at = self._breakers[step].well_at
                failed = [each for each in self._failed[step] if _failed_at(each) <= well_at]
                yield from [(each, StreakEnded(step, had_opened)) for each in failed]
        yield from [(each, StreakEnded(each.upload.current_step)) for each in stale]
        if not self._acting:
            return
        for step in [step for step, had_opened in ended.items() if had_opened]:
            yield from [(each, StreakEnded(step, opened=True)) for each in _saying_so(queued(step), step)]
        opened, self._opened = self._opened, {}
        for step in opened:
            yield from self._tell_opened(step, list(self._failed[step]))
        for step in self._lasting():
            self._noted[step] = self._opened_at(step)
            yield from self._tell_opened(step, queued(step))

    def _tell_opened(self, step: str, members: Iterable[TrackedUpload]) -> Iterator[Told]:
        streak = self._breakers[step].streak
        if streak is not None:
            event = BreakerOpened(step, streak, self.why(step))
            yield from [(each, event) for each in members]

    @property
    def has_news(self) -> bool:
        """Whether `take` has something to tell, because of what has happened or of the time."""
        return self.doubtful or bool(self._lasting())

    def _lasting(self) -> list[str]:
        """Steps whose breakers have been open for so long that all queued uploads are to say so."""
        if not self._acting:
            return []
        now = self._clock()
        return [
            step
            for step in self._breakers
            if (since := self._opened_at(step)) is not None
            and since != self._noted.get(step)
            and now >= since + NOTED_AFTER
        ]

    def _opened_at(self, step: str) -> Millis | None:
        """Since when the breaker of a step is open; None while it is closed."""
        breaker = self._breakers.get(step)
        return breaker.streak.opened_at if breaker is not None and breaker.streak is not None else None

    def _close_those_without_failures(self) -> None:
        """Close breakers that no upload tells of, as after cancellations: a new owner would not know them."""
        for step, breaker in self._breakers.items():
            if self._acting and breaker.is_open and not self._failed[step]:
                self._well(step, self._clock(), live=True, notice=fault_event_texts.breaker_without_failures)

    # -- who may start ----------------------------------------------------------------------

    def holds_back(self, step: str, under_way: int) -> bool:
        """Whether no upload may start a step now; `under_way` uploads are at its service."""
        breaker = self._breakers.get(step)
        if breaker is None or breaker.streak is None or not breaker.is_open:
            return False
        now = self._clock()
        # If the clock was set back, the pause begins again; else it would last until the clock has caught up.
        begun = self._paused_at[step] = min(self._paused_at.get(step, breaker.streak.last), now)
        return under_way > 0 or now < begun + breaker.pause(self._shortest[step])

    def place(self, step: str, upload: Upload) -> tuple[int, ...]:
        """Where an upload stands in the queue of a step: behind those that have not failed there."""
        if step not in self._breakers:
            return (upload.received_at,)
        streak = upload.step.streak
        return (streak.last if streak is not None else 0, upload.received_at)

    def why(self, step: str) -> str:
        """Why uploads wait at a step, for people; empty while its breaker is closed."""
        since = self._opened_at(step)
        if since is None:
            return ""
        return f"{_unwell(step)} since {format_time(since)}; one upload at a time tests it"

    def are_open(self) -> Iterable[str]:
        """The steps whose breakers are open."""
        return [step for step, breaker in self._breakers.items() if breaker.is_open]

    async def run(self, look: Callable[[], None]) -> None:
        """Call `look` while a breaker is open, so that a probe starts when it is due, until cancelled."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            if self.doubtful or self.are_open():
                look()


def _saying_so(uploads: Iterable[TrackedUpload], step: str) -> list[TrackedUpload]:
    """Those of the uploads that say that the step is not well."""
    return [each for each in uploads if each.upload.message.startswith(_unwell(step))]


def _unwell(step: str) -> str:
    return f"step {step} is not well"


def _failed_at(tracked: TrackedUpload) -> Millis:
    streak = tracked.upload.step.streak
    return streak.last if streak is not None else Millis(0)
