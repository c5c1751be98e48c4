"""What of an upload is ahead of what: the timeline of its module, played with real messages."""

import pytest

from tests.unit.pipeline.test_replaying import CONFIG, NOW
from tests.wiretext import UPLOAD, arrival, message
from uploadpp.kube.errors import Refusal
from uploadpp.kube.store import Stored
from uploadpp.pipeline.acks import PendingMessage
from uploadpp.pipeline.tracked_upload import Entry, Refused
from uploadpp.testing.pipelines import KeptEvents, PipelineBench

ANSWER = message(
    "PostprocessingStepFinished", f'{{"UploadID":"{UPLOAD}","FinishedStep":"a","Outcome":"continue"}}'
)


def test_the_timeline_of_an_upload() -> None:
    bus = KeptEvents()
    bench = PipelineBench(CONFIG, bus, lambda: NOW)
    bench.act()

    def now() -> tuple[int, int, int, bool, bool, int]:
        entry = bench.entry(UPLOAD)
        state = entry.version, entry.saved, entry.unpublished, entry.dirty, entry.storable
        return (*state, bench.acks.ack_floor)

    bench.read(7, message("BytesReceived", arrival()))
    assert now() == (1, 0, 1, True, False, 0)
    bus.on_stored[0](8)
    assert now() == (2, 0, 0, True, True, 0)
    bench.read(8, bus.sent[0].body, message_id=bus.sent[0].event_id)
    bench.read(9, ANSWER)
    assert now() == (3, 0, 1, True, False, 0)
    bench.uploads.saved(bench.entry(UPLOAD), 2)
    assert now() == (3, 2, 1, True, False, 8), "7 led to version 1, and 8 to version 2"
    bus.on_stored[1](10)
    assert now() == (4, 2, 0, True, True, 8)
    bench.uploads.saved(bench.entry(UPLOAD), 4)
    assert now() == (4, 4, 0, False, False, 9)


def tracked() -> Entry:
    bench = PipelineBench(CONFIG, KeptEvents(), lambda: NOW)
    bench.read(1, message("BytesReceived", arrival()))
    return bench.entry(UPLOAD)


def test_nothing_waits_for_what_is_stored_or_gone() -> None:
    entry = tracked()
    entry.saved = entry.version
    entry.take_covered()
    message_ = PendingMessage(2)
    entry.defer_ack(message_)
    assert (message_.open, entry.first_deferred) == (1, 0)
    entry.version += 1
    entry.defer_ack(message_)
    assert (message_.open, entry.first_deferred) == (2, 2)
    assert entry.take_covered() == []
    entry.gone = True
    assert entry.take_covered() == [message_]
    entry.defer_ack(message_)
    assert entry.first_deferred == 0


@pytest.mark.parametrize("reason", Refusal)
@pytest.mark.parametrize("resource", ["none", "stored", "maybe made", "creating"])
@pytest.mark.parametrize("ended", [True, False])
def test_only_an_end_that_is_refused_without_a_resource_holds_no_message(
    reason: Refusal, resource: str, *, ended: bool
) -> None:
    entry = tracked()
    if ended:
        bench = PipelineBench(CONFIG, KeptEvents(), lambda: NOW)
        bench.read(1, message("BytesReceived", arrival()))
        bench.read(2, message("CleanUpload", f'{{"UploadID":"{UPLOAD}"}}'))
        entry = bench.entry(UPLOAD)
    entry.refused = Refused(reason, 1)
    entry.stored = Stored("uid", "1", 1) if resource == "stored" else None
    entry.maybe_made, entry.creating = resource == "maybe made", resource == "creating"
    expected = ended and resource == "none" and reason is not Refusal.UNREACHABLE
    assert entry.is_unrecorded_end is expected
    assert bool(entry.take_covered()) is expected
