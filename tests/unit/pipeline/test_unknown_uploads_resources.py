"""What the log has said of an upload before its resource was seen."""

from uploadpp.core.inputs import BytesReceived, CleanUpload, Input, Resume, UploadReady
from uploadpp.core.model import FileInfo, Millis, Origin, Upload
from uploadpp.pipeline.acks import AckTracker
from uploadpp.pipeline.unknown_uploads import MOST_FACTS, UNACKNOWLEDGED_MS, UnknownUploads

THEN = 1_000_000
BY_HAND = Upload(id="up-1", received_at=Millis(THEN), origin=Origin(by_hand=True))
FAILED, READY = UploadReady(failed=True), UploadReady(failed=False)
ARRIVED = BytesReceived(Origin(), FileInfo())


class Log:
    """Messages about uploads that nobody knows, a second after each other."""

    def __init__(self, *events: Input) -> None:
        self.acks, self.now = AckTracker(), Millis(THEN)
        self.acks.start("s", 0)
        self.unknown = UnknownUploads(self.acks)
        for sequence, event in enumerate(events, start=1):
            self.now = Millis(self.now + 1_000)
            message = self.acks.add(sequence, sequence)
            self.unknown.note("up-1", event, sequence, self.now, self.now, message)
            self.acks.release(message)

    def counted(self, upload: Upload = BY_HAND) -> list[tuple[int, Input]]:
        return [(fact.sequence, fact.event) for fact in self.unknown.count_for(upload)]

    def waits(self) -> None:
        self.now = Millis(self.now + UNACKNOWLEDGED_MS)
        self.unknown.settle(self.unknown.due(self.now))

    def earlier(self) -> tuple[Input, ...]:
        return self.unknown.recall("up-1", ARRIVED, self.now)[0].earlier


def test_it_counts_once_and_in_order() -> None:
    log = Log(FAILED, CleanUpload())
    assert log.counted() == [(1, FAILED), (2, CleanUpload())]
    assert log.counted() == []


def test_an_announcement_that_overrules_the_resource_is_told_all_of_it() -> None:
    log = Log(READY, Resume())
    assert log.counted() == [(1, READY), (2, Resume())]
    assert log.earlier() == (READY,), "a resume is none of what an announcement is told"


def test_of_several_resumes_in_a_row_the_last_counts() -> None:
    log = Log(*[Resume()] * MOST_FACTS, READY)
    assert log.counted() == [(MOST_FACTS, Resume()), (MOST_FACTS + 1, READY)]
    log.waits()
    assert log.acks.ack_floor == MOST_FACTS + 1


def test_what_precedes_the_announcement_of_a_resource_of_ours_waits_for_that() -> None:
    """We died after we had made the resource."""
    log = Log(READY)
    upload = Upload(id="up-1", received_at=Millis(log.now + 1), lost_status=True)
    assert log.counted(upload) == []
    assert log.earlier() == (READY,)


def test_what_was_acknowledged_before_is_about_an_earlier_upload() -> None:
    log = Log(READY)
    log.waits()
    assert log.counted() == []
    assert log.earlier() == (READY,)


def test_what_has_no_effect_on_an_upload_that_has_not_begun_is_not_kept() -> None:
    assert Log(ARRIVED).acks.ack_floor == 1
