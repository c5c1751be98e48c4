"""The breaker of a step: whether the step is well, as far as its answers tell (docs/adr/0055).

A failure of a step is the answer `retry`, a time-out, or silence for `stallAfter`. A good answer is
`continue`, `abort` or `delete`. The failures of all uploads since the last good answer are a streak. The
breaker opens when so many uploads are part of it as `breakerAfter` says, and a good answer closes it.

Each upload keeps the streak as it was at its own last failure. The newest of these is the present streak, so
a new owner knows it from the resources and the log.
"""

from dataclasses import dataclass

from uploadpp.core.evolve import evolve
from uploadpp.core.model import Millis, StepStatus, Streak
from uploadpp.core.states import StepReason, StepState

LONGEST_PAUSE = Millis(5 * 60_000)
"""The service is asked at least this often whether it is well again."""


@dataclass(frozen=True, slots=True)
class Breaker:
    """What is known of one step, in one shard."""

    after: int
    streak: Streak | None = None
    """The newest failure; None after a good answer."""
    well_at: Millis = Millis(-1)
    """Failures up to this moment do not count any more."""

    @property
    def is_open(self) -> bool:
        """Whether no upload may start the step, but for a probe."""
        return self.streak is not None and self.streak.opened_at is not None

    def failure(self, own: Streak | None, now: Millis) -> Streak:
        """The streak after a failure, of an upload with `own` as its last one.

        During a replay `now` may lie before failures that resources tell of already.
        """
        known = self.streak
        if known is None or now < known.since:
            return Streak(now, now, 1, now if self.after == 1 else None)
        if now < known.last:
            return evolve(known, last=now)
        uploads = known.uploads if own is not None and own.since == known.since else known.uploads + 1
        opened_at = known.opened_at
        if opened_at is None and uploads >= self.after:
            opened_at = now
        return Streak(known.since, now, uploads, opened_at)

    def seen(self, streak: Streak) -> "Breaker":
        """The breaker once a failure was seen; itself if that is not news."""
        known = self.streak
        is_older = known is not None and (streak.last, streak.uploads) <= (known.last, known.uploads)
        if is_older or streak.last <= self.well_at:
            return self
        return evolve(self, streak=evolve(streak, counted=0))

    def well(self, at: Millis) -> "Breaker":
        """The breaker after a good answer. Failures that came later, as a replay may know, still count."""
        ends = self.streak is not None and self.streak.last <= at
        return evolve(self, streak=None if ends else self.streak, well_at=Millis(max(at, self.well_at)))

    def after_all(self, now: Millis) -> Millis:
        """A moment after everything that is known, by clocks that differ."""
        last = self.streak.last if self.streak is not None else now
        return Millis(max(now, last, self.well_at + 1))

    def pause(self, shortest: Millis) -> Millis:
        """How long no probe starts after a failure; 0 while the breaker is closed.

        It is as long as the breaker was open at the failure, between `shortest` and `LONGEST_PAUSE`.
        """
        if self.streak is None or self.streak.opened_at is None:
            return Millis(0)
        return min(
            max(Millis(self.streak.last - self.streak.opened_at), shortest), max(LONGEST_PAUSE, shortest)
        )


def noted(step: StepStatus, streak: Streak | None, *, counts: bool) -> Streak | None:
    """What an upload keeps of a failure of its step; `counts` says whether that took one of its retries."""
    if streak is None:
        return None
    own = step.streak
    counted = own.counted if own is not None and own.since == streak.since else 0
    return evolve(streak, counted=counted + counts)


def given_back(step: StepStatus) -> StepStatus:
    """The step with the retries that the present streak has taken; itself when it has taken none."""
    streak = step.streak
    if streak is None or not streak.counted:
        return step
    retries = max(step.retries - streak.counted, 0)
    return evolve(step, retries=retries, streak=evolve(streak, counted=0))


def is_good_answer(step: StepStatus) -> bool:
    """Whether the last thing that a step said was a good answer."""
    return step.state is StepState.SUCCEEDED or step.reason is StepReason.REJECTED
