"""Events from the log to inputs of the core. Tolerant: what Go would accept, we accept."""

from binascii import a2b_base64
from collections.abc import Callable
from functools import lru_cache
from operator import itemgetter
from typing import Any, NamedTuple

from uploadpp.core.commands import Kind, Mark
from uploadpp.core.inputs import (
    BytesReceived,
    CleanUpload,
    FinishedElsewhere,
    Input,
    Published,
    Resume,
    RetriedElsewhere,
    StartedElsewhere,
    StepFinished,
    UploadReady,
)
from uploadpp.core.model import FileInfo, Millis, Origin
from uploadpp.core.plan_text import Planned, read_planned, read_policy
from uploadpp.core.text import redact
from uploadpp.wire.envelope import (
    MARK_KEY,
    PLAN_KEY,
    POLICY_KEY,
    BadMessageError,
    Defect,
    Envelope,
    decode_envelope,
)
from uploadpp.wire.marks import POLICY_SIGNATURE_KEY, NoMark, Proofs
from uploadpp.wire.rawjson import loads, raw_members, whole
from uploadpp.wire.urls import expiry_of

MAX_ID = 128
_HEAD = 4 * 48
"""This many base64 characters contain any id and what precedes it."""
_PAYLOAD, _ID, _NAME = b',"Payload":"', b'{"UploadID":"', b'"uploadid"'
MAX_MESSAGE = 256
MAX_NAME = 256
"""Characters of the name of a step or an outcome; real ones have 63 at most."""
SHARED, MAX_SHARED, SHARED_LONG = 4096, 2048, 16
"""How many texts of up to how many characters are shared, and how many longer ones."""
MAX_UINT64 = 2**64 - 1
_VALUE = itemgetter(1)
"""Of a raw text and its value the value."""
_OBJECTS = ("ExecutingUser", "ImpersonatingUser", "SpaceOwner", "ResourceID")


NOBODY = NoMark()


class Event(NamedTuple):
    """A message that concerns us: whose it is, and what it means.

    `upload_id` is empty only for a Resume of all uploads in a step. `event_id` is that of an event of ours;
    it is empty for those of others, who may write any id into them.
    """

    upload_id: str
    input: Input
    event_id: str = ""


def decode(
    data: bytes,
    sequence: int,
    now: Millis,
    proofs: Proofs = NOBODY,
    owns: Callable[[str], bool] | None = None,
) -> Event | None:
    """The meaning of a message; None when it is somebody else's.

    An event with a mark is ours where `proofs` say so, and otherwise like one without. `owns` says which
    uploads are ours by their id, where not all are; a message about another one costs little then.

    Raises:
        BadMessageError: it should concern us but cannot be understood.
    """
    if owns is not None and _is_elsewhere(data, owns):
        return None
    envelope = decode_envelope(data)
    text = envelope.metadata.get(MARK_KEY)
    if text is not None:
        try:
            mark = Mark.decode(text)
        except ValueError:
            return None  # of a later version
        if (own := _own(envelope, mark, sequence, proofs)) is not None:
            return own
    read = _READERS.get(envelope.event_type)
    if read is not None:
        return read(envelope, now)
    return _elsewhere(envelope, sequence) if envelope.event_type in _OTHERS else None


def _is_elsewhere(data: bytes, owns: Callable[[str], bool]) -> bool:
    """Whether it is about an upload of another shard, by its id alone; False in every case of doubt.

    Only messages in the form that Go writes are looked at: the payload comes last, and the id first in it.
    A quote behind a comma opens a name, a text without backslashes holds no quotes, and the last of equal
    names counts. So a full parse finds the same id, or fails.
    """
    at = data.find(_PAYLOAD) + len(_PAYLOAD)
    if at < len(_PAYLOAD) or not data.endswith(b'"}'):
        return False
    try:
        head = a2b_base64(data[at : min(at + _HEAD, len(data) - 2)], strict_mode=True)
        upload_id = head[len(_ID) : head.index(b'"', len(_ID))].decode()
        if not head.startswith(_ID) or not 0 < len(upload_id) <= MAX_ID or owns(upload_id):
            return False
        payload = a2b_base64(data[at:-2], strict_mode=True)
    except ValueError:
        return False
    return b"\\" not in payload and payload.lower().count(_NAME) == 1


def _own(envelope: Envelope, mark: Mark, sequence: int, proofs: Proofs) -> Event | None:
    metadata, fields = envelope.metadata, _fields(envelope)
    upload_id = _upload_id(envelope, fields, required=False)
    is_for_all = mark.kind is Kind.RESUME
    plan = _text(envelope, fields, "Step") if is_for_all else metadata.get(PLAN_KEY, "")
    if not proofs.is_ours(metadata, sequence, envelope.event_type, upload_id, metadata[MARK_KEY], plan):
        return None
    if is_for_all:
        return _resume(envelope, Millis(0), mark.token, metadata.get("eventid", ""))
    if not upload_id:
        return None
    # Not the id that the envelope says, which nobody has signed.
    planned = _planned(envelope)
    if planned is not None and (ruled := metadata.get(POLICY_KEY)) is not None:
        signature = metadata.get(POLICY_SIGNATURE_KEY, "")
        if proofs.proves(signature, envelope.event_type, upload_id, metadata[MARK_KEY], plan, ruled):
            planned = _with_policy(planned, ruled)
    return Event(upload_id, Published(mark, sequence, planned), mark.event_id(upload_id))


def _planned(envelope: Envelope) -> Planned | None:
    """The plan of an event of ours; None when it is of a version that did not tell it, or a later one."""
    text = envelope.metadata.get(PLAN_KEY)
    try:
        return None if text is None else read_planned(text)
    except ValueError:
        return None


def _with_policy(planned: Planned, text: str) -> Planned:
    ruled = read_policy(text)
    if ruled is None:
        return planned
    return planned._replace(policy=ruled.policy, priority_class=ruled.priority_class)


def _fields(envelope: Envelope) -> dict[str, Any]:
    text = envelope.payload_text()
    try:
        body = loads(text)
    except ValueError as error:
        raise BadMessageError(Defect.NOT_JSON, "Payload is not JSON", envelope.event_type) from error
    if not isinstance(body, dict):
        raise BadMessageError(Defect.WRONG_TYPE, "Payload is not a JSON object", envelope.event_type)
    return {name.lower(): value for name, value in body.items()}


def _text(envelope: Envelope, fields: dict[str, Any], name: str) -> str:
    value = fields.get(name.lower())
    if value is None:
        return ""
    if not isinstance(value, str):
        raise BadMessageError(Defect.WRONG_TYPE, f"{name} is not a string", envelope.event_type)
    return value if value.isascii() else whole(value)


def _name(envelope: Envelope, fields: dict[str, Any], name: str) -> str:
    """A word that is compared and may be remembered: of a longer one the beginning is wrong enough."""
    return _text(envelope, fields, name)[:MAX_NAME]


def _upload_id(envelope: Envelope, fields: dict[str, Any], *, required: bool) -> str:
    value = _text(envelope, fields, "UploadID")
    if len(value) > MAX_ID or (required and not value):
        raise BadMessageError(
            Defect.BAD_UPLOAD_ID, f"UploadID must have 1 to {MAX_ID} characters", envelope.event_type
        )
    return value


def _bytes_received(envelope: Envelope, now: Millis) -> Event:
    text = envelope.payload_text()
    try:
        members = raw_members(text)
    except ValueError as error:
        raise BadMessageError(Defect.NOT_JSON, f"Payload: {error}", envelope.event_type) from error
    values = dict(zip(members, map(_VALUE, members.values()), strict=True))
    upload_id = _upload_id(envelope, values, required=True)
    size = 0 if values.get("filesize") is None else values["filesize"]
    if not isinstance(size, int) or isinstance(size, bool) or not 0 <= size <= MAX_UINT64:
        raise BadMessageError(
            Defect.WRONG_TYPE, "Filesize is not an unsigned 64-bit integer", envelope.event_type
        )
    for name in _OBJECTS:
        if not isinstance(values.get(name.lower()), dict | None):
            # Echoed it would make our own events unreadable for every Go service.
            raise BadMessageError(Defect.WRONG_TYPE, f"{name} is not an object", envelope.event_type)
    filename = _text(envelope, values, "Filename")
    url = _text(envelope, values, "URL")
    raw = {name: member for name, (member, value) in members.items() if value is not None}
    metadata = envelope.metadata
    # Shared is what many uploads in flight have in common: a fifth of what one takes in memory.
    origin = Origin(
        url=raw.get("url", '""'),
        url_received_at=now,
        url_expires_at=expiry_of(url),
        filename=raw.get("filename", '""'),
        filesize=raw.get("filesize", "0"),
        executing_user=_shared(raw.get("executinguser", "null")),
        impersonating_user=_shared(raw.get("impersonatinguser", "null")),
        space_owner=_shared(raw.get("spaceowner", "null")),
        resource_id=raw.get("resourceid", "null"),
        initiator_id=metadata.get("initiatorid", ""),
        extra_info=metadata.get("extrainfo"),
        traceparent=metadata.get("traceparent", ""),
    )
    file = file_info(filename, size, values.get("executinguser"), values.get("resourceid"))
    return Event(upload_id, BytesReceived(origin, file))


def file_info(filename: str, filesize: int, user: object, resource_id: object) -> FileInfo:
    """What is shown of a file; `user` and `resource_id` are JSON of CS3, and what they lack is empty."""
    resource, user_id = _object(resource_id), _object(_object(user).get("id"))
    return FileInfo(
        filename=filename,
        filesize=filesize,
        user_id=_shared(_word(user_id, "opaque_id")),
        space_id=_shared(_word(resource, "space_id")),
        storage_id=_shared(_word(resource, "storage_id")),
        opaque_id=_word(resource, "opaque_id"),
    )


@lru_cache(maxsize=SHARED)
def _kept(text: str) -> str:
    return text


def _shared(text: str) -> str:
    """One object for all equal texts of late; `sys.intern` forgets none in some versions of Python."""
    return _kept(text) if len(text) <= MAX_SHARED else _kept_long(text)


@lru_cache(maxsize=SHARED_LONG)
def _kept_long(text: str) -> str:
    return text


def _object(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _word(value: dict[str, Any], name: str) -> str:
    word = value.get(name)
    if not isinstance(word, str):
        return ""
    return word if word.isascii() else whole(word)


def _step_finished(envelope: Envelope, now: Millis) -> Event | None:
    del now
    fields = _fields(envelope)
    upload_id = _upload_id(envelope, fields, required=False)
    if not upload_id:
        return None  # an on-demand scan of the antivirus service, not an upload
    result = _object(fields.get("result"))
    message = _word(result, "ErrorMsg") or (_word(result, "Description") if result.get("Infected") else "")
    error = fields.get("error")
    if not message and isinstance(error, str):
        message = error
    answer = StepFinished(
        _name(envelope, fields, "FinishedStep"),
        _name(envelope, fields, "Outcome"),
        redact(message, MAX_MESSAGE) if message else "",
        _is_scan(result),
    )
    return Event(upload_id, answer)


def _is_scan(result: dict[str, Any]) -> bool:
    """Whether a VirusscanResult says that and when a scan was done; Go's zero time says it was not."""
    scanned_at = _word(result, "Scandate")
    return bool(scanned_at) and not scanned_at.startswith("0001-") and not result.get("ErrorMsg")


def _upload_ready(envelope: Envelope, now: Millis) -> Event | None:
    del now
    fields = _fields(envelope)
    upload_id = _upload_id(envelope, fields, required=False)
    if not upload_id:
        return None  # a file the posix driver found on disk (F40)
    failed = fields.get("failed")
    if not isinstance(failed, bool | None):
        raise BadMessageError(Defect.WRONG_TYPE, "Failed is not a boolean", envelope.event_type)
    return Event(upload_id, UploadReady(bool(failed)))


def _resume(envelope: Envelope, now: Millis, token: str = "", event_id: str = "") -> Event | None:
    del now
    fields = _fields(envelope)
    upload_id = _upload_id(envelope, fields, required=False)
    step = _name(envelope, fields, "Step")
    if not upload_id and not step:
        return None
    # With both, the id is what the sender meant; the legacy service drops it (F16).
    return Event(upload_id, Resume("" if upload_id else step, token), event_id)


def _elsewhere(envelope: Envelope, sequence: int) -> Event | None:
    """What the legacy service has published, which puts no mark on it."""
    fields = _fields(envelope)
    upload_id = _upload_id(envelope, fields, required=False)
    if not upload_id:
        return None  # an on-demand scan
    event: Input
    match envelope.event_type:
        case "events.StartPostprocessingStep":
            event = StartedElsewhere(_name(envelope, fields, "StepToStart"), sequence)
        case "events.PostprocessingFinished":
            event = FinishedElsewhere(_name(envelope, fields, "Outcome"), sequence)
        case _:
            event = RetriedElsewhere()
    return Event(upload_id, event)


def _clean(envelope: Envelope, now: Millis) -> Event:
    del now
    upload_id = _upload_id(envelope, _fields(envelope), required=True)
    return Event(upload_id, CleanUpload())


_READERS: dict[str, Callable[[Envelope, Millis], Event | None]] = {
    "events.BytesReceived": _bytes_received,
    "events.PostprocessingStepFinished": _step_finished,
    "events.UploadReady": _upload_ready,
    "events.ResumePostprocessing": _resume,
    "events.CleanUpload": _clean,
}
_OTHERS = frozenset(
    {"events.StartPostprocessingStep", "events.PostprocessingFinished", "events.PostprocessingRetry"}
)
"""Our own events, where another service has published them."""
