"""Numbers from outside, brought into the range that everything here can handle.

A token, a message or a resource may hold any number. One beyond what a date can hold would
fail far from where it came in: at the next write of the upload, for example.
"""

from math import isnan

from uploadpp.core.model import Millis

FIRST_MOMENT = Millis(-62_135_596_800_000)
"""0001-01-01T00:00:00Z, the first moment of RFC 3339."""
LAST_MOMENT = Millis(253_402_300_799_999)
"""9999-12-31T23:59:59.999Z, the last moment of RFC 3339."""


def moment(milliseconds: float) -> Millis:
    """The nearest point in time that a date can hold."""
    if type(milliseconds) is int and FIRST_MOMENT <= milliseconds <= LAST_MOMENT:
        return Millis(milliseconds)  # always true, except for hostile numbers
    nearest = min(max(milliseconds, FIRST_MOMENT), LAST_MOMENT)  # first: a huge whole number has no float
    return Millis(0 if isnan(nearest) else int(nearest))
