"""One input of one upload: what is sent, what waits, and what a fault about it costs."""

import pytest

from uploadpp.core.inputs import CleanUpload, SpecChanged
from uploadpp.core.model import Control, Millis, StepPlan
from uploadpp.core.states import DesiredState, Stage
from uploadpp.pipeline import applier as module
from uploadpp.testing.builders import config_of
from uploadpp.testing.events import UPLOAD, arrival, message
from uploadpp.testing.pipelines import CONFIG, NOW, KeptEvents, PipelineBench

RECEIVED = message("BytesReceived", arrival())
UNKNOWN = message("ResumePostprocessing", f'{{"UploadID":"{UPLOAD}"}}')


@pytest.fixture
def bus() -> KeptEvents:
    return KeptEvents()


@pytest.fixture
def bench(bus: KeptEvents) -> PipelineBench:
    return PipelineBench(CONFIG, bus, lambda: NOW)


def test_commands_are_kept_until_the_log_is_read(bench: PipelineBench, bus: KeptEvents) -> None:
    bench.read(1, RECEIVED)
    assert (bench.applier.replaying, bus.sent) == (True, [])
    assert len(bench.timers) == 1
    bench.act()
    assert (bench.applier.replaying, len(bus.sent)) == (False, 1)


def test_what_the_stream_refuses_for_good_ends_the_upload_and_holds_no_message(
    bench: PipelineBench, bus: KeptEvents
) -> None:
    bench.act()
    bench.read(1, RECEIVED)
    bus.on_refused[0]("the event is larger than the NATS server allows (max_payload)")
    assert bench.uploads.by_id(UPLOAD) is None
    assert bench.acks.ack_floor == 1
    assert [each.what for each in bench.faults.dead_letters] == ["upload"]


def test_a_command_about_an_unknown_upload_holds_its_message_until_it_is_sent(
    bench: PipelineBench, bus: KeptEvents
) -> None:
    bench.act()
    bench.read(1, UNKNOWN)
    assert (len(bus.sent), bench.acks.ack_floor) == (1, 0)
    bus.on_stored[0](2)
    unknown = bench.applier.unknown
    unknown.settle(unknown.due(Millis(NOW + 3_600_000)))
    assert bench.acks.ack_floor == 1


def test_a_timer_says_nothing_while_a_command_is_not_in_the_stream(
    bench: PipelineBench, bus: KeptEvents
) -> None:
    bench.act()
    bench.read(1, RECEIVED)
    tracked = bench.tracked(UPLOAD)
    before = tracked.upload
    bench.applier.on_tick(tracked)
    assert tracked.upload is before
    assert len(bus.sent) == 1


def test_what_happens_to_an_upload_that_is_gone_is_not_heard(bench: PipelineBench, bus: KeptEvents) -> None:
    bench.act()
    bench.read(1, RECEIVED)
    tracked = bench.tracked(UPLOAD)
    bench.uploads.forget(tracked)
    before = tracked.upload
    bus.on_stored[0](2)
    bus.on_refused[0]("late")
    bench.applier.on_tick(tracked)
    bench.applier.on_input(tracked, SpecChanged(Control(desired=DesiredState.CANCELLED, generation=2)))
    assert tracked.upload is before
    assert not bench.faults.dead_letters


def test_a_fault_about_what_is_published_stops_no_other(
    bench: PipelineBench, bus: KeptEvents, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.act()
    bench.read(1, RECEIVED)

    def broken(*_: object) -> None:
        raise KeyError("not foreseen")

    with monkeypatch.context() as patch:
        patch.setattr(module, "apply", broken)
        bus.on_stored[0](2)
    faults = bench.metrics.registry.get_sample_value("uploadpp_upload_faults_total")
    assert (faults, bench.tracked(UPLOAD).unpublished) == (1, 0)
    bench.read(3, message("BytesReceived", arrival(UploadID='"other"')))
    assert bench.upload("other").stage is Stage.RUNNING


def test_a_slot_that_is_given_back_is_granted_to_the_next(bus: KeptEvents) -> None:
    config = config_of(StepPlan(name="a"), max_in_flight={"a": 1})
    bench = PipelineBench(config, bus, lambda: NOW)
    for number, upload_id in enumerate(("first", "second"), start=1):
        bench.read(number, message("BytesReceived", arrival(UploadID=f'"{upload_id}"')))
    bench.act()
    assert [bench.upload(each).stage for each in ("first", "second")] == [Stage.QUEUED, Stage.QUEUED]
    bench.admission.open(bench.applier.on_granted)
    assert [bench.upload(each).stage for each in ("first", "second")] == [Stage.RUNNING, Stage.QUEUED]
    bench.applier.on_input(bench.tracked("first"), CleanUpload())
    assert bench.upload("second").stage is Stage.RUNNING
    bench.uploads.forget(bench.tracked("second"))
    assert bench.metrics.registry.get_sample_value("uploadpp_step_slots_used", {"step": "a"}) == 0


def test_what_comes_late_is_decided_as_in_a_replay(bench: PipelineBench, bus: KeptEvents) -> None:
    """The event that it leads to stands in the log behind it, so it does not go out again."""
    bench.read(1, RECEIVED)
    bench.act()
    (start,) = bus.sent
    late = PipelineBench(CONFIG, bus, lambda: NOW, marks=bench.applier.marks)
    late.act()
    with late.applier.late(UPLOAD):
        late.read(1, RECEIVED)
        late.read(2, start.body, message_id=start.event_id)
    assert bus.sent == [start]
    assert late.tracked(UPLOAD).unpublished == 0


def test_s8_after_a_forged_acknowledgement_answers_count(bench: PipelineBench, bus: KeptEvents) -> None:
    """It names a position that the stream will never reach, before which no answer would count."""
    bench.act()
    bench.read(1, RECEIVED)
    bus.on_stored[0](2**62)
    assert bench.upload(UPLOAD).log.start == 2**62
    start = bus.sent[0]
    bench.read(2, start.body, message_id=start.event_id)
    assert bench.upload(UPLOAD).log.start == 2
    answer = f'{{"UploadID":"{UPLOAD}","FinishedStep":"a","Outcome":"continue"}}'
    bench.read(3, message("PostprocessingStepFinished", answer))
    assert bench.upload(UPLOAD).current_step == "b"
