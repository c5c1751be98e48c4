"""Times and lengths of time, as Kubernetes writes them and as people read them."""

from __future__ import annotations

import re
import time
from datetime import datetime, timezone

from kubectl_pp.errors import UsageError
from kubectl_pp.screen import clip

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|[smhd])", re.ASCII)
_MAX_LENGTH = 64
_TENTHS_BELOW = 10
_FIRST_MOMENT, _LAST_MOMENT = -62_135_596_800, 253_402_300_799
_FORMS: tuple[tuple[float, int, str, int, str], ...] = (
    # below this many seconds: unit and smaller unit, both in seconds; kubectl's own limits
    (120, 1, "s", 1, ""),
    (600, 60, "m", 1, "s"),
    (3 * 3600, 60, "m", 1, ""),
    (8 * 3600, 3600, "h", 60, "m"),
    (2 * 86400, 3600, "h", 1, ""),
    (8 * 86400, 86400, "d", 3600, "h"),
    (float("inf"), 86400, "d", 1, ""),
)


def parse_time(text: object) -> float | None:
    """RFC 3339 to seconds since the epoch; None when absent or unreadable."""
    if not isinstance(text, str):
        return None
    try:
        moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)).timestamp()


def parse_duration(text: str, flag: str) -> float:
    """`90s`, `1h30m`, `3d`, or a bare number of seconds.

    Raises:
        UsageError: it is none of these.
    """
    total, at = 0.0, 0
    if len(text) <= _MAX_LENGTH and text.isascii():
        if text.isdecimal():
            return float(text)
        while part := _PART.match(text, at):
            total += float(part[1]) * _UNITS[part[2]]
            at = part.end()
    if not at or at < len(text):
        shown = clip(text, _MAX_LENGTH)
        raise UsageError(f"{flag}: {shown!r} is not a duration", "for example 90s, 1h30m or 3d")
    return total


def parse_age(text: str, flag: str) -> float:
    """The same of something that has happened, with its unit: a bare 5 may be meant as days.

    Raises:
        UsageError: it has no unit, or is none of these.
    """
    seconds = parse_duration(text, flag)
    if text.isdecimal() and seconds:
        shown = clip(text, _MAX_LENGTH)
        raise UsageError(f"{flag}: {shown} has no unit", f"write {shown}s, {shown}m, {shown}h or {shown}d")
    return seconds


def human(seconds: float) -> str:
    """A length of time in at most two units, as kubectl writes ages."""
    seconds = max(seconds, 0.0)
    if seconds < 1:
        return f"{seconds * 1000:.0f}ms"
    if seconds < _TENTHS_BELOW:
        return f"{seconds:.1f}s".replace(".0s", "s")
    whole = int(seconds)
    _, size, unit, small_size, small = next(form for form in _FORMS if whole < form[0])
    count, rest = divmod(whole, size)
    rest = rest // small_size if small else 0
    return f"{count}{unit}{rest}{small}" if rest else f"{count}{unit}"


def clock(at: float) -> str:
    """The local time of day of a moment."""
    return time.strftime("%H:%M:%S", time.localtime(at))


def moment(at: float) -> str:
    """Date and time in UTC, for what is far away; the nearest that a date can hold."""
    at = min(max(at, _FIRST_MOMENT), _LAST_MOMENT)
    return datetime.fromtimestamp(at, timezone.utc).strftime("%Y-%m-%d %H:%M:%SZ")
