"""What waits to be written: each upload once, in order, and no end that nobody can record."""

import asyncio

from uploadpp.core.inputs import CleanUpload
from uploadpp.kube.errors import Refusal, RefusedError, UnavailableError
from uploadpp.pipeline.acks import AckTracker
from uploadpp.pipeline.refusals import Refusals
from uploadpp.pipeline.tracked_upload import TrackedUpload
from uploadpp.pipeline.write_queue import WriteQueue
from uploadpp.telemetry.metrics import Metrics
from uploadpp.testing.builders import PASSED, after


class Desk:
    """A queue, and what it uses."""

    def __init__(self) -> None:
        self.acks = AckTracker()
        self.refusals = Refusals(Metrics(), lambda: 0.0, lambda _: None)
        self.queue = WriteQueue(self.acks, self.refusals)

    def defer(self, tracked: TrackedUpload) -> None:
        """The only message of an upload waits for its record."""
        message = self.acks.add(1, 1)
        tracked.defer_ack(message)
        self.acks.release(message)

    def refuse(self) -> None:
        """The first upload is tried, and a policy refuses it."""
        self.refusals.park(self.queue.pop(), "create", RefusedError("no", Refusal.POLICY))


def tracked(name: str, *, ended: bool = False) -> TrackedUpload:
    events = (*PASSED[:1], CleanUpload()) if ended else PASSED[:1]
    return TrackedUpload(name, after(*events, upload_id=name), version=1)


async def test_an_upload_stands_in_it_once_however_often_it_changes() -> None:
    queue, first, second = Desk().queue, tracked("a"), tracked("b")
    for each in (first, second, first, first):
        queue.put(each)
    assert len(queue) == 2
    assert [queue.pop(), queue.pop()] == [first, second]
    queue.put(first)
    assert len(queue) == 0, "whoever writes it queues it again"
    queue.again(first)
    assert queue.pop() is first


async def test_an_end_that_cannot_be_recorded_lets_its_messages_go() -> None:
    desk, gone = Desk(), tracked("a", ended=True)
    desk.defer(gone)
    desk.queue.put(gone)
    assert desk.acks.ack_floor == 0
    desk.refuse()
    desk.queue.put(gone)
    assert desk.acks.ack_floor == 0, "a person may have made the resource"
    [(doubtful, refused)] = desk.queue.in_doubt()
    desk.queue.absent(doubtful, refused)
    assert desk.acks.ack_floor == 1
    assert desk.queue.in_doubt() == []


async def test_an_upload_that_goes_on_is_looked_for_again_at_its_next_end() -> None:
    desk, again = Desk(), tracked("a", ended=True)
    desk.queue.put(again)
    desk.refuse()
    [(_, refused)] = desk.queue.in_doubt()
    ended, running = again.upload, tracked("a").upload
    again.upload = running
    desk.queue.absent(again, refused)
    again.upload = ended
    assert desk.queue.in_doubt(), "the list was under way when it went on"
    desk.queue.absent(again, refused)
    assert not desk.queue.in_doubt()
    again.upload = running
    desk.queue.put(again)
    again.upload = ended
    desk.queue.put(again)
    assert [each for each, _ in desk.queue.in_doubt()] == [again]


async def test_a_look_does_not_tell_of_an_attempt_that_began_later() -> None:
    desk, gone = Desk(), tracked("a", ended=True)
    desk.defer(gone)
    desk.queue.put(gone)
    desk.refuse()
    [(_, refused)] = desk.queue.in_doubt()
    gone.creating = True
    desk.queue.absent(gone, refused)
    gone.creating = False
    desk.refusals.park(gone, "create", UnavailableError("no answer"))
    desk.queue.absent(gone, refused)
    assert desk.acks.ack_floor == 0
    assert desk.queue.in_doubt() == [], "it may still arrive"


async def test_what_is_parked_and_goes_on_keeps_its_messages() -> None:
    desk, running = Desk(), tracked("a")
    desk.defer(running)
    desk.queue.put(running)
    desk.refuse()
    desk.queue.put(running)
    assert (desk.acks.ack_floor, len(desk.queue)) == (0, 0)


async def test_a_wait_ends_by_what_comes_after_the_round_began() -> None:
    queue = Desk().queue
    queue.put(tracked("a"))
    queue.begin_round()
    await queue.wait(0.001)  # nothing has come since
    waiting = asyncio.create_task(queue.wait(None))
    await asyncio.sleep(0)
    queue.put(tracked("b"))
    await asyncio.wait_for(waiting, 10)
    queue.begin_round()
    queue.wake()
    await asyncio.wait_for(queue.wait(None), 10)
    assert queue.oldest_seconds >= 0
