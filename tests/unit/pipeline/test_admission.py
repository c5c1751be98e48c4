"""Who is granted a place, and what those who wait are told."""

from itertools import count

import pytest

from uploadpp.core.evolve import evolve
from uploadpp.core.inputs import Granted, Input
from uploadpp.core.machine import decide
from uploadpp.core.model import FileInfo, Millis
from uploadpp.core.sharding import Shard
from uploadpp.core.states import Stage
from uploadpp.pipeline.admission import StepAdmission
from uploadpp.pipeline.tracked_upload import TrackedUpload
from uploadpp.telemetry.metrics import Metrics
from uploadpp.testing.builders import START, arrival, config_of

CONFIG = config_of("a", max_in_flight={"a": 2})


class Bench:
    """Admission with uploads, and no applier."""

    def __init__(self, shard: Shard) -> None:
        self.metrics = Metrics()
        self.admission = StepAdmission(CONFIG, shard, self.metrics)
        self.in_memory: list[TrackedUpload] = []
        self._now = count(START, 1_000)

    def open(self) -> None:
        """From here on slots are granted."""
        self.admission.open(lambda tracked: self.tell(tracked, Granted()))

    def arrives(self, user: str) -> TrackedUpload:
        """One more upload."""
        now = Millis(next(self._now))
        event = arrival()
        event = evolve(event, file=FileInfo(user_id=user))
        upload = decide(None, f"up-{len(self.in_memory)}", event, now, CONFIG).upload
        assert upload is not None
        tracked = TrackedUpload(upload.id, upload)
        self.in_memory.append(tracked)
        self.admission.moved(tracked)
        self.admission.grant()
        return tracked

    def tell(self, tracked: TrackedUpload, event: Input) -> None:
        """Something happens to an upload."""
        upload = decide(tracked.upload, tracked.upload.id, event, Millis(next(self._now)), CONFIG).upload
        assert upload is not None
        tracked.upload = upload
        self.admission.moved(tracked)

    @property
    def running(self) -> list[str]:
        """The uploads at the step."""
        return [each.upload.id for each in self.in_memory if each.upload.stage is Stage.RUNNING]


@pytest.fixture
def bench() -> Bench:
    return Bench(Shard())


def test_nothing_is_granted_before_the_log_is_read(bench: Bench) -> None:
    bench.arrives("mary")
    assert bench.running == []
    bench.open()
    assert bench.running == ["up-0"]


def test_who_waits_is_told_how_many_there_are(bench: Bench) -> None:
    bench.open()
    messages = [bench.arrives("mary").upload.message for _ in range(4)]
    assert messages == [
        "",
        "",
        "2 slots, 0 other uploads were queued before",
        "2 slots, 1 other upload was queued before",
    ]


def test_who_is_gone_gives_his_place_back(bench: Bench) -> None:
    bench.open()
    for _ in range(3):
        bench.arrives("mary")
    bench.admission.left(bench.in_memory[0])
    bench.admission.grant()
    assert bench.running == ["up-0", "up-1", "up-2"]


def test_a_closed_admission_grants_nothing(bench: Bench) -> None:
    bench.open()
    bench.admission.close()
    bench.arrives("mary")
    assert bench.running == []


def test_a_shard_has_its_part_of_the_places() -> None:
    bench = Bench(Shard(1, 2))
    bench.open()
    for _ in range(3):
        bench.arrives("mary")
    assert bench.running == ["up-0"]


def test_metrics_show_the_places_and_forget_them(bench: Bench) -> None:
    bench.open()
    for _ in range(3):
        bench.arrives("mary")
    assert b'uploadpp_step_slots{step="a"} 2.0' in bench.metrics.text()
    assert b'uploadpp_step_slots_used{step="a"} 2.0' in bench.metrics.text()
    bench.admission.close()
    for tracked in bench.in_memory:
        bench.admission.left(tracked)
    bench.admission.grant()
    assert b'uploadpp_step_slots{step="a"} 0.0' in bench.metrics.text()
    assert b'uploadpp_step_slots_used{step="a"} 0.0' in bench.metrics.text()


def test_s2_one_upload_never_keeps_the_others_from_their_places(bench: Bench) -> None:
    entries = [bench.arrives("mary") for _ in range(4)]
    real = bench.tell

    def tell(tracked: TrackedUpload, event: Input) -> None:
        if tracked is entries[0]:
            raise KeyError("not foreseen")
        real(tracked, event)

    bench.tell = tell  # type: ignore[method-assign]
    bench.open()
    assert bench.running == ["up-1", "up-2"], "and its place is not lost"
    bench.admission.grant()
    assert bench.running == ["up-1", "up-2"]


def told_whose(tracked: TrackedUpload, user: str) -> None:
    """A URL comes, and says who has sent the file."""
    upload = tracked.upload
    sent_by = f'{{"id":{{"opaque_id":"{user}"}}}}'
    tracked.upload = evolve(upload, origin=evolve(upload.origin, executing_user=sent_by))


@pytest.mark.parametrize("waits", [False, True])
def test_an_upload_counts_for_its_user_as_soon_as_he_is_known(bench: Bench, *, waits: bool) -> None:
    """The URL of a resource made by hand comes when the upload is at its step already."""
    bench.open()
    users = ["ann", "peter", ""] if waits else ["", "peter", "ann"]
    uploads = [bench.arrives(user) for user in users]
    told_whose(uploads[users.index("")], "ann")
    bench.admission.moved(uploads[users.index("")])
    bench.arrives("paul")
    bench.admission.left(uploads[1])
    bench.admission.grant()
    assert bench.running == ["up-0", "up-1", "up-3"], "Ann has a slot, and Paul has none"


def test_an_upload_that_queues_anew_is_not_at_the_service_any_more() -> None:
    """As after a failed probe."""
    config = config_of("a", max_in_flight={"a": 2}, min_in_flight={"a": 1})
    admission = StepAdmission(config, Shard(), Metrics())
    upload = decide(None, "up", arrival(), START, config).upload
    assert upload is not None
    tracked = TrackedUpload("up", upload)
    admission.moved(tracked)
    granted: list[TrackedUpload] = []

    def grant(each: TrackedUpload) -> None:
        granted.append(each)
        each.upload = evolve(upload, stage=Stage.RUNNING)
        admission.moved(each)

    admission.open(grant)
    assert (len(granted), admission.unanswered("a")) == (1, 1)
    admission.close()
    tracked.upload = upload
    admission.moved(tracked)
    assert admission.unanswered("a") == 0
    assert admission.queued("a") == [tracked]
