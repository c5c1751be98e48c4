"""The go-micro envelope around every event."""

import re
from binascii import a2b_base64, b2a_base64
from datetime import timedelta
from enum import StrEnum
from functools import lru_cache
from typing import NamedTuple

import orjson

from uploadpp.api.timestamps import EPOCH, SECONDS_END
from uploadpp.core.bounds import moment
from uploadpp.wire.rawjson import go_string, is_plain, loads

TOPIC = "main-queue"
MARK_KEY = "uploadpp"
"""Metadata key that carries `Mark.encode()`; every other service ignores keys it does not know."""
PLAN_KEY = "uploadpp-plan"
"""Metadata key that carries the plan by which the event was published (`core.plan_text`)."""
POLICY_KEY = "uploadpp-policy"
"""Metadata key that carries the rule by which the plan was chosen, where a policy did (`core.plan_text`)."""

_STRINGS = frozenset({str, type(None)})
_EVENT_TYPE = re.compile(r"events\.\w{1,64}", re.ASCII)


class Defect(StrEnum):
    """What can be wrong with a message; the label of `uploadpp_bad_messages_total`."""

    NOT_JSON = "NotJSON"
    WRONG_TYPE = "WrongType"
    BAD_BASE64 = "BadBase64"
    BAD_UPLOAD_ID = "BadUploadID"


class BadMessageError(ValueError):
    """A message that cannot be understood. The text never quotes the payload: it may hold a URL."""

    def __init__(self, defect: Defect, detail: str, event_type: str = "") -> None:
        self.defect = defect
        self.event_type = event_type if _EVENT_TYPE.fullmatch(event_type) else "unknown event"
        super().__init__(f"{detail} ({self.event_type})")


class Envelope(NamedTuple):
    """A decoded envelope; `payload` is still base64 so that foreign events cost nothing more."""

    event_type: str
    metadata: dict[str, str]
    payload: str

    def __repr__(self) -> str:
        """Only what may be in a log."""
        return f"Envelope({self.event_type!r})"

    def payload_text(self) -> str:
        """The event's JSON.

        Raises:
            BadMessageError: the payload is not standard base64.
        """
        # Go's decoder skips line ends, which Python's own base64 module likes to write.
        text = "".join(self.payload.split()) if "\n" in self.payload else self.payload
        try:
            raw = a2b_base64(text, strict_mode=True)
        except ValueError as error:
            raise BadMessageError(
                Defect.BAD_BASE64, "Payload is not standard base64", self.event_type
            ) from error
        return raw.decode("utf-8", "replace")


def decode_envelope(data: bytes) -> Envelope:
    """Read a message body; unknown members are ignored, names are compared without case.

    Raises:
        BadMessageError: not JSON, or a member has another type than Go would accept.
    """
    try:
        body = loads(data)
    except ValueError as error:
        raise BadMessageError(Defect.NOT_JSON, "the message is not JSON") from error
    if not isinstance(body, dict):
        raise BadMessageError(Defect.WRONG_TYPE, "the message is not a JSON object")
    if "Metadata" not in body or "Payload" not in body:
        body = {name.title(): value for name, value in body.items()}
    metadata = body.get("Metadata")
    payload = body.get("Payload")
    if metadata is None:
        metadata = {}
    if not isinstance(metadata, dict) or not _STRINGS.issuperset(map(type, metadata.values())):
        raise BadMessageError(Defect.WRONG_TYPE, "Metadata is not an object of strings")
    if None in metadata.values():
        metadata = {name: value or "" for name, value in metadata.items()}
    event_type = metadata.get("eventtype") or ""
    if not isinstance(payload, str | None):
        raise BadMessageError(Defect.WRONG_TYPE, "Payload is not a string", event_type)
    return Envelope(event_type, metadata, payload or "")


@lru_cache(maxsize=4)
def _second(seconds: int) -> str:
    return (EPOCH + timedelta(seconds=seconds)).isoformat()[:SECONDS_END]


def encode_envelope(
    event_type: str, event_id: str, payload: str, metadata: dict[str, str], now_ms: int
) -> bytes:
    """Wrap an event as go-micro does; `metadata` comes after `eventtype` and `eventid`.

    `ID` is a random UUID there, which nobody reads; here it makes a repetition the same bytes.
    """
    seconds, ms = divmod(moment(now_ms), 1000)
    metadata = {"eventtype": event_type, "eventid": event_id, **metadata}
    if is_plain("".join(metadata.values())):
        members = orjson.dumps(metadata).decode()
    else:
        members = "{" + ",".join([f'"{key}":{go_string(value)}' for key, value in metadata.items()]) + "}"
    body = (
        f'{{"Timestamp":"{_second(seconds)}.{ms:03d}Z",'
        f'"Metadata":{members},'
        f'"ID":"{event_id}","Topic":"{TOPIC}","Payload":"'
    )
    return body.encode() + b2a_base64(payload.encode(), newline=False) + b'"}'
