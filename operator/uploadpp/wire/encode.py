"""Commands of the core to events on the wire: exactly the fields and order that the legacy service sends.

What came with BytesReceived is put back as the very text it was.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from uploadpp.core.commands import Command, Finish, ResumeStep, RetryNotice, StartStep
from uploadpp.core.model import Millis, Origin, Upload
from uploadpp.core.plan_text import Planned, planned_text, policy_text
from uploadpp.wire.envelope import MARK_KEY, PLAN_KEY, POLICY_KEY, encode_envelope
from uploadpp.wire.marks import POLICY_SIGNATURE_KEY, SIGNATURE_KEY, Marks
from uploadpp.wire.rawjson import go_string

LARGE = 16_384
"""Characters of a payload. What is larger is not kept until it is sent."""


class Outgoing(NamedTuple):
    """A message ready to be published; `event_id` is its `Nats-Msg-Id` too.

    `signature` is in the body: with it, and with no other, a message of that id is this one. A large body is
    made anew whenever it is asked for: after a replay those of all uploads wait at once.
    """

    event_id: str
    content: bytes | Callable[[], bytes]
    signature: bytes = b""

    def __repr__(self) -> str:
        """Only what may be in a log: the body holds the URL."""
        return f"Outgoing({self.event_id!r})"

    @property
    def body(self) -> bytes:
        """What is sent."""
        return self.content if isinstance(self.content, bytes) else self.content()


def encode(
    command: Command,
    upload_id: str,
    upload: Upload | None,
    now: Millis,
    traceparent: str | None = None,
    marks: Marks | None = None,
) -> Outgoing:
    """The event for a command; `upload` is None only when the storage is asked about an unknown id.

    `traceparent` is the upload's own unless we trace it. Without `marks` it is not signed.
    """
    origin = upload.origin if upload else Origin()
    quoted_id = go_string(upload_id)
    event_type, payload = _event(command, quoted_id, origin, now)
    trace = origin.traceparent if traceparent is None else traceparent
    metadata = {"traceparent": trace, "initiatorid": origin.initiator_id}
    if origin.extra_info is not None:
        metadata["extrainfo"] = origin.extra_info
    event_id, mark, plan = command.mark.event_id(upload_id), command.mark.encode(), ""
    metadata[MARK_KEY] = mark
    if isinstance(command, ResumeStep):
        upload_id, plan = "", command.step  # it is for all uploads in a step
    elif upload is not None:
        plan = metadata[PLAN_KEY] = planned_text(Planned(upload.plan, upload.left_out_by_restart))
    signature = ""
    if marks is not None:
        signature = metadata[SIGNATURE_KEY] = marks.sign(event_type, upload_id, mark, plan)
    if upload_id and upload is not None and upload.policy is not None:
        ruled = metadata[POLICY_KEY] = policy_text(upload.policy, upload)
        if marks is not None:
            metadata[POLICY_SIGNATURE_KEY] = marks.sign(event_type, upload_id, mark, plan, ruled)
    if len(payload) > LARGE:
        make = partial(_make, command, quoted_id, origin, now, event_id, metadata)
        return Outgoing(event_id, make, signature.encode())
    return Outgoing(
        event_id, encode_envelope(event_type, event_id, payload, metadata, now), signature.encode()
    )


def _make(
    command: Command, quoted_id: str, origin: Origin, now: Millis, event_id: str, metadata: dict[str, str]
) -> bytes:
    event_type, payload = _event(command, quoted_id, origin, now)
    return encode_envelope(event_type, event_id, payload, metadata, now)


def _event(command: Command, upload_id: str, origin: Origin, now: Millis) -> tuple[str, str]:
    if isinstance(command, StartStep):
        return "events.StartPostprocessingStep", (
            f'{{"UploadID":{upload_id},"URL":{origin.url},"ExecutingUser":{origin.executing_user},'
            f'"Filename":{origin.filename},"Filesize":{origin.filesize},"Token":"",'
            f'"ResourceID":{origin.resource_id},"RevaToken":"","StepToStart":{go_string(command.mark.detail)},'
            f'"Timestamp":null,"ImpersonatingUser":{origin.impersonating_user}}}'
        )
    if isinstance(command, Finish):
        # ResourceID is what ocis 8 adds; older services ignore it.
        return "events.PostprocessingFinished", (
            f'{{"UploadID":{upload_id},"Filename":{origin.filename},"SpaceOwner":null,'
            f'"ExecutingUser":{origin.executing_user},"ResourceID":{origin.resource_id},"Result":null,'
            f'"Outcome":{go_string(command.outcome)},"Timestamp":null,'
            f'"ImpersonatingUser":{origin.impersonating_user}}}'
        )
    if isinstance(command, RetryNotice):
        return "events.PostprocessingRetry", (
            f'{{"UploadID":{upload_id},"Filename":{origin.filename},"ExecutingUser":{origin.executing_user},'
            f'"Failures":{command.failures},"BackoffDuration":{command.backoff * 1_000_000}}}'
        )
    seconds, nanos = now // 1000, now % 1000 * 1_000_000
    stamp = f'{{"seconds":{seconds}' + (f',"nanos":{nanos}}}' if nanos else "}")
    if isinstance(command, ResumeStep):
        text = f'{{"UploadID":"","Step":{go_string(command.step)},"Timestamp":{stamp}}}'
        return "events.ResumePostprocessing", text
    return "events.RestartPostprocessing", f'{{"UploadID":{upload_id},"Timestamp":{stamp}}}'
