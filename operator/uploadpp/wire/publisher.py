"""Publishing with acknowledgement: many in flight, each until the stream has it.

A publication is sent again only when it stays unanswered, always with the same
`Nats-Msg-Id`, and only once everything in the log has been read: had it arrived, it would
have come back to us by then (the server remembers ids for two minutes only).
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, field

import orjson
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import ConnectionClosedError, MaxPayloadError, OutboundBufferLimitError

from uploadpp.wire.encode import Outgoing
from uploadpp.wire.stream import STREAM

log = logging.getLogger(__name__)

RESEND_SECONDS = 5.0

OnStored = Callable[[int], None]
OnRefused = Callable[[str], None]


@dataclass(slots=True)
class _InFlight:
    outgoing: Outgoing
    on_stored: OnStored
    on_refused: OnRefused
    sent_at: float = field(default=0.0)


class Publisher:
    """Publishes to the stream; every publication ends in exactly one callback.

    `on_stored` gets the sequence in the stream; `on_refused` the reason why it can never
    be stored (larger than the server allows).
    """

    def __init__(self, client: Client, may_resend: Callable[[], bool]) -> None:
        self._client = client
        self._may_resend = may_resend
        self._inbox = client.new_inbox()
        self._in_flight: dict[str, _InFlight] = {}

    def __len__(self) -> int:
        return len(self._in_flight)

    async def start(self) -> None:
        """Begin to listen for acknowledgements."""
        await self._client.subscribe(f"{self._inbox}.*", cb=self._on_ack)

    async def publish(self, outgoing: Outgoing, on_stored: OnStored, on_refused: OnRefused) -> None:
        """Send a message; does not wait for its acknowledgement."""
        entry = _InFlight(outgoing, on_stored, on_refused)
        self._in_flight[outgoing.event_id] = entry
        await self._send(entry)

    def confirm(self, event_id: str, sequence: int) -> None:
        """The message was met in the log: it is stored, whatever became of its acknowledgement."""
        entry = self._in_flight.pop(event_id, None)
        if entry is not None:
            entry.on_stored(sequence)

    def forget(self) -> None:
        """Drop everything in flight: the owner is no longer one."""
        self._in_flight.clear()

    async def run(self) -> None:
        """Send again what stays unanswered, until cancelled."""
        while True:
            await asyncio.sleep(1)
            overdue = asyncio.get_running_loop().time() - RESEND_SECONDS
            late = [entry for entry in self._in_flight.values() if entry.sent_at < overdue]
            if not late or not self._may_resend():
                continue
            log.warning("publishing again what was not acknowledged", extra={"messages": len(late)})
            for entry in late:
                await self._send(entry)

    async def _send(self, entry: _InFlight) -> None:
        entry.sent_at = asyncio.get_running_loop().time()
        event_id = entry.outgoing.event_id
        try:
            await self._client.publish(
                STREAM,
                entry.outgoing.body,
                reply=f"{self._inbox}.{event_id}",
                headers={"Nats-Msg-Id": event_id},
            )
        except MaxPayloadError:
            self._in_flight.pop(event_id, None)
            entry.on_refused("the event is larger than the NATS server allows (max_payload)")
        except (ConnectionClosedError, OutboundBufferLimitError) as error:
            log.warning("not published yet: %s", type(error).__name__)  # run() tries again

    async def _on_ack(self, message: Msg) -> None:
        event_id = message.subject.rpartition(".")[2]
        try:
            answer = orjson.loads(message.data) if message.data else {}
        except orjson.JSONDecodeError:
            answer = {}
        sequence = answer.get("seq")
        if isinstance(sequence, int) and "error" not in answer:
            self.confirm(event_id, sequence)
        else:
            # No stream, no space, no responder: stays in flight, run() tries again.
            why = answer.get("error", {}).get("description") or (message.headers or {}).get("Status")
            log.warning("the stream did not take an event: %s", why)
