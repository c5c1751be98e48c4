"""The public event contract of ocis and OpenCloud, as the author of a service would write it down.

It shares no code with the operator on purpose: a mistake in one of them shows up here.
"""

import base64
import json
import logging
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.js import JetStreamContext
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy
from nats.js.errors import BadRequestError, NotFoundError

STREAM = "main-queue"
"""The one stream, and its one subject, that carries every event of the product."""

PATIENCE_SECONDS = 60.0
"""How long a busy machine may take for an answer of NATS."""
NOBODY: Mapping[str, str] = {}
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Event:
    """One message of the stream, decoded."""

    type: str
    payload: dict[str, Any]
    metadata: dict[str, str] = field(default_factory=dict)

    @property
    def upload_id(self) -> str:
        """Whose event it is; empty when it belongs to no upload."""
        return str(self.payload.get("UploadID") or "")

    @property
    def id(self) -> str:
        """The id under which the event is known, also when it is delivered twice."""
        return self.metadata.get("eventid", "")

    def context(self) -> dict[str, str]:
        """The metadata an answer carries on."""
        return {k: v for k, v in self.metadata.items() if k in {"initiatorid", "extrainfo", "traceparent"}}


def go_json(value: object) -> str:
    """JSON as Go writes it: compact, with the characters escaped that mean something in HTML."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    for char in "<>&\u2028\u2029":
        text = text.replace(char, f"\\u{ord(char):04x}")
    return text


def encode(kind: str, payload: Mapping[str, Any], context: Mapping[str, str] = NOBODY) -> bytes:
    """A go-micro event around a payload."""
    metadata = {
        "initiatorid": "",
        "traceparent": "",
        **context,
        "eventid": str(uuid.uuid4()),
        "eventtype": f"events.{kind}",
    }
    envelope = {
        "Timestamp": datetime.now(UTC).isoformat(),
        "Metadata": dict(sorted(metadata.items())),
        "ID": str(uuid.uuid4()),
        "Topic": STREAM,
        "Payload": base64.b64encode(go_json(payload).encode()).decode(),
    }
    return go_json(envelope).encode()


def decode(data: bytes) -> Event | None:
    """The event in a message; None for what is not one, as every service ignores what it cannot read."""
    with suppress(ValueError, KeyError, TypeError, AttributeError):
        envelope = json.loads(data)
        metadata = envelope["Metadata"]
        payload = json.loads(base64.b64decode(envelope["Payload"], validate=True))
        if isinstance(payload, dict):
            return Event(metadata["eventtype"].removeprefix("events."), payload, metadata)
    return None


async def publish(
    js: JetStreamContext, kind: str, payload: Mapping[str, Any], context: Mapping[str, str] = NOBODY
) -> None:
    """Publish an event and wait until the stream has it."""
    await js.publish(STREAM, encode(kind, payload, context))


async def ensure_stream(js: JetStreamContext) -> None:
    """Create the stream when it is missing, with nothing but its name; never change one that exists."""
    try:
        await js.stream_info(STREAM)
    except NotFoundError:
        try:
            await js.add_stream(name=STREAM)
        except BadRequestError:
            await js.stream_info(STREAM)  # another service was faster, and configures it otherwise


async def consume(
    js: JetStreamContext, group: str, handle: Callable[[Event], Awaitable[None]]
) -> Subscription:
    """Give every new event to `handle`, one after another, and acknowledge it afterwards.

    All processes of one group share the work through one durable consumer. An event whose handling
    fails is delivered again after the server's 30 seconds.
    """
    await ensure_stream(js)

    async def take(message: Msg) -> None:
        event = decode(message.data)
        try:
            if event is not None:
                await handle(event)
        except Exception:  # noqa: BLE001  # the next delivery may find what was missing
            _log.exception("%s could not handle an event", group)
        else:
            await message.ack()

    config = ConsumerConfig(deliver_policy=DeliverPolicy.NEW, ack_policy=AckPolicy.EXPLICIT)
    return await js.subscribe(STREAM, queue=group, stream=STREAM, cb=take, manual_ack=True, config=config)


async def stored(js: JetStreamContext) -> AsyncIterator[Msg]:
    """Every message that the stream holds now, in order."""
    last = (await js.stream_info(STREAM)).state.last_seq
    config = ConsumerConfig(
        deliver_policy=DeliverPolicy.ALL, ack_policy=AckPolicy.NONE, inactive_threshold=PATIENCE_SECONDS
    )
    reader = await js.pull_subscribe(STREAM, stream=STREAM, config=config)
    position = 0
    while position < last:
        for message in await reader.fetch(256, timeout=PATIENCE_SECONDS):
            position = message.metadata.sequence.stream
            yield message
    await reader.unsubscribe()


async def read_all(js: JetStreamContext) -> list[Event]:
    """Every event that the stream holds now, in order."""
    return [event async for message in stored(js) if (event := decode(message.data)) is not None]
