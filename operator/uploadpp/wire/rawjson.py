"""JSON of which some parts are only passed on: their text is kept, byte for byte.

Users and resource ids come from services that may know more fields than we do; decoding
and encoding them again would change number formats and escapes.
"""

import json
import re
from json.scanner import make_scanner
from typing import Any, NoReturn

import orjson


def _no_constant(word: str) -> NoReturn:
    raise ValueError(f"{word} is not JSON")  # Python would take NaN and Infinity, Go does not


_decoder = json.JSONDecoder(parse_constant=_no_constant)
_scan = make_scanner(_decoder)  # type: ignore[arg-type]  # typeshed is wrong
_HALF_PAIRS = re.compile(r"[\ud800-\udfff]")
is_plain = re.compile(r"[A-Za-z0-9 _.:/+=@-]*").fullmatch
"""Whether a text is written between quotes as it is."""
_space = re.compile(r"[ \t\n\r]*")
_GO_ESCAPES = str.maketrans(
    {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"}
)


def loads(data: bytes | str) -> Any:  # noqa: ANN401 -- whatever the JSON says
    """Decode JSON as tolerantly as Go: broken UTF-8 and half surrogate pairs become U+FFFD.

    Raises:
        ValueError: not JSON, or nested too deeply.
    """
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError:
        text = data.decode("utf-8", "replace") if isinstance(data, bytes) else data
        try:
            return _whole(_decoder.decode(text))
        except RecursionError as error:
            raise ValueError("the JSON is nested too deeply") from error


def whole(text: str) -> str:
    """A decoded string with half surrogate pairs replaced, as Go does; nothing could encode them again."""
    return text if text.isascii() else _HALF_PAIRS.sub("\ufffd", text)


def _whole(value: Any) -> Any:  # noqa: ANN401 -- any JSON
    if isinstance(value, str):
        return whole(value)
    if isinstance(value, dict):
        return {whole(name): _whole(each) for name, each in value.items()}
    return [_whole(each) for each in value] if isinstance(value, list) else value


def _skip(text: str, at: int) -> int:
    if text[at] > " ":
        return at  # as nearly always: what Go writes has no spaces
    match = _space.match(text, at)
    return match.end() if match else at


def raw_members(text: str) -> dict[str, tuple[str, Any]]:
    """The members of a JSON object: lower-cased name to (raw text, decoded value).

    Names are compared without case, as Go does; the last of two equal names wins.

    Raises:
        ValueError: not a JSON object, or nested too deeply.
    """
    members: dict[str, tuple[str, Any]] = {}
    try:
        at = _expect(text, _skip(text, 0), "{")
        if text[at] == "}":
            return _ended(members, text, at)
        while True:
            name, at = _scan(text, at)
            if not isinstance(name, str):
                raise ValueError(f"member name expected at {at}")  # noqa: TRY004 -- bad JSON, not a bad argument
            start = at + 1
            if text[at] != ":" or text[start] <= " ":  # never in what Go writes
                start = _expect(text, _skip(text, at), ":")
            value, end = _scan(text, start)
            members[name.lower()] = (text[start:end], value)
            at = end + 1
            if text[end] != "," or text[at] <= " ":
                at = _skip(text, end)
                if text[at] == "}":
                    return _ended(members, text, at)
                at = _expect(text, at, ",")
    except (StopIteration, IndexError) as error:
        raise ValueError("the JSON ends too early or has a wrong token") from error
    except RecursionError as error:
        raise ValueError("the JSON is nested too deeply") from error


def _ended(members: dict[str, tuple[str, Any]], text: str, at: int) -> dict[str, tuple[str, Any]]:
    if at + 1 < len(text) and _space.fullmatch(text, at + 1) is None:
        raise ValueError("something follows the JSON object")
    return members


def _expect(text: str, at: int, token: str) -> int:
    if text[at] != token:
        raise ValueError(f"{token!r} expected at {at}")
    return _skip(text, at + 1)


def go_string(value: str) -> str:
    """A JSON string as Go's encoding/json writes it."""
    if is_plain(value):
        return f'"{value}"'
    return go_json(value)


def go_json(value: object) -> str:
    """Compact JSON as Go's encoding/json writes it; the order of members is ours.

    Raises:
        ValueError: a number that JSON has not, or a string that is not text.
        TypeError: something that JSON has not.
    """
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.translate(_GO_ESCAPES)
