"""Where a command is: kept, sent, met in the log, or not needed any more."""

import pytest

from uploadpp.core.commands import Kind, Mark, StartStep
from uploadpp.core.model import Millis
from uploadpp.pipeline.acks import PendingMessage
from uploadpp.pipeline.outbox import Outbox
from uploadpp.pipeline.replay_buffer import PendingCommand
from uploadpp.pipeline.tracked_upload import TrackedUpload
from uploadpp.telemetry.metrics import Metrics
from uploadpp.testing.events import UPLOAD, arrival, message
from uploadpp.testing.pipelines import CONFIG, NOW, KeptEvents, PipelineBench
from uploadpp.wire.encode import encode
from uploadpp.wire.marks import Marks
from uploadpp.wire.stream_message import StreamMessage

MARKS = Marks([b"of the test"])


class Desk:
    """An outbox with one upload."""

    def __init__(self) -> None:
        self.bus = KeptEvents()
        self.published: list[tuple[PendingCommand, int]] = []
        self.refused: list[str] = []
        self.misplaced: list[tuple[int, int]] = []
        self.outbox = Outbox(
            self.bus,
            Metrics(),
            lambda pending, sequence: self.published.append((pending, sequence)),
            lambda _entry, _message, why: self.refused.append(why),
            lambda _entry, said, sequence: self.misplaced.append((said, sequence)),
        )
        bench = PipelineBench(CONFIG, KeptEvents(), lambda: NOW)
        bench.read(1, message("BytesReceived", arrival()))
        self.tracked: TrackedUpload = bench.tracked(UPLOAD)
        self.tracked.unpublished = 0

    def start(self) -> PendingCommand:
        """The command that the upload stands for."""
        upload = self.tracked.upload
        mark = Mark(Kind.START, upload.received_at, upload.run, upload.step.attempts, "a")
        command = StartStep(mark)
        outgoing = encode(command, upload.id, upload, NOW, None, MARKS)
        self.tracked.unpublished += 1
        return PendingCommand(self.tracked, command, outgoing, None)

    def open(self) -> dict[str, int]:
        def failed(_entry: TrackedUpload | None, error: Exception, _message: PendingMessage | None) -> None:
            raise error

        return self.outbox.open(NOW, MARKS, failed)


@pytest.fixture
def desk() -> Desk:
    return Desk()


def raw(pending: PendingCommand, data: bytes | None = None) -> StreamMessage:
    body = pending.outgoing.body if data is None else data
    return StreamMessage(9, Millis(NOW), 9, 0, body, pending.outgoing.event_id)


def test_what_is_put_during_a_replay_goes_out_at_its_end(desk: Desk) -> None:
    pending = desk.start()
    desk.outbox.put(pending)
    assert desk.bus.sent == []
    assert desk.open() == {"held": 1, "sent": 1}
    assert desk.bus.sent == [pending.outgoing]
    desk.bus.on_stored[0](5)
    assert desk.published == [(pending, 5)]


def test_what_is_decided_twice_counts_once(desk: Desk) -> None:
    desk.outbox.put(desk.start())
    again = desk.start()
    desk.outbox.put(again)
    assert desk.tracked.unpublished == 1
    desk.open()
    assert desk.bus.sent == [again.outgoing]


def test_what_is_met_in_the_log_never_goes_out(desk: Desk) -> None:
    pending = desk.start()
    desk.outbox.put(pending)
    assert desk.outbox.meet(pending.outgoing.event_id, 5) is pending
    assert desk.open() == {"held": 0, "sent": 0}
    assert (desk.bus.sent, desk.bus.confirmed) == ([], [])


def test_what_was_sent_is_confirmed_when_it_is_met(desk: Desk) -> None:
    desk.open()
    pending = desk.start()
    desk.outbox.put(pending)
    assert desk.outbox.meet(pending.outgoing.event_id, 5) is None
    assert desk.bus.confirmed == [(pending.outgoing.event_id, 5)]


def test_only_what_was_sent_is_recognized_and_only_once(desk: Desk) -> None:
    desk.open()
    pending = desk.start()
    assert desk.outbox.recognize(raw(pending)) is None, "another owner's"
    desk.outbox.put(pending)
    assert desk.outbox.recognize(raw(pending, b"of the same id")) is None
    fixed = [desk.tracked.upload.plan_fixed]
    assert desk.outbox.recognize(raw(pending)) is desk.tracked
    fixed.append(desk.tracked.upload.plan_fixed)
    assert fixed == [False, True], "its plan is told by the log from here on"
    assert desk.outbox.recognize(raw(pending)) is None
    assert desk.bus.confirmed == [(pending.outgoing.event_id, 9)]


def test_what_is_withdrawn_does_not_go_out(desk: Desk) -> None:
    pending = desk.start()
    desk.outbox.put(pending)
    assert desk.outbox.withdraw(pending.outgoing.event_id) is pending
    assert desk.outbox.withdraw(pending.outgoing.event_id) is None
    desk.open()
    assert desk.bus.sent == []
    assert desk.outbox.withdraw(pending.outgoing.event_id) is None, "nothing is kept any more"


def test_a_refusal_is_told_once(desk: Desk) -> None:
    desk.open()
    desk.outbox.put(desk.start())
    desk.bus.on_refused[0]("too large")
    assert (desk.refused, desk.published) == (["too large"], [])


@pytest.mark.parametrize(("said", "found"), [(9, []), (10**15, [(10**15, 9)]), (8, [(8, 9)])])
def test_s8_an_acknowledgement_that_the_log_contradicts_is_told(
    desk: Desk, said: int, found: list[tuple[int, int]]
) -> None:
    desk.open()
    pending = desk.start()
    desk.outbox.put(pending)
    desk.bus.on_stored[0](said)
    desk.outbox.recognize(raw(pending))
    assert desk.misplaced == found


@pytest.mark.parametrize("how", ["stored", "met", "refused"])
def test_an_event_is_under_way_until_it_is_known_what_has_become_of_it(desk: Desk, how: str) -> None:
    """Also if its upload is forgotten: the log is asked about another resource of it then."""
    command = desk.start()
    desk.outbox.put(command)
    assert desk.outbox.under_way() == set(), "kept, and not sent if its upload is forgotten"
    desk.open()
    desk.tracked.gone = True
    assert desk.outbox.under_way() == {UPLOAD}
    match how:
        case "stored":
            desk.bus.store(7)
        case "met":
            assert desk.outbox.recognize(raw(command)) is desk.tracked
        case _:
            desk.bus.on_refused[0]("too large")
            assert desk.refused == ["too large"]
    assert desk.outbox.under_way() == set()
