"""Notes about work that was begun, which stand where others may write as well."""

import pytest

from uploadpp.steps.begun import MOST, parse, render


@pytest.mark.parametrize(
    ("text", "notes"),
    [
        ("", {}),
        ("12=1 40=3", {12: 1, 40: 3}),
        ("12=1  40=3 ", {12: 1, 40: 3}),
        ("x 12=1 =2 3= 4=-1 0=1 5=0 \u0661=1 6=1=1 7=9999 " + "9" * 30 + "=1", {12: 1}),
    ],
)
def test_what_cannot_be_read_is_left_out(text: str, notes: dict[int, int]) -> None:
    assert parse(text) == notes
    assert parse(render(notes, 0)) == notes


def test_notes_of_what_is_answered_go() -> None:
    assert render({3: 1, 12: 2, 40: 0, 41: -1}, 5) == "12=2"


def test_there_are_never_more_than_a_few() -> None:
    notes = parse(render(dict.fromkeys(range(1, 10 * MOST), 1), 0))
    assert list(notes) == list(range(9 * MOST, 10 * MOST))
    assert render({1: 10**6}, 0) == "1=999"
