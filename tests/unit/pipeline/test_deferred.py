"""Messages that are kept: in order, by upload, and not acknowledged meanwhile."""

from uploadpp.core.inputs import CleanUpload
from uploadpp.core.model import Millis
from uploadpp.pipeline.acks import AckTracker
from uploadpp.pipeline.deferred import DeferredMessage, DeferredMessages
from uploadpp.wire.decode import Event


def test_they_are_kept_in_order_and_hold_the_log_back() -> None:
    acks, deferred = AckTracker(), DeferredMessages()
    for sequence, upload_id in enumerate(("a", "b", "a"), start=1):
        message = acks.add(sequence, sequence)
        deferred.keep(
            DeferredMessage(Event(upload_id, CleanUpload(), f"e-{sequence}"), sequence, Millis(0), message)
        )
        acks.release(message)
    assert (sorted(deferred), "a" in deferred, acks.ack_floor) == (["a", "b"], True, 0)
    taken = deferred.take("a")
    assert [each.sequence for each in taken] == [1, 3]
    assert deferred.take("a") == []
    acks.release_all(each.message for each in taken)
    assert acks.ack_floor == 1, "the one of the other upload waits"
    acks.release_all(each.message for each in deferred.take("b"))
    assert acks.ack_floor == 3
