"""Go's durations, against a reference that follows Go's own steps."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from uploadpp.process.durations import format_duration, parse_duration

NANOSECONDS = {
    "ns": 1,
    "us": 1_000,
    "\u00b5s": 1_000,
    "\u03bcs": 1_000,
    "ms": 10**6,
    "s": 10**9,
    "m": 60 * 10**9,
    "h": 3600 * 10**9,
}


@pytest.mark.parametrize(
    ("text", "milliseconds"),
    [
        ("0", 0),
        ("+0", 0),
        ("-0", 0),
        ("0s", 0),
        ("5s", 5000),
        ("+5s", 5000),
        ("1h30m", 5_400_000),
        ("1.5h", 5_400_000),
        (".5s", 500),
        ("5.s", 5000),
        ("1m1m", 120_000),
        ("2s1h", 3_602_000),
        ("1ms", 1),
        ("1ns", 1),
        ("1001us", 2),
        ("1\u00b5s", 1),
        ("1\u03bcs", 1),
        (" 5s ", 5000),
    ],
)
def test_valid(text: str, milliseconds: int) -> None:
    assert parse_duration(text) == milliseconds


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("", "empty"),
        ("+", "empty"),
        ("10", "unit such as s, m or h is missing"),
        ("1h30", "unit"),
        ("1.5", "unit"),
        ("-5s", "negative"),
        ("5 s", "not a duration"),
        ("5d", "not a duration"),
        ("5S", "not a duration"),
        (".s", "not a duration"),
        ("1e3s", "not a duration"),
        ("\u0665s", "not a duration"),
        ("1,5s", "not a duration"),
    ],
)
def test_invalid(text: str, hint: str) -> None:
    with pytest.raises(ValueError, match=hint):
        parse_duration(text)


PARTS = st.lists(
    st.tuples(
        st.integers(0, 10**6),
        st.text("0123456789", max_size=6),
        st.booleans(),
        st.sampled_from([*NANOSECONDS]),
    ),
    min_size=1,
    max_size=5,
)


@given(PARTS)
def test_sum_of_parts_rounded_up(parts: list[tuple[int, str, bool, str]]) -> None:
    text, total = "", Fraction(0)
    for whole, fraction, dot, unit in parts:
        number = f"{whole}.{fraction}" if dot else str(whole)
        text += number + unit
        total += Fraction(number.rstrip(".")) * NANOSECONDS[unit]
    if total < 2**63:
        assert parse_duration(text) == min(-(-total // 10**6), (2**63 - 1) // 10**6)
    else:
        with pytest.raises(ValueError, match="292 years"):
            parse_duration(text)


@given(st.integers(0, 10**10))
def test_format_is_read_back(milliseconds: int) -> None:
    assert parse_duration(format_duration(milliseconds)) == milliseconds


@given(st.text())
def test_any_text(text: str) -> None:
    try:
        assert parse_duration(text) >= 0
    except ValueError as error:
        assert str(error)  # noqa: PT017 -- either is right


@pytest.mark.parametrize(
    ("text", "milliseconds"),
    [
        ("-0s", 0),
        ("-0.0h", 0),
        ("-0ns", 0),
        ("9223372036854775807ns", 9_223_372_036_854),
        ("2562047h47m16.854775807s", 9_223_372_036_854),
        ("2562047h47m16.854s", 9_223_372_036_854),
        ("2562047h47m16.853001s", 9_223_372_036_854),
        ("2562047h47m16.8s", 9_223_372_036_800),
    ],
)
def test_nothing_and_the_longest(text: str, milliseconds: int) -> None:
    assert parse_duration(text) == milliseconds


@pytest.mark.parametrize("text", ["9223372036854775808ns", "2562048h", "9" * 60 + "h", "-1ns", "-1h0s"])
def test_what_go_cannot_hold(text: str) -> None:
    with pytest.raises(ValueError, match=r"292 years|negative"):
        parse_duration(text)
