"""What the step no-programs answers. No NATS, no storage and no cluster is needed."""

from uploadpp.steps import Upload, User
from uploadpp.steps.testing import Download, deliver

from no_programs import no_programs

PROGRAM = b"\x7fELF" + bytes(1000)


def test_a_program_is_deleted() -> None:
    delivery = deliver(no_programs, Upload.of(PROGRAM, "setup"))
    assert (delivery.outcome, delivery.message) == ("delete", "programs are not wanted here")
    assert delivery.event.payload["FinishedStep"] == "no-programs"


def test_everything_else_goes_on() -> None:
    notes = Upload.of(b"hello", "notes.txt", User(id="u-1", mail="mary@example.org"))
    assert deliver(no_programs, notes).outcome == "continue"
    assert deliver(no_programs, b"").outcome == "continue"


def test_a_file_that_does_not_come_is_tried_again() -> None:
    delivery = deliver(no_programs, PROGRAM, download=Download.MISSING)
    assert (delivery.outcome, delivery.failed) == ("retry", True)


def test_the_same_event_twice_is_one_piece_of_work() -> None:
    delivery = deliver(no_programs, PROGRAM, copies=2)
    assert (delivery.runs, len(delivery.published)) == (1, 1)
