"""Events as the storage and the step services send them."""

import base64
import json
from typing import Any
from uuid import uuid4


def _event(kind: str, payload: dict[str, Any]) -> bytes:
    envelope = {
        "Timestamp": "2026-11-23T01:00:00Z",
        "Metadata": {"eventtype": f"events.{kind}", "eventid": str(uuid4())},
        "ID": str(uuid4()),
        "Topic": "main-queue",
        "Payload": base64.b64encode(json.dumps(payload).encode()).decode(),
    }
    return json.dumps(envelope).encode()


def receive(upload_id: str) -> bytes:
    """The storage has all bytes."""
    resource = {"space_id": "space", "opaque_id": "file"}
    user = {"id": {"opaque_id": "mary"}}
    size_and_place = {"Filename": "plan.pdf", "Filesize": 48213, "URL": "https://storage/data/some"}
    return _event(
        "BytesReceived",
        {"UploadID": upload_id, "ExecutingUser": user, "ResourceID": resource, **size_and_place},
    )


def answer(upload_id: str, step: str, outcome: str) -> bytes:
    """A step has an outcome."""
    return _event(
        "PostprocessingStepFinished",
        {"UploadID": upload_id, "FinishedStep": step, "Outcome": outcome, "Result": None, "Error": None},
    )


def ready(upload_id: str, *, failed: bool) -> bytes:
    """The storage has carried out the outcome."""
    return _event("UploadReady", {"UploadID": upload_id, "Failed": failed})
