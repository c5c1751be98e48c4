"""What an owner notes of its position."""

from datetime import UTC, datetime

from uploadpp.core.model import Millis
from uploadpp.ownership.position_note import MOST, PositionNote
from uploadpp.wire.noted_position import STORED_SLACK, Kept, moment

SEEN = datetime(2026, 10, 2, 9, 0, tzinfo=UTC)
BEGUN = Kept("main-queue@?", "uploadpp-0-e", 7, 101, SEEN)


class Owner:
    """Reads, acknowledges and notes; keeps what it has noted."""

    def __init__(self) -> None:
        self.notes: list[Kept] = []
        self.note = PositionNote(BEGUN, self._text, lambda: Millis(5_000))

    def _text(self, kept: Kept) -> str:
        self.notes.append(kept)
        return f"{kept.where}"

    def says(self) -> tuple[int | datetime, datetime | None]:
        self.note()
        return self.notes[-1].where, self.notes[-1].stored


def test_before_anything_is_acknowledged_it_is_where_it_began() -> None:
    owner = Owner()
    owner.note.read(150, 1_500)
    assert owner.says() == (101, None)
    assert owner.notes[-1].noted == moment(5_000)


def test_it_is_the_last_position_looked_at_that_is_acknowledged() -> None:
    owner = Owner()
    for sequence in (150, 160, 160, 170):
        owner.note.read(sequence, sequence * 10)
        owner.note.acknowledged(0)
    owner.note.acknowledged(165)
    assert owner.says() == (161, moment(1_600))
    assert owner.notes[-1].seen == moment(1_600) + STORED_SLACK
    owner.note.acknowledged(0)  # nothing was acknowledged since
    assert owner.says() == (161, moment(1_600))
    owner.note.acknowledged(170)
    assert owner.says() == (171, moment(1_700))


def test_while_nothing_can_be_acknowledged_little_is_kept() -> None:
    owner = Owner()
    for sequence in range(101, 101 + 20 * MOST):
        owner.note.read(sequence, sequence)
    owner.note.acknowledged(101 + 10 * MOST)
    where, _ = owner.says()
    assert isinstance(where, int)
    assert 101 < where <= 102 + 10 * MOST
    owner.note.acknowledged(100 + 20 * MOST)
    assert owner.says()[0] == 101 + 20 * MOST


def test_what_the_lease_says_is_known_by_its_text() -> None:
    owner = Owner()
    assert owner.note.noted("of the owner before") == 100
    owner.note.read(150, 1)
    owner.note.acknowledged(150)
    text = owner.note()
    assert owner.note.noted("of the owner before") == 100
    assert owner.note.noted(text) == 150
    assert owner.note.noted("somebody has changed it") == 150
