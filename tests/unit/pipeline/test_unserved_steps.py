"""Uploads at a step that nobody serves say so; the others are left alone."""

import pytest

from tests.unit.pipeline.test_replaying import CONFIG, NOW
from uploadpp.core.evolve import evolve
from uploadpp.core.inputs import Input, Listening
from uploadpp.core.states import Stage
from uploadpp.pipeline.tracked_upload import TrackedUpload
from uploadpp.pipeline.unserved_steps import UnservedSteps
from uploadpp.testing.events import UPLOAD, arrival, message
from uploadpp.testing.pipelines import KeptEvents, PipelineBench


class Site:
    """An upload whose first step is started, and what is known of services."""

    def __init__(self) -> None:
        bus = KeptEvents()
        self.bench = PipelineBench(CONFIG, bus, lambda: NOW)
        self.bench.act()
        self.bench.read(1, message("BytesReceived", arrival()))
        bus.on_stored[0](2)
        self.told: list[Input] = []
        self.unserved: frozenset[str] | None = None
        faults = self.bench.shared.faults
        self.steps = UnservedSteps(self.bench.uploads, faults, lambda: self.unserved, self.apply)

    @property
    def tracked(self) -> TrackedUpload:
        return self.bench.tracked(UPLOAD)

    @property
    def step(self) -> str:
        return self.tracked.upload.current_step

    def apply(self, tracked: TrackedUpload, event: Input) -> None:
        self.told.append(event)
        self.bench.applier.on_input(tracked, event)

    def look(self, *unserved: str) -> list[Input]:
        self.unserved = frozenset(unserved)
        self.told.clear()
        self.steps.look()
        return list(self.told)


def test_it_is_said_once_and_taken_back_when_somebody_serves() -> None:
    site = Site()
    site.steps.look()
    assert site.told == [], "nothing is known yet"
    assert site.look() == []
    assert site.look(site.step) == [Listening(site.step, found=False)]
    assert site.tracked.upload.stalled_at == NOW
    assert site.tracked.dirty
    assert site.look(site.step) == []
    assert site.look(site.step, "other") == []
    assert site.look("other") == [Listening(site.step, found=True)]
    assert site.tracked.upload.stalled_at is None


def test_what_the_last_owner_has_said_is_taken_back_too() -> None:
    site = Site()
    site.look(site.step)
    anew = UnservedSteps(site.bench.uploads, site.bench.shared.faults, frozenset, site.apply)
    anew.look()
    assert site.tracked.upload.message == ""


@pytest.mark.parametrize("field", ["unpublished", "gone", "stage"])
def test_nobody_is_told_who_waits_for_something_else(field: str) -> None:
    """Such as for its own start to be published: that no service has taken it proves nothing yet."""
    site = Site()
    step = site.step
    if field == "stage":
        site.tracked.upload = evolve(site.tracked.upload, stage=Stage.BACKING_OFF)
    else:
        setattr(site.tracked, field, 1)
    assert site.look(step) == []


def test_a_fault_about_one_upload_does_not_end_the_looking() -> None:
    site = Site()

    def fail(tracked: TrackedUpload, event: Input) -> None:
        del tracked
        site.told.append(event)
        raise RuntimeError

    unserved = frozenset({site.step})
    UnservedSteps(site.bench.uploads, site.bench.shared.faults, lambda: unserved, fail).look()
    assert len(site.told) == 1
