"""What the owner does when somebody else writes `spec.sealed`: only it still knows what was there."""

from typing import Any

import pytest

from tests.unit.resources.test_event_handler import VICTIM, Side, driven, resource
from uploadpp.core.model import Origin
from uploadpp.pipeline.tracked_upload import TrackedUpload
from uploadpp.resources import sealed_parts

OVERWRITTEN = (VICTIM, "SealedOverwritten")


class Clock:
    """Moved by hand."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(sealed_parts, "monotonic", clock)
    return clock


def edited(made: dict[str, Any], generation: int = 2, version: str = "", **spec: object) -> dict[str, Any]:
    meta = {**made["metadata"], "generation": generation, "resourceVersion": version or str(generation + 5)}
    return {**made, "metadata": meta, "spec": {**made["spec"], **spec}}


def taken(made: dict[str, Any]) -> tuple[Side, TrackedUpload]:
    side = Side()
    side.inputs.listed(made)
    side.applier.act()
    side.stored.clear()
    tracked = side.uploads.by_id(VICTIM)
    assert tracked is not None
    return side, tracked


@pytest.mark.parametrize("sealed", ["damaged", "earlier", "", None, 7])
def test_what_somebody_has_written_over_is_written_again_and_told(sealed: object, clock: Clock) -> None:
    del clock
    side, tracked = taken(driven(VICTIM))
    side.inputs.seen(edited(driven(VICTIM), sealed=sealed))
    assert (side.told, tracked.sealed, side.stored) == ([OVERWRITTEN], None, [VICTIM] * len(side.stored))
    assert side.stored


def test_other_edits_leave_it_as_it_is() -> None:
    side, tracked = taken(driven(VICTIM))
    side.inputs.seen(edited(driven(VICTIM), desiredState="Suspended"))
    assert (side.told, tracked.sealed) == ([], tracked.upload.origin)


def test_what_a_person_has_made_need_not_be_sealed() -> None:
    side, tracked = taken(resource(VICTIM))
    side.inputs.seen(edited(resource(VICTIM), desiredState="Suspended"))
    assert (side.told, tracked.sealed) == ([], tracked.upload.origin)
    side.inputs.seen(edited(resource(VICTIM), 3, sealed="damaged"))
    assert (side.told, tracked.sealed) == ([OVERWRITTEN], None)


@pytest.mark.parametrize(("sealed", "told"), [("earlier", []), ("damaged", [OVERWRITTEN])])
def test_what_is_about_to_be_written_may_still_be_an_earlier_one(
    sealed: str, told: list[tuple[str, str]], clock: Clock
) -> None:
    del clock
    side, tracked = taken(driven(VICTIM))
    tracked.sealed = Origin()
    side.inputs.seen(edited(driven(VICTIM), sealed=sealed))
    assert side.told == told


def test_an_event_from_before_our_last_write_says_nothing() -> None:
    side, tracked = taken(driven(VICTIM))
    side.inputs.seen(edited(driven(VICTIM), version="4", sealed="earlier"))
    tracked.sealed = None
    side.inputs.seen(edited(driven(VICTIM), 3, sealed="damaged"))
    assert side.told == [], "and what is being written anyway is not told of"


def test_who_writes_it_again_and_again_is_answered_ever_more_rarely(clock: Clock) -> None:
    side, tracked = taken(driven(VICTIM))
    for generation in range(2, 602):  # ten minutes
        side.inputs.seen(edited(driven(VICTIM), generation, sealed="damaged"))
        tracked.sealed = tracked.upload.origin  # it has been written
        clock.now += 1
    assert len(side.told) == 5, "after 0, 30, 90, 210 and 450 seconds"
    clock.now += sealed_parts.LONGEST_PAUSE_SECONDS
    last = edited(driven(VICTIM), 601, sealed="damaged")
    side.inputs.seen(resource("another", "another"))
    assert len(side.told) == 5
    side.inputs.seen(last)
    assert len(side.told) == 6, "a listing shows it again when the time has come"
    tracked.sealed = tracked.upload.origin
    clock.now += sealed_parts.LONGEST_PAUSE_SECONDS
    side.inputs.seen(last)
    assert len(side.told) == 6, "and nobody has overwritten it since"


def test_only_so_many_are_remembered(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sealed_parts, "REMEMBERED", 1)
    side, tracked = taken(driven(VICTIM))
    side.inputs.seen(driven("other", "other"))
    side.inputs.seen(edited(driven(VICTIM), sealed="damaged"))
    tracked.sealed = tracked.upload.origin
    side.inputs.seen(edited(driven("other", "other"), sealed="damaged"))
    side.inputs.seen(edited(driven(VICTIM), 3, sealed="damaged"))
    assert [name for name, _ in side.told] == [VICTIM, "other", VICTIM]
    assert clock.now == Clock.now
