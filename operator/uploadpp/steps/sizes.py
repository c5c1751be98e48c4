"""Sizes of files as people write them: `25M`, `1.5GiB`, `100MB`."""

import re

_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kmgt]?)(i?b?)", re.IGNORECASE | re.ASCII)
_POWERS = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4}


def parse_size(text: str) -> int:
    """Bytes; `k` and `KiB` are 1024 of them, as in clamd.conf, `kB` is 1000.

    Raises:
        ValueError: no size; the text says what is wrong with it.
    """
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text!r} is no size such as 500, 25M, 100MB or 1GiB")
    number, prefix, unit = match[1], match[2].lower(), match[3].lower()
    base = 1000 if unit == "b" else 1024
    return int(float(number) * base ** _POWERS[prefix])
