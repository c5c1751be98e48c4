"""The pause before the next attempt."""

from hypothesis import given
from hypothesis import strategies as st

from uploadpp.core.model import Millis
from uploadpp.core.retry import backoff


@given(st.integers(1, 10**6), st.integers(0, 10**9), st.integers(0, 10**12))
def test_back_off_doubles_up_to_its_limit(failures: int, base: int, cap: int) -> None:
    expected = base
    for _ in range(min(failures - 1, 100)):
        expected = min(expected * 2, cap)
    assert backoff(failures, Millis(base), Millis(cap)) == min(expected, cap)


def test_back_off_of_the_legacy_service() -> None:
    """5 s, doubled; the first fourteen take 22 h 45 m 15 s together."""
    waits = [backoff(n, Millis(5_000), Millis(43_200_000)) for n in range(1, 15)]
    assert waits[:3] == [5_000, 10_000, 20_000]
    assert sum(waits) == ((22 * 60 + 45) * 60 + 15) * 1000
    assert backoff(0, Millis(5_000), Millis(9_000)) == 5_000
