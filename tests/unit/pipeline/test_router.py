"""Whose a message is, when its turn comes, and what a broken one costs."""

from collections.abc import Collection
from itertools import count

import pytest

from uploadpp.core.evolve import evolve
from uploadpp.core.model import Millis
from uploadpp.core.sharding import Shard
from uploadpp.core.states import Stage
from uploadpp.pipeline.acks import PendingMessage
from uploadpp.pipeline.applier import Applier
from uploadpp.pipeline.deferred import DeferredMessage, DeferredMessages
from uploadpp.pipeline.router import Router
from uploadpp.testing.events import UPLOAD, arrival, bytes_received, message, new_message, step_finished
from uploadpp.testing.pipelines import CONFIG, NOW, KeptEvents, PipelineBench
from uploadpp.wire.decode import Event

RECEIVED = message("BytesReceived", arrival())
CLEANED = message("CleanUpload", f'{{"UploadID":"{UPLOAD}"}}')
RESUME_ALL = message("ResumePostprocessing", '{"UploadID":"","Step":"a"}')


class Kept:
    """Keeps every message of some uploads, and knows some that are evicted."""

    def __init__(self, *upload_ids: str, evicted: tuple[str, ...] = ()) -> None:
        self.upload_ids = upload_ids
        self.evicted = list(evicted)
        self.messages = DeferredMessages()

    def defer(self, event: Event, sequence: int, timestamp: Millis, message: PendingMessage) -> bool:
        if event.upload_id in self.upload_ids:
            self.messages.keep(DeferredMessage(event, sequence, timestamp, message))
        return event.upload_id in self.upload_ids

    def at(self, step: str, among: Collection[str] | None = None) -> list[str]:
        return [each for each in self.evicted if step == "a" and (among is None or each in among)]


def routed(kept: Kept) -> tuple[PipelineBench, Router]:
    bench = PipelineBench(CONFIG, KeptEvents(), lambda: NOW)
    bench.router = Router(bench.shared, bench.uploads, None, bench.applier, kept, kept)
    bench.act()
    return bench, bench.router


@pytest.mark.parametrize("data", [b"", b"{}", message("BytesReceived", "no JSON"), message("Unheard", "{}")])
def test_a_message_that_means_nothing_is_acknowledged(data: bytes) -> None:
    bench = PipelineBench(CONFIG, KeptEvents(), lambda: NOW)
    bench.read(1, data)
    assert (bench.acks.ack_floor, len(bench.uploads)) == (1, 0)


def test_an_upload_of_another_shard_is_left_to_its_owner() -> None:
    mine = next(index for index in range(2) if Shard(index, 2).owns(UPLOAD))
    for index in range(2):
        bench = PipelineBench(CONFIG, KeptEvents(), lambda: NOW, shard=Shard(index, 2))
        bench.read(1, RECEIVED)
        assert (len(bench.uploads), bench.acks.ack_floor) == ((1, 0) if index == mine else (0, 1))


def test_a_fault_of_ours_about_a_message_is_counted_and_the_next_one_is_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bench = PipelineBench(CONFIG, KeptEvents(), lambda: NOW)

    def broken(*_: object) -> None:
        raise KeyError("not foreseen")

    with monkeypatch.context() as patch:
        patch.setattr(Applier, "apply", broken)
        bench.read(1, RECEIVED)
    assert bench.acks.ack_floor == 1
    unexpected = {"defect": "Unexpected"}
    assert bench.metrics.registry.get_sample_value("uploadpp_bad_messages_total", unexpected) == 1
    bench.read(2, RECEIVED)
    assert bench.upload(UPLOAD).stage is Stage.RUNNING


def test_what_is_deferred_is_applied_in_order_when_it_is_handed_back() -> None:
    kept = Kept(UPLOAD)
    bench, router = routed(kept)
    bench.read(1, RECEIVED)
    bench.read(2, message("BytesReceived", arrival(UploadID='"other"')))
    bench.read(3, CLEANED)
    assert [each.upload.id for each in bench.uploads.in_memory] == ["other"]
    assert bench.acks.ack_floor == 0
    router.hand_back(UPLOAD, kept.messages.take(UPLOAD))
    assert bench.upload(UPLOAD).stage is Stage.CLEANED
    assert UPLOAD not in kept.messages


def test_one_deferred_message_that_fails_keeps_none_behind_it(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = Kept(UPLOAD)
    bench, router = routed(kept)
    bench.read(1, CLEANED)
    bench.read(2, RECEIVED)
    real = Applier.apply

    def broken(self: Applier, upload_id: str, event: object, sequence: int, *others: object) -> None:
        if sequence == 1:
            raise KeyError("not foreseen")
        real(self, upload_id, event, sequence, *others)  # type: ignore[arg-type]

    monkeypatch.setattr(Applier, "apply", broken)
    router.hand_back(UPLOAD, kept.messages.take(UPLOAD))
    assert bench.upload(UPLOAD).stage is Stage.RUNNING
    assert bench.acks.ack_floor == 1, "what failed is passed over, what was applied waits for its record"


def test_a_resume_of_all_reaches_those_in_memory_and_those_that_are_evicted() -> None:
    kept = Kept("evicted", evicted=("evicted",))
    bench, _ = routed(kept)
    for number, upload_id in enumerate(("one", "two"), start=1):
        bench.read(number, message("BytesReceived", arrival(UploadID=f'"{upload_id}"')))
    before = [bench.upload(each).log.sequence for each in ("one", "two")]
    bench.read(9, RESUME_ALL)
    after = [bench.upload(each).log.sequence for each in ("one", "two")]
    assert (before, after) == ([1, 2], [9, 9])
    assert [each.event.upload_id for each in kept.messages.take("evicted")] == ["evicted"]


def test_of_all_that_are_resumed_at_a_step_the_first_do_not_get_all_slots() -> None:
    """Two users, two slots: the one whose upload comes last gets one of them (seed 830058936)."""
    bus = KeptEvents()
    bench = PipelineBench(evolve(CONFIG, max_in_flight={"a": 2}), bus, lambda: NOW)
    bench.act()
    bench.admission.open(bench.applier.on_granted)
    uploads = {"up-1": "mary", "up-2": "mary", "up-3": "paul"}
    read = count(1)

    def hear(kind: str, payload: dict[str, object]) -> None:
        bench.read(next(read), new_message(kind, payload))
        while bus.on_stored:
            bus.on_stored.pop(0)(next(read))

    for upload, user in uploads.items():
        hear("BytesReceived", bytes_received(upload, ExecutingUser={"id": {"opaque_id": user}}))
    for upload in uploads:
        hear("PostprocessingStepFinished", step_finished(upload, "a", "retry"))
    assert {bench.upload(each).stage for each in uploads} == {Stage.BACKING_OFF}
    hear("ResumePostprocessing", {"UploadID": "", "Step": "a"})
    assert [bench.upload(each).stage for each in uploads] == [Stage.RUNNING, Stage.QUEUED, Stage.RUNNING]
