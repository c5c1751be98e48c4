"""Messages as the storage, the steps and the legacy service put them on the stream, for every harness.

It shares no code with `wire`: a mistake there shows up in the tests. `e2e/demo` writes its own on purpose.
"""

import json
from base64 import b64encode
from collections.abc import Mapping
from typing import Any
from uuid import uuid4

import orjson

STREAM = "main-queue"
UPLOAD = "7d1f0c52-6c0b-4a7e-9a5e-2f3f1f0c9d11"
USER = {"id": {"idp": "https://idp.test", "opaque_id": "u-1", "type": 1}, "username": "mary"}

Payload = dict[str, Any]


def message(event_type: str, payload: str | bytes | Mapping[str, object], **metadata: object) -> bytes:
    """An envelope around a payload, which may be given as text, valid or not; its id is always the same."""
    if isinstance(payload, str):
        body = payload.encode()
    else:
        body = payload if isinstance(payload, bytes) else orjson.dumps(payload)
    metadata = {"eventid": "e-1", "eventtype": f"events.{event_type}", **metadata}
    # Not orjson, which refuses half of a surrogate pair: text that tests send on purpose.
    about = json.dumps(metadata, separators=(",", ":"))
    head = (
        f'{{"Timestamp":"2026-10-02T08:15:30.120045001+02:00","Metadata":{about},'
        f'"ID":"0f1de0de-3c3b-4f0c-9c60-7e0f7f5b0000","Topic":"{STREAM}","Payload":"'
    )
    return head.encode() + b64encode(body) + b'"}'


def new_message(event_type: str, payload: str | bytes | Mapping[str, object], **metadata: object) -> bytes:
    """A message with an id of its own, as a service publishes it."""
    context = {"initiatorid": "web-1", "traceparent": ""} | metadata
    return message(event_type, payload, **{"eventid": str(uuid4()), **context})


def bytes_received(upload_id: str, **members: object) -> Payload:
    """The storage has all bytes of an upload."""
    return {
        "UploadID": upload_id,
        "SpaceOwner": None,
        "ExecutingUser": USER,
        "ResourceID": {"space_id": "s-1", "opaque_id": f"node-{upload_id}"},
        "Filename": f"{upload_id}.pdf",
        "Filesize": 48213,
        "URL": f"https://storage.test/data/{upload_id}",
        "Timestamp": None,
        "ImpersonatingUser": None,
        **members,
    }


def start_step(upload_id: str, step: str, **members: object) -> Payload:
    """A step is to work on an upload."""
    return {"UploadID": upload_id, "StepToStart": step, **members}


def step_finished(upload_id: str, step: str, outcome: str, **members: object) -> Payload:
    """A step has an outcome."""
    answer = {"UploadID": upload_id, "FinishedStep": step, "Outcome": outcome}
    return {**answer, "Result": None, "Error": None, **members}


def finished(upload_id: str, outcome: str, **members: object) -> Payload:
    """All steps of an upload are done: the storage is to act on the outcome."""
    return {"UploadID": upload_id, "Outcome": outcome, **members}


def upload_ready(upload_id: str, *, failed: bool = False, **members: object) -> Payload:
    """The storage has acted on the outcome."""
    return {"UploadID": upload_id, "Failed": failed, **members}


def resume(upload_id: str = "", step: str = "") -> Payload:
    """One upload, or all in a step, are to go on."""
    return {"UploadID": upload_id, "Step": step}


def arrival(**members: str) -> str:
    """The text of a BytesReceived payload, with some members given as JSON text, valid or not."""
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
