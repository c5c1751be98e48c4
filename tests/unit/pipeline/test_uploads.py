"""The table of uploads: coming, going, and who is told."""

from uploadpp.core.inputs import CleanUpload
from uploadpp.core.naming import resource_name
from uploadpp.testing.events import UPLOAD, arrival, message
from uploadpp.testing.pipelines import CONFIG, NOW, KeptEvents, PipelineBench

NAME = resource_name(UPLOAD)


def begun() -> tuple[PipelineBench, KeptEvents]:
    bus = KeptEvents()
    bench = PipelineBench(CONFIG, bus, lambda: NOW)
    bench.act()
    bench.read(1, message("BytesReceived", arrival()))
    bus.on_stored[0](2)
    return bench, bus


def gauge(bench: PipelineBench) -> float:
    stage = {"stage": "Running", "step": "a"}
    return bench.metrics.registry.get_sample_value("uploadpp_uploads", stage) or 0


def test_an_upload_is_found_by_its_id_and_by_the_name_of_its_resource() -> None:
    bench, _ = begun()
    tracked = bench.tracked(UPLOAD)
    assert bench.uploads.by_name(NAME) is tracked
    bench.uploads.rename(tracked, "of-a-webhook")
    assert bench.uploads.by_name(NAME) is None
    assert bench.uploads.by_name("of-a-webhook") is bench.uploads.by_id(UPLOAD) is tracked
    assert (len(bench.uploads), gauge(bench)) == (1, 1)


def test_what_is_forgotten_holds_nothing_back() -> None:
    bench, bus = begun()
    tracked = bench.tracked(UPLOAD)
    assert (bench.acks.ack_floor, len(bench.timers)) == (0, 1)
    bench.uploads.forget(tracked)
    assert (bench.acks.ack_floor, len(bench.timers), len(bench.uploads)) == (1, 0, 0)
    assert (tracked.gone, tracked.storable, gauge(bench)) == (True, False, 0)
    assert bench.turns.forgotten == [NAME]
    sent = len(bus.sent)
    bench.applier.on_tick(tracked)
    assert len(bus.sent) == sent


def test_a_newer_upload_of_the_same_name_is_not_removed_with_the_older() -> None:
    bench, _ = begun()
    older = bench.tracked(UPLOAD)
    bench.uploads.forget(older)
    bench.read(5, message("BytesReceived", arrival()))
    newer = bench.tracked(UPLOAD)
    bench.uploads.forget(older)
    assert bench.uploads.by_name(NAME) is bench.tracked(UPLOAD) is newer


def test_an_end_is_told_once_it_is_stored() -> None:
    bench, _ = begun()
    tracked = bench.tracked(UPLOAD)
    bench.uploads.saved(tracked, tracked.version)
    assert bench.turns.ended == [], "it has not ended"
    bench.applier.on_input(tracked, CleanUpload())
    bench.uploads.saved(tracked, tracked.version - 1)
    assert bench.turns.ended == [], "the end is not stored"
    bench.uploads.saved(tracked, tracked.version)
    assert bench.turns.ended == [NAME]


def test_what_etcd_has_never_goes_back() -> None:
    bench, _ = begun()
    tracked = bench.tracked(UPLOAD)
    bench.uploads.saved(tracked, tracked.version)
    bench.uploads.saved(tracked, 1)
    assert tracked.saved == tracked.version
    assert not tracked.dirty


def test_only_what_may_be_written_is_recorded() -> None:
    bench, _ = begun()
    tracked = bench.tracked(UPLOAD)
    told = len(bench.turns.storable)
    tracked.unpublished = 1
    bench.uploads.record(tracked)
    assert len(bench.turns.storable) == told
    tracked.unpublished = 0
    bench.uploads.record(tracked)
    assert len(bench.turns.storable) == told + 1


def test_an_evicted_upload_is_told_nothing_more() -> None:
    """It may come back, as another one. Nobody is told that it was lost."""
    bench, _ = begun()
    tracked = bench.tracked(UPLOAD)
    bench.uploads.evict(tracked)
    assert (len(bench.uploads), len(bench.timers), gauge(bench)) == (0, 0, 0)
    assert (tracked.gone, bench.turns.forgotten) == (True, [])
