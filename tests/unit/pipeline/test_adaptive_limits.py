"""What the answers of a step mean for its limit, and what admission makes of that."""

from collections.abc import Callable
from itertools import count

import pytest

from uploadpp.core.adaptive_limit import AdaptiveLimit
from uploadpp.core.config import Config
from uploadpp.core.evolve import evolve
from uploadpp.core.inputs import Granted, Input, StepFinished, Tick
from uploadpp.core.machine import decide
from uploadpp.core.model import Millis, StepPlan
from uploadpp.core.sharding import Shard
from uploadpp.core.states import DesiredState, Stage
from uploadpp.pipeline.adaptive_limits import AdaptiveLimits
from uploadpp.pipeline.admission import StepAdmission
from uploadpp.pipeline.tracked_upload import TrackedUpload
from uploadpp.telemetry.metrics import Metrics
from uploadpp.testing.builders import START, UploadScenario, arrival, begun, config_of

LIMITS = {"max_in_flight": {"a": 40}, "min_in_flight": {"a": 2}}
CONFIG = config_of("a", "b", **LIMITS)


class Listener(AdaptiveLimit[TrackedUpload]):
    """Notes what it is told."""

    def __init__(self, said: list[str]) -> None:
        super().__init__(2, 40)
        self._said = said

    def answered(self, member: TrackedUpload, took: Millis) -> None:
        """Note it."""
        del member
        self._said.append(f"answered {took}")

    def failed(self, member: TrackedUpload) -> None:
        """Note it."""
        del member
        self._said.append("failed")

    def left(self, member: TrackedUpload) -> None:
        """Note it."""
        del member
        self._said.append("left")


def told(happens: Callable[[UploadScenario], object]) -> list[str]:
    """What the limit of the step is told when this happens to an upload there."""
    story = begun(StepPlan(name="a", timeout=Millis(60_000)), "b", **LIMITS)
    story.granted()
    limits, said = AdaptiveLimits(CONFIG, Shard(), tuple), list[str]()
    limits.limits["a"] = Listener(said)
    happens(story)
    limits.left("a", TrackedUpload("u", story.upload))
    limits.left("b", TrackedUpload("u", story.upload))
    return said


@pytest.mark.parametrize("word", ["continue", "abort", "delete"])
def test_good_answers_count_with_the_time_they_took(word: str) -> None:
    assert told(lambda story: story.answers(word)) == ["answered 1000"]


def test_retries_and_time_outs_are_failures() -> None:
    assert told(lambda story: story.answers("retry")) == ["failed"]
    assert told(lambda story: story.timer()) == ["failed"]


def test_silence_is_a_failure() -> None:
    story = begun("a", **LIMITS)
    story.granted()
    story.timer()
    assert story.upload.stalled_at is not None
    assert told(lambda each: setattr(each, "state", story.upload)) == ["failed"]


def test_what_people_do_says_nothing_of_the_service() -> None:
    assert told(lambda story: story.wanted(DesiredState.CANCELLED)) == ["left"]


def test_clocks_that_differ_make_no_answer_shorter_than_nothing() -> None:
    def earlier(story: UploadScenario) -> None:
        story.answers("continue")
        done = evolve(story.upload.steps[0], finished_at=Millis(0))
        story.state = story.upload.with_step(0, done)

    assert told(earlier) == ["answered 0"]


def test_while_the_breaker_is_open_the_limit_is_the_floor() -> None:
    story = begun("a", **LIMITS)
    limits = AdaptiveLimits(CONFIG, Shard(), lambda: ["a"])
    tracked = TrackedUpload("u", story.upload)
    limits.started("a", tracked, 1)
    limits.started("b", tracked, 1)
    limits.left("a", tracked)
    assert limits.limits["a"].limit == 2


@pytest.mark.parametrize(("index", "bounds"), [(0, (1, 14)), (1, (1, 13)), (2, (1, 13))])
def test_shards_divide_floor_and_ceiling_and_have_one_slot_at_least(
    index: int, bounds: tuple[int, int]
) -> None:
    limit = AdaptiveLimits(CONFIG, Shard(index, 3), tuple).limits["a"]
    assert (limit.floor, limit.ceiling) == bounds


class Bench:
    """Admission with uploads, and no applier."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.metrics = Metrics()
        self.admission = StepAdmission(config, Shard(), self.metrics)
        self.uploads: list[TrackedUpload] = []
        self._now = count(START, 1_000)

    def open(self) -> None:
        """From here on slots are granted."""
        self.admission.open(lambda tracked: self.tell(tracked, Granted()))

    def arrive(self, number: int) -> None:
        """So many uploads more."""
        for _ in range(number):
            upload = decide(None, f"up-{len(self.uploads)}", arrival(), self._time(), self.config).upload
            assert upload is not None
            self.uploads.append(TrackedUpload(upload.id, upload))
            self.admission.moved(self.uploads[-1])
            self.admission.grant()

    def _time(self) -> Millis:
        return Millis(next(self._now))

    def tell(self, tracked: TrackedUpload, event: Input) -> None:
        """Something happens to an upload."""
        upload = decide(tracked.upload, tracked.upload.id, event, self._time(), self.config).upload
        assert upload is not None
        tracked.upload = upload
        self.admission.moved(tracked)
        self.admission.grant()

    @property
    def running(self) -> list[TrackedUpload]:
        """The uploads at the step."""
        return [each for each in self.uploads if each.upload.stage is Stage.RUNNING]

    def slots(self) -> float | None:
        """The present limit, as the metric says it."""
        return self.metrics.registry.get_sample_value("uploadpp_step_slots", {"step": "a"})


def test_slots_rise_with_the_limit_and_all_of_it_is_shown() -> None:
    bench = Bench(config_of("a", **LIMITS))
    bench.open()
    bench.arrive(60)
    assert (len(bench.running), bench.slots()) == (2, 2)
    assert bench.uploads[-1].upload.message.startswith("2 slots now, between 2 and 40, 57 other uploads")
    for _ in range(8):
        bench.tell(bench.running[0], StepFinished("a", "continue"))
    assert (len(bench.running), bench.slots()) == (3, 3)
    assert bench.admission.limits == {"a": (2, 3, 40)}
    bench.admission.close()
    assert bench.slots() == 0
    bench.tell(bench.running[0], Tick())
    assert bench.slots() == 0


def test_who_leaves_the_step_by_its_grant_has_not_started_there() -> None:
    bench = Bench(config_of("a", **LIMITS))
    bench.admission.open(bench.admission.left)
    bench.arrive(20)
    bench.admission.grant()
    assert bench.admission.unanswered("a") == 0
    bench = Bench(config_of("a", **LIMITS))
    bench.open()
    bench.arrive(20)
    assert bench.admission.unanswered("a") == 2


def test_before_the_log_is_read_nothing_is_learnt() -> None:
    bench = Bench(config_of("a", **LIMITS))
    bench.arrive(60)
    for tracked in bench.uploads[:50]:
        bench.tell(tracked, Granted())
        bench.tell(tracked, StepFinished("a", "continue"))
    assert bench.admission.limits["a"][1] == 2


def test_a_limit_without_a_floor_is_fixed() -> None:
    bench = Bench(config_of("a", max_in_flight={"a": 2}))
    bench.open()
    bench.arrive(30)
    for _ in range(20):
        bench.tell(bench.running[0], StepFinished("a", "continue"))
    assert (len(bench.running), bench.slots(), bench.admission.limits) == (2, 2, {})
