"""What uploads are told when the breaker of their step opens and closes, and who starts meanwhile."""

import asyncio
import contextlib

import pytest

from uploadpp.core.breaker import LONGEST_PAUSE
from uploadpp.core.config import Config
from uploadpp.core.inputs import SpecChanged, Tick
from uploadpp.core.model import Control, Millis, StepPlan
from uploadpp.core.states import DesiredState, Stage
from uploadpp.pipeline import breakers as breakers_module
from uploadpp.pipeline.tracked_upload import TrackedUpload
from uploadpp.testing.builders import START, config_of
from uploadpp.testing.events import bytes_received, new_message, step_finished
from uploadpp.testing.pipelines import KeptEvents, PipelineBench

SCAN = StepPlan(name="scan", timeout=Millis(60_000))
CONFIG = config_of(SCAN, "b", breaker_after={"scan": 2})


class Bench(PipelineBench):
    """A pipeline whose clock a test sets, and whose log it writes."""

    def __init__(self, config: Config = CONFIG) -> None:
        self.bus = KeptEvents()
        self.now = START
        self.sequence = 0
        super().__init__(config, self.bus, lambda: self.now)

    def begin(self) -> None:
        """The log is read to its end."""
        self.act()
        self.breakers.open(self.admission.queued)
        self.applier.look_at_breakers()
        self.admission.open(self.applier.on_granted)

    def log(self, data: bytes, at: Millis | None = None) -> None:
        """A message comes; what was published before is in the stream first."""
        self.bus.store(self.sequence + 1)
        self.sequence += 1 + len(self.bus.sent)
        self.now = Millis(self.now + 1_000)
        self.read(self.sequence, data, at)

    def arrive(self, *uploads: str) -> None:
        """Uploads are announced."""
        for upload in uploads:
            self.log(new_message("BytesReceived", bytes_received(upload)))

    def answer(self, upload: str, outcome: str, at: Millis | None = None) -> None:
        """The scanner answers."""
        self.log(new_message("PostprocessingStepFinished", step_finished(upload, "scan", outcome)), at)

    def wait(self, seconds: float) -> None:
        """Time goes by, and it is looked whether a probe is due."""
        self.now = Millis(round(self.now + seconds * 1_000))
        self.applier.look_at_breakers()

    def stages(self, *uploads: str) -> list[Stage]:
        """Where uploads stand."""
        return [self.upload(each).stage for each in uploads]

    def metric(self) -> bool:
        """Whether the metric says that the breaker is open."""
        return b'uploadpp_step_breaker_open{step="scan"} 1.0' in self.metrics.text()


def opened(*, more: int = 0) -> Bench:
    """Two uploads have failed in a row, and so many more have arrived since."""
    bench = Bench()
    bench.begin()
    bench.arrive("one", "two")
    bench.answer("one", "retry")
    bench.answer("two", "retry")
    bench.arrive(*[f"more-{number}" for number in range(more)])
    return bench


def test_a_closed_breaker_holds_nobody_back() -> None:
    bench = Bench()
    bench.begin()
    bench.arrive("one", "two", "three")
    assert bench.stages("one", "two", "three") == [Stage.RUNNING] * 3
    assert bench.upload("one").message == ""
    assert not bench.metric()


def test_nothing_is_granted_before_the_log_is_read() -> None:
    bench = Bench()
    bench.arrive("one")
    assert bench.stages("one") == [Stage.QUEUED]
    bench.begin()
    assert bench.stages("one") == [Stage.RUNNING]


def test_opening_is_told_to_all_who_are_part_of_the_streak() -> None:
    bench = opened()
    assert bench.stages("one", "two") == [Stage.QUEUED] * 2
    assert [bench.upload(each).retry_count for each in ("one", "two")] == [0, 0]
    assert (bench.news, bench.metric()) == (["BreakerOpened"], True)


def test_who_waits_sees_since_when() -> None:
    bench = opened(more=1)
    since = bench.upload("two").steps[0].streak
    assert since is not None
    for each in ("one", "two", "more-0"):
        assert bench.upload(each).message.startswith("step scan is not well since 2026-")


def test_one_probe_after_another_with_pauses_that_double() -> None:
    bench = opened(more=2)
    bench.wait(1)
    assert Stage.RUNNING not in bench.stages("one", "two", "more-0", "more-1")
    bench.wait(2)
    assert bench.stages("more-0", "more-1") == [Stage.RUNNING, Stage.QUEUED]
    bench.wait(100)
    assert bench.stages("more-1") == [Stage.QUEUED], "while one is under way no other one starts"
    bench.answer("more-0", "retry")
    assert bench.upload("more-0").retry_count == 0
    bench.wait(100)
    assert bench.stages("more-1") == [Stage.QUEUED], "the pause is as long as it had been open"
    bench.wait(10)
    assert bench.stages("more-1", "one", "two") == [Stage.RUNNING, Stage.QUEUED, Stage.QUEUED]


def test_a_good_answer_lets_all_go_on() -> None:
    bench = opened(more=2)
    bench.wait(10)
    bench.answer("more-0", "continue")
    assert bench.stages("one", "two", "more-1") == [Stage.RUNNING] * 3
    assert bench.upload("more-0").current_step == "b"
    assert all(bench.upload(each).steps[0].streak is None for each in ("one", "two"))
    assert (bench.news, bench.metric()) == (["BreakerOpened", "BreakerClosed"], False)


def test_a_rejected_file_is_a_good_answer() -> None:
    bench = opened(more=1)
    bench.wait(10)
    bench.answer("more-0", "delete")
    assert "is well again" in bench.notices[-1].message


def test_a_good_answer_is_acknowledged_when_others_have_stored_that_too() -> None:
    bench = Bench()
    bench.begin()
    bench.arrive("one", "two")
    bench.answer("one", "retry")
    bench.bus.store(100)
    for each in ("one", "two"):
        tracked = bench.tracked(each)
        bench.uploads.saved(tracked, tracked.version)
    before = bench.acks.ack_floor
    bench.answer("two", "continue")
    assert bench.upload("one").steps[0].streak is None
    bench.bus.store(200)
    two = bench.tracked("two")
    bench.uploads.saved(two, two.version)
    assert bench.acks.ack_floor == before
    one = bench.tracked("one")
    bench.uploads.saved(one, one.version)
    assert bench.acks.ack_floor > before


def test_an_answer_that_its_upload_knows_already_counts_for_the_others_in_a_replay() -> None:
    live = Bench()
    live.begin()
    live.arrive("one", "two")
    live.answer("one", "retry")
    before = live.upload("one")
    answered_at = Millis(live.now + 1_000)
    live.answer("two", "continue", answered_at)
    replayed = Bench()
    for upload in (before, live.upload("two")):
        replayed.applier.adopt(TrackedUpload(upload.id, upload))
    replayed.sequence = live.sequence - 1 - len(replayed.bus.sent)
    replayed.answer("two", "continue", answered_at)
    assert replayed.upload("one").steps[0].streak is None


def test_a_replay_that_reads_an_older_good_answer_leaves_later_failures() -> None:
    live = opened()
    replayed = Bench()
    for each in ("one", "two"):
        replayed.applier.adopt(TrackedUpload(each, live.upload(each)))
    replayed.breakers.moved(replayed.tracked("one"))
    assert list(replayed.breakers.are_open()) == ["scan"]
    upload = live.upload("one")
    done = upload.with_step(0, upload.steps[0]._replace(finished_at=START, state=upload.steps[0].state))
    replayed.breakers.read_again(done, "scan", START)
    assert list(replayed.breakers.are_open()) == ["scan"]


def test_a_failure_that_is_read_after_a_later_good_answer_is_over() -> None:
    failed = opened().upload("two")
    bench = Bench()
    bench.begin()
    bench.arrive("one", "three", "four", "five")
    bench.answer("three", "continue")
    bench.applier.adopt(TrackedUpload("two", failed))
    assert failed.steps[0].streak is not None
    assert bench.now > failed.steps[0].streak.last
    bench.applier.look_at_breakers()
    assert bench.upload("two").steps[0].streak is None
    assert not bench.metric()


def test_a_new_owner_goes_on_where_the_last_one_was() -> None:
    live = opened(more=1)
    bench = Bench()
    bench.now = live.now
    for each in ("one", "two", "more-0"):
        bench.applier.adopt(TrackedUpload(each, live.upload(each)))
    bench.begin()
    assert bench.stages("one", "two", "more-0") == [Stage.QUEUED] * 3
    assert (bench.news, bench.metric()) == ([], True)
    bench.wait(10)
    assert bench.stages("one", "two", "more-0") == [Stage.QUEUED, Stage.QUEUED, Stage.RUNNING]


def test_a_new_owner_gives_back_what_the_last_one_has_not() -> None:
    live = Bench()
    live.begin()
    live.arrive("one", "two")
    live.answer("one", "retry")
    one = live.upload("one")
    live.answer("two", "retry")
    bench = Bench()
    bench.now = live.now
    for upload in (one, live.upload("two")):
        bench.applier.adopt(TrackedUpload(upload.id, upload))
    bench.begin()
    assert (bench.stages("one"), bench.upload("one").retry_count) == ([Stage.QUEUED], 0)


def test_an_old_reason_is_taken_from_those_who_wait_for_another_one() -> None:
    live = opened(more=1)
    bench = Bench()
    bench.applier.adopt(TrackedUpload("more-0", live.upload("more-0")))
    bench.begin()
    assert (bench.stages("more-0"), bench.upload("more-0").message) == ([Stage.RUNNING], "")


def test_when_nobody_is_left_who_knows_of_a_failure_it_closes() -> None:
    bench = opened(more=1)
    cancelled = Control(desired=DesiredState.CANCELLED, generation=2)
    bench.applier.on_input(bench.tracked("one"), SpecChanged(cancelled))
    assert bench.metric()
    bench.uploads.forget(bench.tracked("two"))
    bench.applier.look_at_breakers()
    assert (bench.stages("more-0"), bench.metric()) == ([Stage.RUNNING], False)
    assert bench.news[-1] == "BreakerClosed"
    assert bench.notices[-1].message.startswith("no upload that failed at step scan is left"), (
        "nobody knows more"
    )


def test_a_timeout_is_a_failure() -> None:
    bench = Bench()
    bench.begin()
    bench.arrive("one", "two")
    bench.bus.store(50)
    bench.now = Millis(bench.now + 100_000)
    for each in ("one", "two"):
        bench.applier.on_input(bench.tracked(each), Tick())
    assert bench.stages("one", "two") == [Stage.QUEUED] * 2
    assert bench.news == ["BreakerOpened"]


def test_who_runs_out_of_retries_is_part_of_the_streak() -> None:
    bench = Bench()
    bench.begin()
    bench.arrive("one", "two")
    one = bench.tracked("one")
    step = one.upload.steps[0]._replace(retries=SCAN.max_retries)
    one.upload = one.upload.with_step(0, step)
    bench.answer("one", "retry")
    assert bench.upload("one").outcome == "abort"
    bench.answer("two", "retry")
    assert bench.stages("two") == [Stage.QUEUED]


def test_an_owner_that_ends_shows_nothing_any_more() -> None:
    bench = opened()
    bench.admission.close()
    bench.admission.close()
    assert not bench.metric()
    bench.arrive("three")
    list(bench.breakers.take(bench.admission.queued, bench.admission.together))
    assert bench.news == ["BreakerOpened"]


def test_a_step_without_a_breaker_is_not_its_business() -> None:
    bench = opened()
    assert bench.breakers.why("b") == ""
    assert not bench.breakers.holds_back("b", 1)
    assert bench.breakers.place("b", bench.upload("one")) == (bench.upload("one").received_at,)


async def test_it_is_looked_at_while_it_is_open(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(breakers_module, "LOOK_SECONDS", 0.001)
    looks = asyncio.Event()
    task = asyncio.create_task(opened().breakers.run(looks.set))
    await looks.wait()
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


def test_after_the_clock_was_set_back_each_probe_waits_for_its_pause() -> None:
    bench = opened(more=3)
    bench.now = Millis(bench.now - 3_600_000)
    bench.wait(4)
    uploads = [f"more-{number}" for number in range(3)]
    assert bench.stages(*uploads) == [Stage.QUEUED] * 3
    bench.wait(5)
    assert bench.stages(*uploads) == [Stage.RUNNING, Stage.QUEUED, Stage.QUEUED]
    bench.answer("more-0", "retry")
    bench.wait(0)
    bench.wait(4)
    assert bench.stages(*uploads) == [Stage.QUEUED] * 3
    bench.wait(2)
    assert bench.stages(*uploads) == [Stage.QUEUED, Stage.RUNNING, Stage.QUEUED]


def test_the_longest_pause_is_five_minutes() -> None:
    bench = opened(more=2)
    bench.wait(100_000)
    bench.answer("more-0", "retry")
    bench.wait(LONGEST_PAUSE / 1_000 - 2)
    assert bench.stages("more-1") == [Stage.QUEUED]
    bench.wait(3)
    assert bench.stages("more-1") == [Stage.RUNNING]
