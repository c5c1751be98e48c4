"""Every protection is needed: without it, the same worlds break an invariant, and it is said which.

A protection is taken away by a patch; what is left is run in the world named beside it.
"""

from collections.abc import Callable, Iterable, Iterator

import pytest

from uploadpp.core import replay
from uploadpp.core.evolve import evolve
from uploadpp.core.model import Millis, StepStatus, Upload
from uploadpp.core.rules import own_events
from uploadpp.core.states import Ignored, StepState
from uploadpp.pipeline.acks import AckTracker, PendingMessage
from uploadpp.pipeline.applier import Applier
from uploadpp.pipeline.checkpoint import Checkpoint
from uploadpp.pipeline.fence import Fence
from uploadpp.pipeline.tracked_upload import TrackedUpload
from uploadpp.testing.apiserver import ApiServer, Json
from uploadpp.testing.configs import config, step
from uploadpp.testing.invariants import Invariant
from uploadpp.testing.scenarios import (
    LONG_SECONDS,
    crashes,
    one_upload_cannot_be_stored,
    pauses,
    rollout,
    stray_answer_in_the_backlog,
)
from uploadpp.testing.simulation import Result
from uploadpp.wire import decode as wire_decode

Patch = pytest.MonkeyPatch


def nothing_is_held(patch: Patch) -> None:
    """Replay publishes at once."""
    construct = Applier.__init__

    def impatient(self: Applier, *args: object, **kwargs: object) -> None:
        construct(self, *args, **kwargs)  # type: ignore[arg-type]
        self._outbox._pending = None

    patch.setattr(Applier, "__init__", impatient)


def nothing_is_dropped(patch: Patch) -> None:
    """What the log shows as published goes out all the same."""
    met = Applier.meet

    def forgetful(self: Applier, *args: object, **kwargs: object) -> None:
        pending, self._outbox._pending = self._outbox._pending, None
        met(self, *args, **kwargs)  # type: ignore[arg-type]
        self._outbox._pending = pending

    patch.setattr(Applier, "meet", forgetful)


def _without(patch: Patch, reason: Ignored) -> None:
    stale = replay._stale

    def lenient(*args: object) -> tuple[Ignored, str] | None:
        found = stale(*args)  # type: ignore[arg-type]
        return None if found is not None and found[0] is reason else found

    patch.setattr(replay, "_stale", lenient)


def no_sequence_check(patch: Patch) -> None:
    """Inputs count again when they are read again."""
    _without(patch, Ignored.ALREADY_APPLIED)


def no_start_position(patch: Patch) -> None:
    """An answer counts even if it is older than what it would answer."""
    _without(patch, Ignored.BEFORE_START)


def no_compare_and_set(patch: Patch) -> None:
    """A status overwrites whatever is there when it arrives."""
    carry_out = ApiServer._patch

    def blind(self: ApiServer, actor: str, name: str, part: str, operations: list[Json]) -> Json:
        test = {**operations[0], "value": self._get(name)["metadata"]["resourceVersion"]}
        return carry_out(self, actor, name, part, [test, operations[1]])

    patch.setattr(ApiServer, "_patch", blind)


def checkpoint_before_publication(patch: Patch) -> None:
    """A state is stored although its commands are not in the stream yet."""
    patch.setattr(TrackedUpload, "unpublished", property(lambda _: 0, lambda _self, _value: None))


def acknowledge_before_checkpoint(patch: Patch) -> None:
    """A message is acknowledged when it is read, not when what it caused is stored."""
    release = AckTracker.release

    def hasty(self: AckTracker, message: PendingMessage) -> None:
        message.open = min(message.open, 1)
        release(self, message)

    patch.setattr(AckTracker, "release", hasty)


def no_fence(patch: Patch) -> None:
    """Whoever wakes up publishes, owner or not."""

    async def open_gate(_: Fence) -> None:
        return

    patch.setattr(Fence, "pass_through", open_gate)


def a_url_is_read_only_once(patch: Patch) -> None:
    """What is applied is over, although its URL is stored only after that."""
    patch.setattr(replay, "with_later_url", lambda upload, _: upload)


def a_url_goes_first(patch: Patch) -> None:
    """A URL is stored before the run that it begins."""
    write = Checkpoint._write

    async def eager(self: Checkpoint, tracked: TrackedUpload, upload: Upload) -> None:
        if tracked.stored is not None and tracked.sealed is not upload.origin:
            tracked.stored = await self._seal(tracked, tracked.stored, upload.origin)
        await write(self, tracked, upload)

    patch.setattr(Checkpoint, "_write", eager)


def no_floor_for_the_reaper(patch: Patch) -> None:
    """Resources are removed although a replay would still read their BytesReceived."""
    everything = property(lambda _: 1 << 60, lambda _self, _value: None)
    for position in ("acknowledged", "noted"):
        patch.setattr(AckTracker, position, everything, raising=False)


def a_start_proves_the_steps_before(patch: Patch) -> None:
    """That a step was started counts as the success of those before it."""
    left = own_events._left

    def credulous(upload: Upload, index: int, now: Millis) -> Upload:
        upload = left(upload, index, now)
        done = StepStatus(state=StepState.SUCCEEDED, attempts=1)
        return evolve(upload, steps=(*(done for _ in range(index)), *upload.steps[index:]))

    patch.setattr(own_events, "_left", credulous)


def a_plan_that_stays_at_home(patch: Patch) -> None:
    """An upload that only the log knows is driven by the steps that are configured now."""
    patch.setattr(wire_decode, "_planned", lambda _: None)


def as_it_was(patch: Patch) -> None:
    """Both of these, which is how files were released unscanned."""
    a_plan_that_stays_at_home(patch)
    a_start_proves_the_steps_before(patch)


REORDERED = config(step("policies"), step("virusscan")), config(step("virusscan"), step("policies"))
ADDED = config(step("policies"), step("sign")), config(step("virusscan"), step("policies"), step("sign"))

TORN: dict[str, Callable[[], Iterable[Result]]] = {
    "crashes while a step is retried": lambda: crashes("a step is retried", LONG_SECONDS),
    "crashes while a step does not answer": lambda: crashes("a step never answers", LONG_SECONDS),
    "crashes around a resume": lambda: crashes("resumed", LONG_SECONDS),
    "crashes around a fresh URL": lambda: crashes("announced afresh", LONG_SECONDS),
    "crashes around a run that waits": lambda: crashes(
        "cleaned, then announced while suspended", LONG_SECONDS
    ),
    "long pauses": lambda: pauses("kept for long", LONG_SECONDS),
}
"""Worlds of test_crash_everywhere, where all protections are there."""
OTHERS: dict[str, Callable[[], Iterable[Result]]] = {
    "a stray answer in the backlog": stray_answer_in_the_backlog,
    "one upload cannot be stored": one_upload_cannot_be_stored,
    "a rollout that reorders the steps": lambda: rollout(*REORDERED),
    "a rollout that adds a step": lambda: rollout(*ADDED),
}
WORLDS = TORN | OTHERS
CASES: list[tuple[Callable[[Patch], None], str, Invariant]] = [
    (nothing_is_held, "crashes while a step is retried", Invariant.NO_DOUBLE_START),
    (nothing_is_dropped, "crashes while a step does not answer", Invariant.NO_DOUBLE_START),
    (no_sequence_check, "crashes around a resume", Invariant.NO_START_WITHOUT_CAUSE),
    (no_start_position, "a stray answer in the backlog", Invariant.EACH_STEP_ANSWERED),
    (no_compare_and_set, "long pauses", Invariant.STATUS_NEVER_BACK),
    (checkpoint_before_publication, "crashes while a step is retried", Invariant.STATUS_BEHIND_STREAM),
    (acknowledge_before_checkpoint, "one upload cannot be stored", Invariant.ACK_BEHIND_STATUS),
    (no_fence, "long pauses", Invariant.NO_DOUBLE_START),
    (a_url_is_read_only_once, "crashes around a fresh URL", Invariant.ACK_BEHIND_STATUS),
    (a_url_goes_first, "crashes around a run that waits", Invariant.NO_UPLOAD_LOST),
    (no_floor_for_the_reaper, "one upload cannot be stored", Invariant.REMOVED_ONCE),
    (as_it_was, "a rollout that reorders the steps", Invariant.EACH_STEP_ANSWERED),
    (as_it_was, "a rollout that adds a step", Invariant.SUCCEEDED_BY_ANSWER),
    (a_plan_that_stays_at_home, "a rollout that reorders the steps", Invariant.PLAN_KEPT),
]


def first_broken(world: str) -> Iterator[Invariant]:
    """The invariants that the runs of a world break first."""
    return (result.violations[0].invariant for result in WORLDS[world]() if result.violations)


@pytest.mark.parametrize("world", OTHERS)
def test_with_all_of_them_every_invariant_holds(world: str) -> None:
    assert set(first_broken(world)) == set()


@pytest.mark.parametrize(("remove", "world", "invariant"), CASES, ids=[case[0].__name__ for case in CASES])
def test_without_it_an_invariant_is_broken(
    remove: Callable[[Patch], None], world: str, invariant: Invariant, monkeypatch: Patch
) -> None:
    remove(monkeypatch)
    assert invariant in first_broken(world)
