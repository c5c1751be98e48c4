"""What the coordinator makes of the log after a crash."""

from collections.abc import Callable

import pytest

from tests.wiretext import UPLOAD, arrival, message
from uploadpp.core.config import Config
from uploadpp.core.model import Millis, StepPlan, Upload
from uploadpp.pipeline.acks import AckTracker
from uploadpp.pipeline.coordinator import Coordinator
from uploadpp.pipeline.timers import Timers
from uploadpp.telemetry.metrics import Metrics
from uploadpp.wire.encode import Outgoing
from uploadpp.wire.marks import Marks
from uploadpp.wire.reader import Raw

THEN = Millis(1_795_000_000_000)
NOW = Millis(THEN + 3_600_000)
CONFIG = Config(steps=(StepPlan(name="a"), StepPlan(name="b")))


class Outbox:
    """A bus that keeps what is published."""

    def __init__(self) -> None:
        self.sent: list[Outgoing] = []
        self.confirmed: list[tuple[str, int]] = []

    def publish(
        self, outgoing: Outgoing, on_stored: Callable[[int], None], on_refused: Callable[[str], None]
    ) -> None:
        del on_stored, on_refused
        self.sent.append(outgoing)

    def confirm(self, event_id: str, sequence: int) -> None:
        """Note it."""
        self.confirmed.append((event_id, sequence))


def make(outbox: Outbox, now: Millis, config: Config = CONFIG) -> Coordinator:
    made = Coordinator(config, outbox, AckTracker(), Timers(lambda: now), Metrics(), lambda: now)
    made.stream = "main-queue@1"
    made.marks = Marks([b"of both"])
    return made


def upload_of(coordinator: Coordinator) -> Upload:
    entry = coordinator.upload_entry(UPLOAD)
    assert entry is not None
    return entry.upload


def test_a_url_that_is_news_is_stored_whatever_else_comes_of_it() -> None:
    """Its announcement was applied and stored; then we died."""
    live = make(Outbox(), THEN)
    live.on_message(Raw(1, THEN, 1, 0, message("BytesReceived", arrival())))
    entry = live.upload_entry(UPLOAD)
    assert entry is not None
    entry.saved = entry.version
    later = Millis(THEN + 5)
    for url, dirty in [("https://storage.test/one", False), ("https://storage.test/two", True)]:
        came = later if dirty else Millis(THEN - 5)
        live.on_message(Raw(1, came, 1, 0, message("BytesReceived", arrival(URL=f'"{url}"'))))
        assert (entry.dirty, url in entry.upload.origin.url) == (dirty, dirty)


def test_what_a_replay_reads_happened_when_the_stream_says() -> None:
    """An hour later it still took a second: nobody's time begins anew, no answer comes before its start."""
    received = message("BytesReceived", arrival())
    before = Outbox()
    live = make(before, THEN)
    live.act()
    live.on_message(Raw(1, THEN, 1, 0, received))
    (start,) = before.sent
    after = Outbox()
    replayed = make(after, NOW)
    replayed.on_message(Raw(1, THEN, 1, 0, received))
    replayed.on_message(Raw(2, Millis(THEN + 5), 2, 0, start.body, start.event_id))
    assert upload_of(replayed).step.started_at == THEN + 5
    answer = message(
        "PostprocessingStepFinished",
        f'{{"UploadID":"{UPLOAD}","FinishedStep":"a","Outcome":"continue"}}',
    )
    replayed.on_message(Raw(3, Millis(THEN + 1005), 3, 0, answer))
    first = upload_of(replayed).steps[0]
    assert (first.started_at, first.finished_at) == (THEN + 5, THEN + 1005)
    replayed.act()
    assert [each.event_id for each in after.sent] != [start.event_id]
    assert len(after.sent) == 1


def test_a_message_of_our_id_that_we_have_not_sent_is_no_echo() -> None:
    """Everybody can compute an event id. Nothing is taken for started because a message has it."""
    outbox = Outbox()
    live = make(outbox, THEN)
    live.act()
    live.on_message(Raw(1, THEN, 1, 0, message("BytesReceived", arrival())))
    (start,) = outbox.sent
    live.on_message(Raw(2, THEN, 2, 0, message("StartPostprocessingStep", "{}"), start.event_id))
    assert outbox.confirmed == []
    live.on_message(Raw(3, THEN, 3, 0, start.body, start.event_id))
    assert outbox.confirmed == [(start.event_id, 3)]


def begun_by(config: Config) -> tuple[bytes, Outgoing]:
    """An announcement, and the start that an owner with other settings has made of it."""
    received, outbox = message("BytesReceived", arrival()), Outbox()
    live = make(outbox, THEN, config)
    live.act()
    live.on_message(Raw(1, THEN, 1, 0, received))
    (start,) = outbox.sent
    return received, start


@pytest.mark.parametrize("steps", [("a", "c"), ("c", "a"), ("a",)], ids=",".join)
def test_what_only_the_log_knows_is_driven_by_the_steps_that_its_first_event_tells(
    steps: tuple[str, ...],
) -> None:
    old = Config(steps=tuple(StepPlan(name=step) for step in steps))
    received, start = begun_by(old)
    outbox = Outbox()
    replayed = make(outbox, NOW)
    replayed.on_message(Raw(1, THEN, 1, 0, received))
    replayed.on_message(Raw(2, Millis(THEN + 5), 2, 0, start.body, start.event_id))
    replayed.act()
    assert (upload_of(replayed).plan, upload_of(replayed).current_step) == (old.steps, steps[0])
    assert outbox.sent == []
    entry = replayed.upload_entry(UPLOAD)
    assert entry is not None
    assert entry.storable, "nothing is awaited that never goes out"


@pytest.mark.parametrize(("steps", "position"), [(("a", "c"), 2), (("c", "a"), None)], ids=["a", "c"])
def test_what_another_has_forged_is_what_a_start_of_anybody_is(
    steps: tuple[str, ...], position: int | None
) -> None:
    """Its plan is not believed. A start of the current step stands for ours; any other proves nothing."""
    received, start = begun_by(Config(steps=tuple(StepPlan(name=step) for step in steps)))
    replayed = make(Outbox(), NOW)
    replayed.marks = Marks([b"of another"])
    replayed.on_message(Raw(1, THEN, 1, 0, received))
    replayed.on_message(Raw(2, Millis(THEN + 5), 2, 0, start.body, start.event_id))
    upload = upload_of(replayed)
    assert (upload.plan, upload.plan_fixed, upload.current_step) == (CONFIG.steps, False, "a")
    assert upload.log.start == position
