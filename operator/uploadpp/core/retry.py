"""Exponential back-off: base times two to the power of the failures before, capped (F11)."""

from uploadpp.core.model import Millis

MAX_EXPONENT = 40  # 2^40 ms is 34 years: far above any cap, far below any overflow


def backoff(failures: int, base: Millis, cap: Millis) -> Millis:
    """How long to wait after the n-th failure in a row, in ms (`failures` counts from 1)."""
    exponent = min(max(failures, 1) - 1, MAX_EXPONENT)
    return Millis(min(base << exponent, cap))
