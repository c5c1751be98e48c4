"""What is said about decisions of a replay: only what stands, and all of that, once."""

import logging
from dataclasses import dataclass, field

import pytest

from uploadpp.core.model import Millis, PolicyRef, StepPlan
from uploadpp.core.policy import Choice, PolicyAction
from uploadpp.core.states import OnExhausted, Stage
from uploadpp.pipeline.tracked_upload import TrackedUpload
from uploadpp.testing.builders import START, config_of
from uploadpp.testing.events import bytes_received, new_message, step_finished
from uploadpp.testing.pipelines import Chosen, KeptEvents, PipelineBench
from uploadpp.wire.stream_message import StreamMessage

HOLDS = Choice(ref=PolicyRef("default", 2, "hold"), action=PolicyAction.HOLD)
SKIPS = Choice(ref=PolicyRef("default", 1, "skip"), action=PolicyAction.SKIP)
EXHAUSTED = config_of(StepPlan(name="a", max_retries=0, on_exhausted=OnExhausted.HOLD))
PATIENT = config_of(StepPlan(name="a", max_retries=3))


def policies(choice: Choice) -> Chosen:
    return lambda *_: choice


@dataclass
class World:
    """A stream, and one owner after another that reads it from the start."""

    now: Millis = START
    log: list[StreamMessage] = field(default_factory=list)

    def owner(self, config: object = PATIENT, choose: Chosen | None = None) -> PipelineBench:
        self.bus = KeptEvents()
        self.bench = PipelineBench(config, self.bus, lambda: self.now, choose=choose)  # type: ignore[arg-type]
        for each in self.log:
            self.bench.router.on_message(each)
        return self.bench

    def hear(self, kind: str, payload: object) -> None:
        self.now = Millis(self.now + 2_000)
        self._add(new_message(kind, payload), "")  # type: ignore[arg-type]

    def _add(self, body: bytes, event_id: str) -> None:
        sequence = len(self.log) + 1
        message = StreamMessage(sequence, self.now, sequence, 0, body, event_id)
        self.log.append(message)
        self.bench.router.on_message(message)

    def store(self) -> None:
        """The stream takes what was sent."""
        while self.bus.sent:
            sent, told = self.bus.sent.pop(0), self.bus.on_stored.pop(0)
            told(len(self.log) + 1)
            self._add(sent.body, sent.event_id)

    def tick(self, after: int) -> None:
        self.now = Millis(self.now + after)
        self.bench.applier.on_tick(self.tracked)

    @property
    def tracked(self) -> TrackedUpload:
        return self.bench.tracked("up-1")

    @property
    def said(self) -> list[str]:
        return [notice.reason for notice in self.tracked.notices]

    def counter(self, line: str) -> str:
        lines = self.bench.metrics.text().decode().splitlines()
        return next((each.rpartition(" ")[2] for each in lines if each.startswith(line)), "")


def begun(config: object = PATIENT, choose: Chosen | None = None) -> World:
    """An upload whose first step a former owner has started."""
    world = World()
    world.owner(config, choose).act()
    world.hear("BytesReceived", bytes_received("up-1"))
    world.store()
    return world


def test_a_hold_that_the_log_takes_back_is_not_said(caplog: pytest.LogCaptureFixture) -> None:
    """The policy holds such uploads only since the former owner has begun this one."""
    world = begun()
    caplog.clear()
    world.owner(PATIENT, policies(HOLDS)).act()
    assert (world.tracked.upload.stage, world.said) == (Stage.RUNNING, [])
    assert not [record for record in caplog.records if "Held" in record.getMessage()]


def test_a_hold_that_stands_is_said_when_the_log_is_read(caplog: pytest.LogCaptureFixture) -> None:
    world = World()
    world.owner(PATIENT, policies(HOLDS)).act()
    world.hear("BytesReceived", bytes_received("up-1"))
    caplog.clear()
    bench = world.owner(PATIENT, policies(HOLDS))
    assert (world.said, caplog.records) == ([], [])
    bench.act()
    assert world.said == ["Held"]
    assert [record.levelno for record in caplog.records if "Held" in record.getMessage()] == [logging.WARNING]


def test_retries_that_were_not_used_up_are_not_called_so() -> None:
    """The former owner had more of them, and its next attempt is in the log."""
    world = begun()
    world.hear("PostprocessingStepFinished", step_finished("up-1", "a", "retry"))
    world.store()
    assert world.said == ["RetryScheduled"]
    world.owner(EXHAUSTED).act()
    assert (world.tracked.upload.stage, "Held" in world.said) == (Stage.BACKING_OFF, False)
    assert world.counter('uploadpp_step_retries_total{step="a"}') == "1.0"


def test_what_an_own_event_follows_from_is_said_whatever_comes_then() -> None:
    """The retry is in the log, so nothing that comes behind it takes it back."""
    world = begun()
    world.hear("PostprocessingStepFinished", step_finished("up-1", "a", "retry"))
    world.store()
    world.tick(10_000)
    world.store()
    assert world.tracked.upload.step.attempts == 2
    bench = world.owner()
    assert world.said == ["RetryScheduled"], "before the log is read to its end"
    bench.act()
    assert world.said == ["RetryScheduled"]
    assert world.counter('uploadpp_step_retries_total{step="a"}') == "1.0"


def test_an_own_event_that_a_timer_explains_confirms_what_led_to_it() -> None:
    """The storage has failed to release the file: nothing is published for that but the next attempt."""
    world = begun(config_of())
    world.hear("UploadReady", {"UploadID": "up-1", "Failed": True})
    world.tick(120_000)
    world.store()
    bench = world.owner(config_of())
    assert (world.tracked.upload.finishes, world.said) == (2, ["ReleaseFailed"])
    bench.act()
    assert world.said == ["ReleaseFailed"]


def test_ends_are_counted_when_the_log_is_read() -> None:
    world = begun(config_of())
    world.hear("UploadReady", {"UploadID": "up-1", "Failed": False})
    bench = world.owner(config_of())
    ended = 'uploadpp_uploads_ended_total{stage="Completed"}'
    assert world.counter(ended) == "0.0"
    bench.act()
    assert world.counter(ended) == "1.0"
    assert world.counter('uploadpp_uploads{stage="Completed"') == "1.0"


# -- how many uploads a rule has matched ----------------------------------------------------


def test_an_upload_is_counted_once_by_the_owner_that_has_stored_it() -> None:
    world = begun(PATIENT, policies(SKIPS))
    assert world.bench.matched == [], "the next owner would count it again"
    bench = world.owner(PATIENT, policies(SKIPS))
    bench.act()
    for _ in range(2):
        bench.uploads.saved(world.tracked, world.tracked.version)
    assert bench.matched == [SKIPS.ref]


def test_it_counts_for_the_rule_that_it_has_its_steps_from() -> None:
    """The former owner knew another policy, and its event is in the log."""
    world = begun(PATIENT, policies(SKIPS))
    bench = world.owner(PATIENT, policies(HOLDS))
    bench.act()
    bench.uploads.saved(world.tracked, world.tracked.version)
    assert bench.matched == [SKIPS.ref]
