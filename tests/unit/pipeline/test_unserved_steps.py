"""Uploads show that no service listens for their step: who is written, when, and how many at a time."""

import pytest

from uploadpp.core.conditions import Unserved
from uploadpp.core.evolve import evolve
from uploadpp.core.model import Millis
from uploadpp.core.states import Stage
from uploadpp.kube.errors import Refusal
from uploadpp.pipeline.refusals import Refusals
from uploadpp.pipeline.tracked_upload import Refused, TrackedUpload
from uploadpp.pipeline.unserved_steps import GRACE_MS, RARELY, WRITES, UnservedSteps
from uploadpp.pipeline.write_queue import WriteQueue
from uploadpp.testing.events import arrival, message
from uploadpp.testing.pipelines import CONFIG, NOW, KeptEvents, PipelineBench

STEP = CONFIG.steps[0].name


class Site:
    """Uploads whose first step is started and recorded, and what is known of services."""

    def __init__(self, count: int = 1) -> None:
        self.now, bus = NOW, KeptEvents()
        self.bench = PipelineBench(CONFIG, bus, lambda: self.now)
        self.bench.act()
        for number in range(count):
            self.bench.read(2 * number + 1, message("BytesReceived", arrival(UploadID=f'"u{number}"')))
            bus.on_stored[-1](2 * number + 2)
        self.queue = WriteQueue(self.bench.acks, Refusals(self.bench.metrics, lambda: 0.0, lambda _: None))
        self.unserved: frozenset[str] | None = None
        self.anew()
        self.written()
        self.later(GRACE_MS)

    def anew(self) -> None:
        """As after a restart: what was known of services is not known any more."""
        self.steps = UnservedSteps(self.bench.shared, self.bench.uploads, self.queue, lambda: self.unserved)

    def later(self, length: int) -> None:
        self.now = Millis(self.now + length)

    @property
    def every(self) -> list[TrackedUpload]:
        return list(self.bench.uploads.in_memory)

    @property
    def first(self) -> TrackedUpload:
        return self.every[0]

    def shown(self) -> Unserved | None:
        """What the resource of the first shows."""
        return self.first.unserved

    def written(self) -> list[str]:
        """Have all of it written, and say whose states were."""
        names = list(self.bench.turns.storable)
        self.bench.turns.storable.clear()
        for tracked in self.every:
            self.bench.uploads.saved(tracked, tracked.version)
        return names

    def look(self, *unserved: str) -> list[str]:
        self.unserved = frozenset(unserved)
        self.steps.look()
        return self.written()


def test_it_is_written_once_and_once_when_a_service_is_there() -> None:
    site = Site()
    site.steps.look()
    assert site.written() == [], "nothing is known yet"
    assert site.look() == []
    assert site.look(STEP) == ["u0"]
    assert site.shown() == Unserved(STEP, site.now)
    site.later(60_000)
    assert site.look(STEP) == []
    assert site.look(STEP, "other") == []
    assert site.look("other") == ["u0"]
    assert site.shown() is None
    assert site.look() == []


def test_it_is_no_input_of_the_state_machine() -> None:
    site = Site()
    before, sent = site.first.upload, len(site.bench.turns.storable)
    site.look(STEP)
    assert site.first.upload is before
    assert (sent, site.bench.told) == (0, [])


def test_an_upload_that_has_just_come_to_its_step_is_left_alone() -> None:
    site = Site()
    site.later(-1)
    assert site.look(STEP) == []
    site.later(1)
    assert site.look(STEP) == ["u0"]


@pytest.mark.parametrize("field", ["unpublished", "gone", "refused"])
def test_what_cannot_be_written_now_is_left_alone(field: str) -> None:
    site = Site()
    value = Refused(Refusal.POLICY, 1) if field == "refused" else 1
    setattr(site.first, field, value)
    assert site.look(STEP) == []
    assert site.shown() is None


@pytest.mark.parametrize("changes", [{"stage": Stage.BACKING_OFF}, {"stalled_at": NOW}])
def test_what_shows_something_else_is_not_written(changes: dict[str, object]) -> None:
    """It knows, however, and shows it when its step is started again."""
    site = Site()
    site.first.upload = evolve(site.first.upload, **changes)
    assert site.look(STEP) == []
    assert site.shown() == Unserved(STEP, site.now)
    assert site.look() == []
    assert site.shown() is None


def test_what_was_shown_of_an_earlier_step_needs_no_write() -> None:
    """A status leaves it out by itself."""
    site = Site()
    site.first.unserved = Unserved("before", site.now)
    assert site.look() == []
    assert site.shown() is None


def test_an_upload_that_waits_to_be_written_takes_it_along() -> None:
    site = Site(WRITES + 5)
    for tracked in site.every[:5]:
        tracked.queued = True
    assert len(site.look(STEP)) == WRITES + 5


@pytest.mark.parametrize(("unserved", "written"), [([STEP], []), ([], ["u0"])])
def test_after_a_restart_what_a_resource_shows_is_left_or_taken_back(
    unserved: list[str], written: list[str]
) -> None:
    site = Site()
    site.look(STEP)
    site.anew()
    site.later(60_000)
    assert site.look(*unserved) == written


def test_what_comes_into_memory_later_is_taken_back_as_well() -> None:
    site = Site()
    site.look()
    site.first.unserved = Unserved(STEP, site.now)
    assert [name for _ in range(RARELY) for name in site.look()] == ["u0"]


async def test_so_many_are_written_in_a_look_the_oldest_first() -> None:
    site = Site(2 * WRITES + 1)
    names = [tracked.name for tracked in site.every]
    assert site.look(STEP) == names[:WRITES]
    site.queue.put(TrackedUpload("other", site.first.upload))
    assert site.look(STEP) == names[WRITES : 2 * WRITES - 1], "what waits already counts"
    for number in range(WRITES):
        site.queue.put(TrackedUpload(str(number), site.first.upload))
    assert site.look(STEP) == [], "the API server is slow, or away"
    while site.queue:
        site.queue.pop()
    assert site.look(STEP) == names[2 * WRITES - 1 :]
    assert site.look() == names[:WRITES]
    assert site.look() == names[WRITES : 2 * WRITES]
    assert site.look() == names[2 * WRITES :]
    assert site.look() == []


def test_a_fault_about_one_upload_does_not_end_the_looking(monkeypatch: pytest.MonkeyPatch) -> None:
    site = Site(2)
    record = site.bench.uploads.record
    failed: list[str] = []

    def fail_once(tracked: TrackedUpload) -> None:
        if not failed:
            failed.append(tracked.name)
            raise RuntimeError
        record(tracked)

    monkeypatch.setattr(site.bench.uploads, "record", fail_once)
    assert site.look(STEP) == ["u1"]
    assert failed == ["u0"]
