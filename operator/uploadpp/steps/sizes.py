"""Sizes of files as people write them: `25M`, `1.5GiB`, `100MB`."""

import re
from fractions import Fraction

_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kmgt]?)(i?b?)", re.IGNORECASE | re.ASCII)
MAX_LENGTH = 64
MAX_SIZE = 2**63 - 1
_POWERS = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4}


def parse_size(text: str) -> int:
    """Bytes; `k` and `KiB` are 1024 of them, as in clamd.conf, `kB` is 1000.

    Raises:
        ValueError: no size; the text says what is wrong with it.
    """
    match = _SIZE.fullmatch(text.strip()) if len(text) <= MAX_LENGTH else None
    if match is None or ("." in match[1] and not match[2]):  # there is no half byte
        raise ValueError(f"{text[:MAX_LENGTH]!r} is not a size such as 500, 25M, 100MB or 1GiB")
    number, prefix, unit = match[1], match[2].lower(), match[3].lower()
    base = 1000 if unit == "b" else 1024
    size = int(Fraction(number) * base ** _POWERS[prefix])
    if size > MAX_SIZE:
        raise ValueError(f"{text!r} is more than any file has")
    return size
