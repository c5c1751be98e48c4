"""StartPostprocessingStep as a step reads it. Tolerant: what Go would accept, we accept."""

from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import Any, Self
from uuid import UUID, uuid5

from uploadpp.wire.decode import MAX_ID
from uploadpp.wire.envelope import BadMessageError, Defect, Envelope, decode_envelope
from uploadpp.wire.rawjson import raw_members, whole

NAMESPACE = UUID("1c4b8f52-90b5-5f0e-a3d4-7f6a2f0c5e77")
_EVENT_TYPE = "events.StartPostprocessingStep"
_CARRIED = ("traceparent", "initiatorid", "extrainfo")
_ALWAYS = {"traceparent": "", "initiatorid": ""}


@dataclass(frozen=True, slots=True)
class Start:
    """The order to work. What the answer repeats is kept as the very text it was."""

    event_id: str
    step: str
    upload_id: str
    url: str = field(repr=False)
    filename: str
    size: int
    user: dict[str, Any] = field(repr=False)
    resource: dict[str, Any]
    raw_user: str = field(repr=False)
    raw_filename: str
    raw_resource: str
    metadata: dict[str, str] = field(repr=False)
    """What every event about the upload carries on."""

    @property
    def answer_id(self) -> str:
        """The id of the answer: the same one, however often the work is done."""
        return str(uuid5(NAMESPACE, f"{self.event_id}\0{self.upload_id}\0{self.step}"))

    @property
    def anonymous(self) -> Self:
        """Without what an answer need not repeat, and what may be nearly as long as a message can be."""
        return replace(self, raw_user="null", raw_filename='""', metadata=_ALWAYS)

    @property
    def bare(self) -> Self:
        """With nothing left of any length."""
        return replace(self.anonymous, raw_resource="null")


def decode_start(data: bytes, step: str, sequence: int) -> Start | None:
    """The start in a message; None when it is something else, or for another step.

    `sequence` is the message's in the stream: it identifies a start whose sender gave it no id.

    Raises:
        BadMessageError: it is for this step but cannot be understood.
    """
    envelope = decode_envelope(data)
    if envelope.event_type != _EVENT_TYPE:
        return None
    try:
        members = raw_members(envelope.payload_text())
    except ValueError as error:
        raise _bad(envelope, Defect.NOT_JSON, "Payload is not a JSON object") from error
    values = {name: value for name, (_, value) in members.items()}
    if values.get("steptostart") != step or not values.get("uploadid"):
        return None  # without an upload it is an on-demand scan of the antivirus service
    raw = {name: text for name, (text, value) in members.items() if value is not None}
    upload_id = _text(envelope, values, "UploadID")
    if len(upload_id) > MAX_ID:  # the operator, too, knows no such upload
        raise _bad(envelope, Defect.BAD_UPLOAD_ID, f"UploadID must have 1 to {MAX_ID} characters")
    return Start(
        event_id=_event_id(envelope) or f"sequence {sequence}",
        step=step,
        upload_id=upload_id,
        url=_text(envelope, values, "URL"),
        filename=_text(envelope, values, "Filename"),
        size=_size(envelope, values),
        user=_object(envelope, values, "ExecutingUser"),
        resource=_object(envelope, values, "ResourceID"),
        raw_user=raw.get("executinguser", "null"),
        raw_filename=raw.get("filename", '""'),
        raw_resource=raw.get("resourceid", "null"),
        metadata=_carried(envelope.metadata),
    )


def _event_id(envelope: Envelope) -> str:
    """Thousands are remembered, so a long one is remembered by its hash."""
    text = envelope.metadata.get("eventid", "")
    if len(text) <= MAX_ID:
        return text
    return f"sha256 {sha256(text.encode('utf-8', 'surrogatepass')).hexdigest()}"


def _carried(metadata: dict[str, str]) -> dict[str, str]:
    return _ALWAYS | {name: metadata[name] for name in _CARRIED if name in metadata}


def _text(envelope: Envelope, values: dict[str, Any], name: str) -> str:
    value = values.get(name.lower())
    if not isinstance(value, str | None):
        raise _bad(envelope, Defect.WRONG_TYPE, f"{name} is not a string")
    return whole(value or "")


def _size(envelope: Envelope, values: dict[str, Any]) -> int:
    size = values.get("filesize")
    if not isinstance(size, int | None) or isinstance(size, bool) or (size or 0) < 0:
        raise _bad(envelope, Defect.WRONG_TYPE, "Filesize is not an unsigned integer")
    return size or 0


def _object(envelope: Envelope, values: dict[str, Any], name: str) -> dict[str, Any]:
    value = values.get(name.lower())
    if not isinstance(value, dict | None):
        raise _bad(envelope, Defect.WRONG_TYPE, f"{name} is not an object")
    return value or {}


def _bad(envelope: Envelope, defect: Defect, detail: str) -> BadMessageError:
    return BadMessageError(defect, detail, envelope.event_type)
