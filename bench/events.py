"""Events for the load, made and read with as little work as possible: the load must not be the limit.

Only what the bench itself and the operator put on the stream is read here, so looking for
bytes instead of decoding JSON is safe.
"""

import re
from base64 import b64decode

from uploadpp.testing import events
from uploadpp.testing.events import new_message

_TYPE = re.compile(rb'"eventtype":"events\.(\w+)"')
_PAYLOAD = re.compile(rb'"Payload":"([^"]*)"')
_ID = re.compile(rb'"UploadID":"([^"]*)"')
_STEP = re.compile(rb'"StepToStart":"([^"]*)"')
_OUTCOME = re.compile(rb'"Outcome":"([^"]*)"')
_USER = {
    "id": {
        "idp": "https://idp.example.test",
        "opaque_id": "4c510ada-c86b-4815-8820-42cdf82c3d51",
        "type": 1,
    },
    "username": "einstein",
    "mail": "einstein@example.org",
    "display_name": "Albert Einstein",
    "opaque": {"map": {"roles": {"decoder": "plain", "value": "WyJ1c2VyIl0="}}},
}


def kind_of(message: bytes) -> bytes:
    """The type of an event, without its package."""
    found = _TYPE.search(message)
    return found[1] if found else b""


def upload_of(message: bytes) -> tuple[str, str]:
    """Upload id and step (empty unless a step is started) of an event."""
    found = _PAYLOAD.search(message)
    payload = b64decode(found[1]) if found else b""
    upload, step = _ID.search(payload), _STEP.search(payload)
    return (upload[1].decode() if upload else "", step[1].decode() if step else "")


def outcome_of(message: bytes) -> str:
    """The outcome of a PostprocessingFinished."""
    found = _PAYLOAD.search(message)
    outcome = _OUTCOME.search(b64decode(found[1]) if found else b"")
    return outcome[1].decode() if outcome else ""


def bytes_received(upload_id: str) -> bytes:
    """An upload of the size that real ones have: user, resource id, a URL with a token."""
    jwt = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJleHAiOjQxMDI0NDQ4MDB9.c2lnbmF0dXJlc2lnbmF0dXJlc2lnbmF0dXJl"
    url = f"https://localhost:9200/data/{jwt}"
    payload = events.bytes_received(upload_id, ExecutingUser=_USER, Filename="plan.pdf", URL=url)
    return new_message("BytesReceived", payload)


def step_finished(upload_id: str, step: str, outcome: str) -> bytes:
    """A step's answer."""
    about = {"ExecutingUser": _USER, "Filename": "plan.pdf", "Timestamp": None}
    payload = events.step_finished(upload_id, step, outcome, **about)
    return new_message("PostprocessingStepFinished", payload)


def upload_ready(upload_id: str) -> bytes:
    """The storage's answer."""
    return new_message("UploadReady", events.upload_ready(upload_id, ExecutingUser=_USER))


def start_step(upload_id: str, step: str) -> bytes:
    """What the bare responder sends in the operator's place."""
    about = {"URL": "", "ExecutingUser": _USER, "Filename": "plan.pdf", "Filesize": 48213}
    return new_message("StartPostprocessingStep", events.start_step(upload_id, step, **about))


def finished(upload_id: str) -> bytes:
    """What the bare responder sends at the end."""
    payload = events.finished(upload_id, "continue", ExecutingUser=_USER)
    return new_message("PostprocessingFinished", payload)
