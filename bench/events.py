"""Events for the load, made and read with as little work as possible: the load must not be the limit.

Only what the bench itself and the operator put on the stream is read here, so looking for
bytes instead of decoding JSON is safe.
"""

import re
from base64 import b64decode, b64encode
from uuid import uuid4

STREAM = "main-queue"
_TYPE = re.compile(rb'"eventtype":"events\.(\w+)"')
_PAYLOAD = re.compile(rb'"Payload":"([^"]*)"')
_ID = re.compile(rb'"UploadID":"([^"]*)"')
_STEP = re.compile(rb'"StepToStart":"([^"]*)"')
_USER = (
    '{"id":{"idp":"https://idp.example.test","opaque_id":"4c510ada-c86b-4815-8820-42cdf82c3d51","type":1},'
    '"username":"einstein","mail":"einstein@example.org","display_name":"Albert Einstein",'
    '"opaque":{"map":{"roles":{"decoder":"plain","value":"WyJ1c2VyIl0="}}}}'
)


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


def _event(kind: str, payload: str) -> bytes:
    return (
        (
            f'{{"Timestamp":"2026-10-02T08:15:30Z","Metadata":{{"eventtype":"events.{kind}","eventid":"{uuid4()}",'
            f'"initiatorid":"web-41c2","traceparent":""}},"ID":"{uuid4()}","Topic":"main-queue","Payload":"'
        ).encode()
        + b64encode(payload.encode())
        + b'"}'
    )


def bytes_received(upload_id: str) -> bytes:
    """An upload of the size that real ones have: user, resource id, a URL with a token."""
    jwt = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJleHAiOjQxMDI0NDQ4MDB9.c2lnbmF0dXJlc2lnbmF0dXJlc2lnbmF0dXJl"
    return _event(
        "BytesReceived",
        f'{{"UploadID":"{upload_id}","SpaceOwner":null,"ExecutingUser":{_USER},"ResourceID":{{"space_id":"s-1",'
        f'"opaque_id":"n-{upload_id}"}},"Filename":"plan.pdf","Filesize":48213,'
        f'"URL":"https://localhost:9200/data/{jwt}","Timestamp":null,"ImpersonatingUser":null}}',
    )


def step_finished(upload_id: str, step: str, outcome: str) -> bytes:
    """A step's answer."""
    return _event(
        "PostprocessingStepFinished",
        f'{{"UploadID":"{upload_id}","ExecutingUser":{_USER},"Filename":"plan.pdf","FinishedStep":"{step}",'
        f'"Result":null,"Error":null,"Outcome":"{outcome}","Timestamp":null}}',
    )


def upload_ready(upload_id: str) -> bytes:
    """The storage's answer."""
    return _event("UploadReady", f'{{"UploadID":"{upload_id}","ExecutingUser":{_USER},"Failed":false}}')


def start_step(upload_id: str, step: str) -> bytes:
    """What the bare responder sends in the operator's place."""
    return _event(
        "StartPostprocessingStep",
        f'{{"UploadID":"{upload_id}","URL":"","ExecutingUser":{_USER},"Filename":"plan.pdf","Filesize":48213,'
        f'"StepToStart":"{step}"}}',
    )


def finished(upload_id: str) -> bytes:
    """What the bare responder sends at the end."""
    return _event(
        "PostprocessingFinished",
        f'{{"UploadID":"{upload_id}","ExecutingUser":{_USER},"Outcome":"continue"}}',
    )
