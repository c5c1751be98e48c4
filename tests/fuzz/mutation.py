"""Changes JSON documents at any place: almost no change of single bytes is JSON again.

A payload in base64, as events have one, is changed in the same way.
"""

import json
import random
from base64 import b64decode, b64encode
from collections.abc import Callable
from typing import Any

Bytes = Callable[[bytes, int], bytes]
"""Changes some bytes, as the fuzzer likes; the second one is the most bytes of the result."""
PAYLOAD = "Payload"
DEEPEST, FEW = 60, 4
VALUES: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 2, 31, 63, 64, 256, 2**31, 2**32, 2**53, 2**63 - 1, 2**63, 2**64 - 1, 2**64,
    0.5, -0.0, 1e308, 1e-320, 10**30, "", "a", "0", "-1", "x" * 70, "x" * 300, "\0", "\n",
    "\x1b[31m", "\u202e", "😀", "é", "\ufffd", " ", "/", "%", "://", "https://a.b/c", "eyJhbGciOiJIUzI1NiJ9",
    {}, [], [[]], {"": ""}, "0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999Z", "2026-11-18T11:06:10.123Z",
    "2026-11-18T11:06:10+23:59",
)  # fmt: skip
_seen: list[tuple[str, Any]] = [("", None)]
"""Members of documents of late: what has one meaning here may have another one there."""
MOST_SEEN, LONGEST_SEEN = 500, 400


def mutate(data: bytes, most: int, seed: int, change: Bytes) -> bytes:
    """Another document, or other bytes."""
    choose = random.Random(seed)  # noqa: S311 -- the fuzzer's seed, so that a run can be repeated
    if choose.random() < 0.1:
        return change(data, most)
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        return change(data, most)
    document, was_packed = _unpacked(document)
    for _ in range(choose.choice((1, 1, 1, 2, 3, 5))):
        document = _changed(document, choose, change)
    if was_packed and isinstance(document, dict) and PAYLOAD in document:
        document[PAYLOAD] = b64encode(_written(document[PAYLOAD], choose)).decode()
    found = _written(document, choose)
    return found if len(found) <= most else change(data, most)


def _written(document: object, choose: random.Random) -> bytes:
    text = json.dumps(document, ensure_ascii=choose.random() < 0.2, separators=(",", ":"))
    return text.encode("utf-8", "replace")


def _unpacked(document: Any) -> tuple[Any, bool]:  # noqa: ANN401 -- JSON
    if not isinstance(document, dict) or not isinstance(document.get(PAYLOAD), str):
        return document, False
    try:
        return {**document, PAYLOAD: json.loads(b64decode(document[PAYLOAD]))}, True
    except (ValueError, RecursionError):
        return document, False


def _changed(document: Any, choose: random.Random, change: Bytes) -> Any:  # noqa: ANN401 -- JSON
    """The document with one place changed."""
    holder = [document]
    parent: Any = holder
    key: Any = 0
    for _ in range(choose.randrange(DEEPEST)):
        here = parent[key]
        if not isinstance(here, dict | list) or not here or choose.random() < 0.2:
            break
        parent, key = here, choose.choice(list(here) if isinstance(here, dict) else range(len(here)))
        if isinstance(parent, dict):
            _remember(key, parent[key], choose)
    here = parent[key]
    match choose.randrange(8):
        case 0 if parent is not holder:
            del parent[key]
        case 1 if isinstance(here, dict):
            name, value = choose.choice(_seen)
            here[name] = value
        case 1 if isinstance(here, list) and here:
            here.insert(choose.randrange(len(here)), choose.choice(here))
        case 2 if isinstance(parent, dict):
            parent[choose.choice(_seen)[0] or key.swapcase()] = parent.pop(key)
        case 3:
            parent[key] = choose.choice(_seen)[1]
        case 4:
            parent[key] = choose.choice(({"a": here}, [here], {"name": here}))
        case _:
            parent[key] = _value(here, choose, change)
    return holder[0]


def _value(here: Any, choose: random.Random, change: Bytes) -> Any:  # noqa: ANN401 -- JSON
    """Another value, more or less like the one that is there."""
    if choose.random() < 0.3:
        return choose.choice(VALUES)
    if isinstance(here, str):
        return change(here.encode("utf-8", "replace"), len(here) * 2 + 16).decode("utf-8", "replace")
    if isinstance(here, int | float):
        return here + choose.choice((-1, 1, here, -2 * here, 1000))
    if isinstance(here, list) and len(here) < FEW:
        return here * choose.choice((2, 3, 40))
    return choose.choice(VALUES)


def _remember(name: str, value: object, choose: random.Random) -> None:
    text = json.dumps(value)
    if len(text) > LONGEST_SEEN:
        return
    member = (name, json.loads(text))
    if len(_seen) < MOST_SEEN:
        _seen.append(member)
    else:
        _seen[choose.randrange(MOST_SEEN)] = member
