"""Milliseconds since the epoch to and from RFC 3339; on the path of every status write.

Almost all times of one write lie within the same few seconds, so the costly part, the
calendar, is cached per second; and one write says most of its times more than once.
"""

from datetime import UTC, datetime, timedelta
from functools import lru_cache

from uploadpp.core.bounds import moment
from uploadpp.core.model import Millis

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MILLISECOND = timedelta(milliseconds=1)
SECONDS_END = 19  # len("2026-10-02T08:15:30")
OWN_LENGTH = 24  # the same with ".120Z"


@lru_cache(maxsize=4096)
def format_time(at: Millis) -> str:
    """RFC 3339 in UTC with milliseconds; a moment that no date can hold becomes the nearest one."""
    second, rest = divmod(moment(at), 1000)
    return f"{_calendar(second)}.{rest:03d}Z"


def parse_time(text: str) -> Millis:
    """Read any RFC 3339 time; what is finer than a millisecond is cut off.

    Raises:
        ValueError: it is not a time, or one without a zone.
    """
    if len(text) == OWN_LENGTH and text[SECONDS_END] == "." and text[-1] == "Z":
        return Millis(_second(text[:SECONDS_END]) * 1000 + int(text[SECONDS_END + 1 : -1]))
    found = datetime.fromisoformat(text)
    if found.tzinfo is None:
        raise ValueError(f"{text!r} has no time zone")
    return moment((found - EPOCH) // MILLISECOND)


@lru_cache(maxsize=4096)
def _calendar(second: int) -> str:
    return (EPOCH + timedelta(seconds=second)).isoformat()[:SECONDS_END]


@lru_cache(maxsize=4096)
def _second(text: str) -> int:
    return (datetime.fromisoformat(f"{text}+00:00") - EPOCH) // timedelta(seconds=1)
