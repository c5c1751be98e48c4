"""Messages as text, the way other services put them on the stream; shared by tests of the wire."""

import json
from base64 import b64encode

UPLOAD = "7d1f0c52-6c0b-4a7e-9a5e-2f3f1f0c9d11"


def message(event_type: str, payload: str | bytes, **metadata: object) -> bytes:
    """An envelope around a payload that is given as text, valid or not."""
    body = payload if isinstance(payload, bytes) else payload.encode()
    envelope = {
        "Timestamp": "2026-10-02T08:15:30.120045001+02:00",
        "Metadata": {"eventid": "e-1", "eventtype": f"events.{event_type}", **metadata},
        "ID": "0f1de0de-3c3b-4f0c-9c60-7e0f7f5b0000",
        "Topic": "main-queue",
        "Payload": b64encode(body).decode(),
    }
    return json.dumps(envelope).encode()


def arrival(**members: str) -> str:
    """A BytesReceived payload with some members given as JSON text."""
    texts = {
        "UploadID": f'"{UPLOAD}"',
        "SpaceOwner": "null",
        "ExecutingUser": '{"id":{"opaque_id":"mary"}}',
        "ResourceID": '{"space_id":"s-1","opaque_id":"o-1"}',
        "Filename": '"plan.pdf"',
        "Filesize": "48213",
        "URL": '"https://storage.test/data/1"',
        "Timestamp": "null",
        "ImpersonatingUser": "null",
        **members,
    }
    return "{" + ",".join(f'"{name}":{text}' for name, text in texts.items()) + "}"
