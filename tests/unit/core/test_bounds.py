"""Numbers of others become moments that a date can hold."""

from datetime import UTC, datetime, timedelta

import pytest

from uploadpp.core.bounds import FIRST_MOMENT, LAST_MOMENT, moment

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (0, 0),
        (1_795_000_000_000, 1_795_000_000_000),
        (-1, -1),
        (FIRST_MOMENT, FIRST_MOMENT),
        (FIRST_MOMENT - 1, FIRST_MOMENT),
        (LAST_MOMENT, LAST_MOMENT),
        (LAST_MOMENT + 1, LAST_MOMENT),
        (10**400, LAST_MOMENT),
        (-(10**400), FIRST_MOMENT),
        (1.9, 1),
        (1e300, LAST_MOMENT),
        (float("inf"), LAST_MOMENT),
        (float("-inf"), FIRST_MOMENT),
        (float("nan"), 0),
        (True, 1),
    ],
    ids=[
        "epoch",
        "today",
        "before the epoch",
        "first",
        "before the first",
        "last",
        "after the last",
        "huge",
        "huge negative",
        "fraction",
        "huge fraction",
        "infinite",
        "negative infinite",
        "no number",
        "truth",
    ],
)
def test_the_nearest_moment_is_taken(number: float, expected: int) -> None:
    found = moment(number)
    assert (found, type(found)) == (expected, int)


def test_the_first_and_the_last_moment_are_those_of_a_date() -> None:
    """One more would raise where an upload is written, far from where the number came in."""
    assert EPOCH + timedelta(milliseconds=FIRST_MOMENT) == datetime.min.replace(tzinfo=UTC)
    last = EPOCH + timedelta(milliseconds=LAST_MOMENT)
    assert last == datetime.max.replace(microsecond=999_000, tzinfo=UTC)
