"""Types of settings. Text of a variable or a flag is parsed as services in Go parse it."""

import re
from enum import StrEnum
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field

from uploadpp.http.hosts import is_encodable
from uploadpp.process.durations import parse_duration
from uploadpp.process.listening import split_address
from uploadpp.storage.sources import Source, read_sources

MAX_WEIGHT, MAX_WEIGHTS = 100, 1000
MAX_PATH = 1024
SHORTEST_AGE = 100
OTLP_PORT, OTLP_GRPC_PORT = 4318, 4317
OTLP_PATH = "/v1/traces"
_NAME = re.compile(r"[A-Za-z0-9_-]+", re.ASCII)
_HOST = re.compile(r"[\w.:%-]+", re.ASCII)
_GO_INTEGER = re.compile(r"[+-]?[0-9A-Fa-f_xXoObB]{1,40}")


_EXAMPLE = "as in virusscan,policies"
_NOT_IN_A_STEP = {
    ";\uff1b\uff0c\u3001": "contains a semicolon or a similar character; separate steps with commas",
    "\"'[]": "contains quotation marks or brackets; write only names, separated by commas",
}
"""Separators that people use in lists of steps by mistake. They would become part of a name."""


def read_duration(value: object) -> object:
    """A Go duration in milliseconds."""
    return parse_duration(value) if isinstance(value, str) else value


def check_max_age(value: int) -> int:
    """A time after which NATS removes messages, in milliseconds; 0 is never."""
    if 0 < value < SHORTEST_AGE:
        raise ValueError(f"is too short: for NATS it is at least {SHORTEST_AGE}ms, or 0 for no limit")
    return value


def read_list(value: object) -> object:
    """Words between commas; empty ones are skipped."""
    if not isinstance(value, str):
        return value
    return [word for item in value.split(",") if (word := item.strip())]


def read_steps(value: object) -> object:
    """Words between commas; a comma at the end is harmless.

    An empty word before another one is an error: what stands there may be a variable that is not set, and
    without its step files would be released unscanned. So are commas alone. Another separator is an error,
    too: as in the legacy service, it would be a single step, which nobody serves and for which each upload
    would wait.

    Raises:
        ValueError: such a word.
    """
    if not isinstance(value, str):
        return value
    words = [word.strip() for word in value.split(",")]
    while words and not words[-1]:
        words.pop()
    if not words and value.strip():  # everything would be released without a check
        raise ValueError("has commas and names no step; name one, or leave it empty to have no steps")
    if "" in words:
        raise ValueError("has an empty name between its commas; remove the comma, or name the step")
    names = "".join(words)
    for odd, text in _NOT_IN_A_STEP.items():
        if any(char in odd for char in names):
            raise ValueError(f"{text}, {_EXAMPLE}")
    if any(char.isspace() for char in names):
        raise ValueError(
            f"contains a space or a line break in a name; separate steps with commas, {_EXAMPLE}"
        )
    return words


def read_address(value: str) -> str:
    """An address to listen on, checked."""
    value = value.strip()
    split_address(value)
    return value


def read_collector(value: str) -> str:
    """A URL; the port of gRPC, which the legacy service speaks, becomes that of HTTP beside it."""
    value = value.strip()
    if not value:
        return value
    parts = urlsplit(value if "://" in value else f"http://{value}")
    name = parts.hostname or ""
    if not _HOST.fullmatch(name) or parts.scheme not in {"http", "https"} or not is_encodable(name):
        raise ValueError("is neither a URL nor host:port")
    if "@" in parts.netloc:
        raise ValueError("has a user or a password; they belong into OTEL_EXPORTER_OTLP_HEADERS")
    if parts.query or parts.fragment:
        raise ValueError("has text behind its path")
    port = parts.port or (None if "://" in value else OTLP_PORT)
    host = f"[{name}]" if ":" in name else name
    host += f":{OTLP_PORT if port == OTLP_GRPC_PORT else port}" if port else ""
    return f"{parts.scheme}://{host}{parts.path.rstrip('/')}"


def read_collector_if_possible(value: str) -> str:
    """Errors in it only matter if traces are sent."""
    try:
        return read_collector(value)
    except ValueError:
        return value


def read_integer(value: object) -> object:
    """Whole numbers as Go reads them: 14, 0x0e, 0b1110, 1_000."""
    if not isinstance(value, str):
        return value
    value = value.strip()
    if not _GO_INTEGER.fullmatch(value):
        if "." in value and value.replace(".", "").isdecimal():
            raise ValueError("should be a valid integer, without a decimal point")
        return value
    digits = value.lstrip("+-")
    octal = len(digits) > 1 and digits[0] == "0" and (digits[1].isdigit() or digits[1] == "_")
    try:
        return int(value, 8 if octal else 0)
    except ValueError:
        raise ValueError("is not a whole number (a leading 0 means octal, 0x hexadecimal)") from None


def check_inbox_prefix(value: str) -> str:
    """The beginning of subjects; without wildcards, because a step subscribes to what begins like this."""
    if not all(part and _NAME.fullmatch(part) for part in value.split(".")):
        raise ValueError("must be words of letters, digits, _ and - with dots between them, such as _INBOX")
    return value


def check_pod_uid(value: str) -> str:
    """The name of this Pod in its Lease."""
    if value and (_NAME.fullmatch(value) is None or "_" in value):
        raise ValueError("must be the metadata.uid of the Pod: letters, digits and dashes")
    return value


def read_file(value: object) -> object:
    """A path, or None."""
    if isinstance(value, str) and ("\0" in value or len(value) > MAX_PATH):
        raise ValueError(f"is not a path: it holds a NUL or more than {MAX_PATH} characters")
    return value or None  # charts often set unused variables to an empty string


def read_token(value: str) -> str:
    """A secret, without the line break at its end."""
    token = value.strip()
    if value and not token:
        raise ValueError("contains only spaces; set a token, or leave it empty")
    return token


def read_boolean(value: object) -> object:
    """What Go's strconv.ParseBool takes."""
    if not isinstance(value, str):
        return value
    text = value.strip()
    if text in {"1", "t", "T", "true", "TRUE", "True"}:
        return True
    if text in {"0", "f", "F", "false", "FALSE", "False"}:
        return False
    raise ValueError("is not a boolean; use true or false")


class StorageChecks(StrEnum):
    """Whether the storage is asked about uploads that it may have lost."""

    ASK = "ask"
    OFF = "off"


class TracingType(StrEnum):
    """Where the legacy service can send traces; of these we speak OTLP, over HTTP."""

    OTLP = "otlp"
    JAEGER = "jaeger"


class Policies(StrEnum):
    """Whether PostprocessingPolicies choose the steps of uploads."""

    DISABLED = "Disabled"
    ENABLED = "Enabled"


def lower(value: object) -> object:
    """In lower case."""
    return value.strip().lower() if isinstance(value, str) else value


def capitalised(value: object) -> object:
    """With a capital letter."""
    return value.strip().capitalize() if isinstance(value, str) else value


Duration = Annotated[int, BeforeValidator(read_duration), Field(ge=0)]
"""Milliseconds; written as a Go duration."""
MaxAge = Annotated[Duration, AfterValidator(check_max_age)]
File = Annotated[Path | None, BeforeValidator(read_file)]
Address = Annotated[str, AfterValidator(read_address)]
Token = Annotated[str, AfterValidator(read_token)]
Words = Annotated[tuple[str, ...], BeforeValidator(read_list)]
Steps = Annotated[tuple[str, ...], BeforeValidator(read_steps)]
Sources = Annotated[tuple[Source, ...], BeforeValidator(read_sources)]
Switch = Annotated[bool, BeforeValidator(read_boolean)]
Number = Annotated[int, BeforeValidator(read_integer)]
Weights = Annotated[dict[str, Annotated[int, Field(ge=1, le=MAX_WEIGHT)]], Field(max_length=MAX_WEIGHTS)]
"""Names or ids, and how much each counts."""
