import pytest
from hypothesis import given
from hypothesis import strategies as st

from uploadpp.api.timestamps import format_time, parse_time
from uploadpp.core.model import Millis

YEAR_9999 = 253_402_300_799_999


@given(st.integers(-62_135_596_800_000, YEAR_9999).map(Millis))
def test_what_is_formatted_can_be_parsed(at: Millis) -> None:
    assert parse_time(format_time(at)) == at


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("1970-01-01T00:00:00.001Z", 1),
        ("1970-01-01T02:00:00.5+02:00", 500),
        ("1970-01-01T00:00:00.123456789Z", 123),
        ("1969-12-31T23:59:59.999Z", -1),
    ],
)
def test_any_rfc_3339_time_is_understood(text: str, at: int) -> None:
    assert parse_time(text) == at


@pytest.mark.parametrize("text", ["", "now", "1970-01-01", "1970-01-01T00:00:00", "1970-13-01T00:00:00.000Z"])
def test_anything_else_is_not(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_time(text)
