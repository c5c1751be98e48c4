"""Go durations, as every configuration of ocis and OpenCloud writes them: `5s`, `1h30m`, `0`."""

import re
from fractions import Fraction

_UNITS = {
    "ns": Fraction(1, 1_000_000),
    "us": Fraction(1, 1000),
    "\u00b5s": Fraction(1, 1000),  # micro sign
    "\u03bcs": Fraction(1, 1000),  # Greek mu
    "ms": Fraction(1),
    "s": Fraction(1000),
    "m": Fraction(60_000),
    "h": Fraction(3_600_000),
}
MAX_LENGTH = 128
MAX_NANOSECONDS = 2**63 - 1
"""The longest duration that Go has: 292 years."""
MAX_MILLISECONDS = MAX_NANOSECONDS // 1_000_000
"""One more, and NATS could not read it."""
_UNIT = "|".join(sorted(_UNITS, key=len, reverse=True))
_LONG_UNIT = re.compile(r"(?<![\d.])[\d.]++ ?(?:d|w|y|mo)", re.ASCII | re.IGNORECASE)
_PART = re.compile(rf"(?<![\d.])(\d++(?:\.\d*+)?|\.\d++)({_UNIT})", re.ASCII)


def parse_duration(text: str) -> int:
    """Milliseconds of a Go duration, rounded up where that is still one.

    Raises:
        ValueError: no duration; the text says what is wrong with it.
    """
    body = text.strip()
    if body in {"0", "+0", "-0"}:
        return 0
    if len(body) > MAX_LENGTH:
        raise ValueError(f"is longer than {MAX_LENGTH} characters")
    negative = body.startswith("-")
    body = body.removeprefix("-" if negative else "+")
    total, at = Fraction(0), 0
    while at < len(body):
        match = _PART.match(body, at)
        if match is None:
            raise ValueError(f"is not a duration such as 5s or 1h30m{_hint(body[at:])}")
        total += Fraction(match[1].rstrip(".") or "0") * _UNITS[match[2]]
        at = match.end()
    if not body:
        raise ValueError("is empty; a duration such as 5s is needed")
    if negative and total:
        raise ValueError("must not be negative")
    if total * 1_000_000 > MAX_NANOSECONDS:
        raise ValueError("is longer than 292 years, the longest duration there is")
    return min(-int(-total // 1), MAX_MILLISECONDS)


def _hint(rest: str) -> str:
    """What is wrong with the unreadable part of a duration, if that is known."""
    if rest.replace(".", "").isdigit():
        return " (a unit such as s, m or h is missing)"
    if _LONG_UNIT.match(rest):
        return " (the longest unit is h: a day is 24h, a week 168h)"
    return ""


def format_duration(milliseconds: int) -> str:
    """A short Go duration."""
    if milliseconds % 1000:
        return f"{milliseconds}ms"
    seconds = milliseconds // 1000
    parts = [(seconds // 3600, "h"), (seconds % 3600 // 60, "m"), (seconds % 60, "s")]
    return "".join(f"{n}{unit}" for n, unit in parts if n) or "0s"
