"""Removing what is over gives way to uploads, and yet never falls behind for long."""

from hypothesis import given
from hypothesis import strategies as st

from uploadpp.pipeline.write_throttle import (
    ENDINGS_SECONDS,
    REMOVALS_FLOOR,
    REMOVALS_SHARE,
    Endings,
    removals,
)

MOST = 500
"""More uploads a second than an API server takes."""
HOUR = 3600
phases = st.lists(
    st.tuples(st.integers(min_value=0, max_value=MOST), st.integers(min_value=1, max_value=600)),
    min_size=1,
    max_size=8,
)


@given(phases)
def test_what_is_overdue_never_exceeds_a_minutes_endings(times: list[tuple[int, int]]) -> None:
    """With everything that ends overdue at once, as when more are kept than may be."""
    endings, overdue = Endings(), 0
    peak = max(rate for rate, _ in times)
    for rate, seconds in times:
        for _ in range(seconds):
            endings.seen(rate)
            overdue = max(overdue + rate - removals(overdue, endings.rate(1.0)), 0)
            assert overdue <= peak * ENDINGS_SECONDS


@given(st.integers(min_value=0, max_value=MOST))
def test_fifty_thousand_at_once_are_hardly_noticed_and_are_gone_in_time(rate: int) -> None:
    endings, overdue, hours = Endings(), 50_000, 0
    for _ in range(int(5 * ENDINGS_SECONDS)):  # the uploads have been flowing
        endings.seen(rate)
        endings.rate(1.0)
    for second in range(4 * HOUR):
        endings.seen(rate)
        most = removals(overdue, endings.rate(1.0))
        assert most <= REMOVALS_SHARE * rate + REMOVALS_FLOOR + 28
        overdue = max(overdue + rate - most, 0)
        hours = second // HOUR
        if not overdue:
            break
    assert overdue == 0
    assert hours < 2


@given(st.integers(min_value=0, max_value=10**7), st.floats(min_value=0, max_value=1e5))
def test_more_of_either_never_means_fewer_removals(overdue: int, endings: float) -> None:
    now = removals(overdue, endings)
    assert now >= REMOVALS_FLOOR
    assert removals(overdue + 1, endings) >= now
    assert removals(overdue, endings + 1) >= now
