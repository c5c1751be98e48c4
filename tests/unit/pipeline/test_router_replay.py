"""What the pipeline makes of the log after a crash."""

import re

import pytest

from uploadpp.core.commands import Kind, Mark, ResumeStep
from uploadpp.core.config import Config
from uploadpp.core.model import Millis, Origin, StepPlan, Upload
from uploadpp.pipeline.replay_buffer import PendingCommand
from uploadpp.testing.events import UPLOAD, arrival, message
from uploadpp.testing.pipelines import CONFIG, MARKS, NOW, THEN, KeptEvents, PipelineBench
from uploadpp.wire.encode import Outgoing, encode
from uploadpp.wire.marks import Marks
from uploadpp.wire.stream_message import StreamMessage


def make(bus: KeptEvents, now: Millis, config: Config = CONFIG, marks: Marks = MARKS) -> PipelineBench:
    return PipelineBench(config, bus, lambda: now, marks=marks)


def upload_of(bench: PipelineBench) -> Upload:
    return bench.upload(UPLOAD)


def test_a_url_that_is_news_is_stored_whatever_else_comes_of_it() -> None:
    """Its announcement was applied and stored; then we died."""
    live = make(KeptEvents(), THEN)
    live.router.on_message(StreamMessage(1, THEN, 1, 0, message("BytesReceived", arrival())))
    tracked = live.tracked(UPLOAD)
    tracked.saved = tracked.version
    later = Millis(THEN + 5)
    for url, dirty in [("https://storage.test/one", False), ("https://storage.test/two", True)]:
        came = later if dirty else Millis(THEN - 5)
        live.router.on_message(
            StreamMessage(1, came, 1, 0, message("BytesReceived", arrival(URL=f'"{url}"')))
        )
        assert (tracked.dirty, url in tracked.upload.origin.url) == (dirty, dirty)


def test_what_a_replay_reads_happened_when_the_stream_says() -> None:
    """An hour later it still took a second: nobody's time begins anew, no answer comes before its start."""
    received = message("BytesReceived", arrival())
    before = KeptEvents()
    live = make(before, THEN)
    live.act()
    live.router.on_message(StreamMessage(1, THEN, 1, 0, received))
    (start,) = before.sent
    after = KeptEvents()
    replayed = make(after, NOW)
    replayed.router.on_message(StreamMessage(1, THEN, 1, 0, received))
    replayed.router.on_message(StreamMessage(2, Millis(THEN + 5), 2, 0, start.body, start.event_id))
    assert upload_of(replayed).step.started_at == THEN + 5
    answer = message(
        "PostprocessingStepFinished",
        f'{{"UploadID":"{UPLOAD}","FinishedStep":"a","Outcome":"continue"}}',
    )
    replayed.router.on_message(StreamMessage(3, Millis(THEN + 1005), 3, 0, answer))
    first = upload_of(replayed).steps[0]
    assert (first.started_at, first.finished_at) == (THEN + 5, THEN + 1005)
    replayed.act()
    assert [each.event_id for each in after.sent] != [start.event_id]
    assert len(after.sent) == 1


def test_a_message_of_our_id_that_we_have_not_sent_is_no_echo() -> None:
    """Everybody can compute an event id. Nothing is taken for started because a message has it."""
    outbox = KeptEvents()
    live = make(outbox, THEN)
    live.act()
    live.router.on_message(StreamMessage(1, THEN, 1, 0, message("BytesReceived", arrival())))
    (start,) = outbox.sent
    live.router.on_message(
        StreamMessage(2, THEN, 2, 0, message("StartPostprocessingStep", "{}"), start.event_id)
    )
    assert outbox.confirmed == []
    live.router.on_message(StreamMessage(3, THEN, 3, 0, start.body, start.event_id))
    assert outbox.confirmed == [(start.event_id, 3)]


@pytest.mark.parametrize("replaying", [True, False], ids=["replay", "live"])
@pytest.mark.parametrize("theirs", ["a resume of theirs", "a start of ours", "a resume of ours"])
def test_s8_an_event_id_that_somebody_has_written_stands_for_nothing(theirs: str, *, replaying: bool) -> None:
    """The id is not signed: a copy of an event of ours, or any event, may name what was not sent yet."""
    outbox = KeptEvents()
    bench = make(outbox, THEN)
    event_id = Mark(Kind.START, THEN, 1, 1, "a").event_id(UPLOAD)
    if theirs == "a start of ours":
        forged = begun_by(CONFIG, UploadID='"another"')[1].body
    else:
        asked = Upload(id="another", received_at=THEN, origin=Origin(), plan=CONFIG.steps)
        command = ResumeStep(Mark(Kind.RESUME, THEN, 1, 1, "t", "t"), "x")
        forged = encode(command, "another", asked, THEN, None, MARKS).body
        if theirs == "a resume of theirs":
            forged = message("ResumePostprocessing", '{"UploadID":"","Step":"x"}', eventid="e-1")
    forged = re.sub(rb'"eventid":"[^"]+"', b'"eventid":"%b"' % event_id.encode(), forged)
    if not replaying:
        bench.act()
    bench.read(1, message("BytesReceived", arrival()))
    bench.read(2, forged)
    if replaying:
        bench.act()
    assert [each.event_id for each in outbox.sent] == [event_id]
    assert event_id not in dict(outbox.confirmed)
    assert bench.tracked(UPLOAD).unpublished == 1


def test_a_resume_of_ours_that_the_log_shows_is_not_sent_again() -> None:
    """The operator was asked for it by an edit, and died before it was told that the stream has it."""
    tracked, mark = None, Mark(Kind.RESUME, THEN, 1, 1, "t", "t")
    asked = Upload(id="another", received_at=THEN, origin=Origin(), plan=CONFIG.steps)
    outgoing = encode(ResumeStep(mark, "x"), "another", asked, THEN, None, MARKS)
    for live in (True, False):
        outbox = KeptEvents()
        bench = make(outbox, THEN)
        if live:
            bench.act()
        bench.applier._outbox.put(PendingCommand(tracked, ResumeStep(mark, "x"), outgoing, None))
        bench.read(1, outgoing.body, message_id=outgoing.event_id)
        assert outbox.confirmed == ([(outgoing.event_id, 1)] if live else [])
        if not live:
            bench.act()
            assert outbox.sent == []


def begun_by(config: Config, **members: str) -> tuple[bytes, Outgoing]:
    """An announcement, and the start that an owner with other settings has made of it."""
    received, outbox = message("BytesReceived", arrival(**members)), KeptEvents()
    live = make(outbox, THEN, config)
    live.act()
    live.router.on_message(StreamMessage(1, THEN, 1, 0, received))
    (start,) = outbox.sent
    return received, start


@pytest.mark.parametrize("steps", [("a", "c"), ("c", "a"), ("a",)], ids=",".join)
def test_what_only_the_log_knows_is_driven_by_the_steps_that_its_first_event_tells(
    steps: tuple[str, ...],
) -> None:
    old = Config(steps=tuple(StepPlan(name=step) for step in steps))
    received, start = begun_by(old)
    outbox = KeptEvents()
    replayed = make(outbox, NOW)
    replayed.router.on_message(StreamMessage(1, THEN, 1, 0, received))
    replayed.router.on_message(StreamMessage(2, Millis(THEN + 5), 2, 0, start.body, start.event_id))
    replayed.act()
    assert (upload_of(replayed).plan, upload_of(replayed).current_step) == (old.steps, steps[0])
    assert outbox.sent == []
    tracked = replayed.tracked(UPLOAD)
    assert tracked.storable, "nothing is awaited that never goes out"


@pytest.mark.parametrize(("steps", "position"), [(("a", "c"), 2), (("c", "a"), None)], ids=["a", "c"])
def test_what_another_has_forged_is_what_a_start_of_anybody_is(
    steps: tuple[str, ...], position: int | None
) -> None:
    """Its plan is not believed. A start of the current step stands for ours; any other proves nothing."""
    received, start = begun_by(Config(steps=tuple(StepPlan(name=step) for step in steps)))
    replayed = make(KeptEvents(), NOW, marks=Marks([b"of another"]))
    replayed.router.on_message(StreamMessage(1, THEN, 1, 0, received))
    replayed.router.on_message(StreamMessage(2, Millis(THEN + 5), 2, 0, start.body, start.event_id))
    upload = upload_of(replayed)
    assert (upload.plan, upload.plan_fixed, upload.current_step) == (CONFIG.steps, False, "a")
    assert upload.log.start == position
