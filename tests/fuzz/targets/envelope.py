"""The envelope around every event of the stream, and its payload."""

import json

from tests.fuzz.target import Target
from uploadpp.wire.envelope import BadMessageError, Envelope, decode_envelope, encode_envelope
from uploadpp.wire.rawjson import go_json, is_plain, loads, raw_members

NOW = 1_795_000_000_123


def read(data: bytes) -> Envelope | None:
    """The envelope; None where it cannot be understood."""
    try:
        return decode_envelope(data)
    except BadMessageError:
        return None


def check(data: bytes) -> None:
    """Fail if something does not hold."""
    envelope = read(data)
    assert envelope == read(data)
    if envelope is None:
        return
    try:
        text = envelope.payload_text()
    except BadMessageError:
        return
    assert len(text) <= len(data)
    check_again(envelope, text)
    check_members(text)


def check_again(envelope: Envelope, text: str) -> None:
    """What we write of it is read as what it was."""
    metadata = {
        name: value
        for name, value in envelope.metadata.items()
        if is_plain(name) and name not in {"eventtype", "eventid"}
    }
    event_type = envelope.event_type if is_plain(envelope.event_type) else "events.Odd"
    again = decode_envelope(encode_envelope(event_type, "id", text, metadata, NOW))
    assert again.event_type == event_type
    assert again.payload_text() == text
    assert again.metadata == {"eventtype": event_type, "eventid": "id", **metadata}


def check_members(text: str) -> None:
    """Each member of the payload, cut out of its text, is what a whole reading finds."""
    try:
        members = raw_members(text)
    except ValueError:
        return
    whole = {name.lower(): value for name, value in loads(text).items()}
    if len(whole) < len(names_in(text)):
        return  # of equal names the last one counts, and these cannot tell which one that is
    assert {name: loads(raw) for name, (raw, _) in members.items()} == whole
    again = raw_members(go_json(whole))
    assert {name: loads(raw) for name, (raw, _) in again.items()} == whole


def names_in(text: str) -> list[str]:
    """The names of its members, as often as they are there."""
    try:
        found = json.loads(text, object_pairs_hook=lambda pairs: [name for name, _ in pairs])
    except RecursionError:
        return []
    return found if isinstance(found, list) else []


TARGET = Target(check, is_json=True, longest=4096)
