"""What of an upload is ahead of what: the timeline of its module, played with real messages."""

import pytest

from uploadpp.kube.errors import Refusal
from uploadpp.kube.store import Stored
from uploadpp.pipeline.acks import PendingMessage
from uploadpp.pipeline.tracked_upload import Refused, TrackedUpload
from uploadpp.testing.events import UPLOAD, arrival, message
from uploadpp.testing.pipelines import CONFIG, NOW, KeptEvents, PipelineBench

ANSWER = message(
    "PostprocessingStepFinished", f'{{"UploadID":"{UPLOAD}","FinishedStep":"a","Outcome":"continue"}}'
)


def test_the_timeline_of_an_upload() -> None:
    bus = KeptEvents()
    bench = PipelineBench(CONFIG, bus, lambda: NOW)
    bench.act()

    def now() -> tuple[int, int, int, bool, bool, int]:
        tracked = bench.tracked(UPLOAD)
        state = tracked.version, tracked.saved, tracked.unpublished, tracked.dirty, tracked.storable
        return (*state, bench.acks.ack_floor)

    bench.read(7, message("BytesReceived", arrival()))
    assert now() == (1, 0, 1, True, False, 0)
    bus.on_stored[0](8)
    assert now() == (2, 0, 0, True, True, 0)
    bench.read(8, bus.sent[0].body, message_id=bus.sent[0].event_id)
    bench.read(9, ANSWER)
    assert now() == (3, 0, 1, True, False, 0)
    bench.uploads.saved(bench.tracked(UPLOAD), 2)
    assert now() == (3, 2, 1, True, False, 8), "7 led to version 1, and 8 to version 2"
    bus.on_stored[1](10)
    assert now() == (4, 2, 0, True, True, 8)
    bench.uploads.saved(bench.tracked(UPLOAD), 4)
    assert now() == (4, 4, 0, False, False, 9)


def begun() -> TrackedUpload:
    bench = PipelineBench(CONFIG, KeptEvents(), lambda: NOW)
    bench.read(1, message("BytesReceived", arrival()))
    return bench.tracked(UPLOAD)


def test_nothing_waits_for_what_is_stored_or_gone() -> None:
    tracked = begun()
    tracked.saved = tracked.version
    tracked.take_covered()
    message_ = PendingMessage(2)
    tracked.defer_ack(message_)
    assert (message_.open, tracked.first_deferred) == (1, 0)
    tracked.version += 1
    tracked.defer_ack(message_)
    assert (message_.open, tracked.first_deferred) == (2, 2)
    assert tracked.take_covered() == []
    tracked.gone = True
    assert tracked.take_covered() == [message_]
    tracked.defer_ack(message_)
    assert tracked.first_deferred == 0


@pytest.mark.parametrize("reason", Refusal)
@pytest.mark.parametrize("resource", ["none", "stored", "maybe made", "creating", "noted"])
@pytest.mark.parametrize("ended", [True, False])
def test_only_an_end_that_is_refused_without_a_resource_holds_no_message(
    reason: Refusal, resource: str, *, ended: bool
) -> None:
    tracked = begun()
    if ended:
        bench = PipelineBench(CONFIG, KeptEvents(), lambda: NOW)
        bench.read(1, message("BytesReceived", arrival()))
        bench.read(2, message("CleanUpload", f'{{"UploadID":"{UPLOAD}"}}'))
        tracked = bench.tracked(UPLOAD)
    tracked.refused = Refused(reason, 1)
    tracked.stored = Stored("uid", "1", 1) if resource == "stored" else None
    tracked.maybe_made, tracked.creating = resource == "maybe made", resource == "creating"
    if resource == "noted":
        tracked.stored, tracked.noted = Stored("uid", "1", 1), True
    expected = ended and resource in {"none", "noted"} and reason is not Refusal.UNREACHABLE
    assert tracked.is_unrecorded_end is expected
    assert bool(tracked.take_covered()) is expected
