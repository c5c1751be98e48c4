"""Publishing with acknowledgement: many in flight, each until the stream has it.

A publication is sent again only when it stays unanswered, with the same `Nats-Msg-Id`, and
only once everything in the log has been read: had it arrived, it would have come back to us
by then (the server remembers ids for two minutes only). When the stream reports a duplicate,
that proves nothing: somebody else may have published a message under this id.
"""

import asyncio
import contextlib
import logging
import secrets
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import orjson
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import ConnectionClosedError, ConnectionDrainingError, OutboundBufferLimitError
from nats.errors import Error as NatsError
from nats.js.errors import NotFoundError

from uploadpp.core.text import clean
from uploadpp.wire.creation import no_answers
from uploadpp.wire.encode import Outgoing
from uploadpp.wire.stream import STREAM
from uploadpp.wire.stream_message import AGAIN, MESSAGE_ID

log = logging.getLogger(__name__)

RESEND_SECONDS = 5.0
MAX_WORDS = 256
TOO_LARGE = 10054
"""The stream takes no message of this size (`max_msg_size`), now or later."""
NOBODY = (
    f"no stream stores messages on the subject {STREAM} (503): its servers elect a leader, or the stream is "
    "a mirror or has other subjects"
)
HEADER_BYTES = 80
"""For `Nats-Msg-Id`. The server counts it, the client does not. A client over the limit is disconnected."""

OnStored = Callable[[int], None]
OnRefused = Callable[[str], None]
Guard = Callable[[], Awaitable[None]]


@dataclass(slots=True)
class _InFlight:
    outgoing: Outgoing
    on_stored: OnStored
    on_refused: OnRefused
    sent_at: float = field(default=0.0)
    message_id: str = ""
    """The `Nats-Msg-Id` to send it under when somebody has taken its own; empty for its own."""
    taken_by: int = 0
    """The sequence of the message that the stream already has under this id; 0 when it reported none."""
    others: tuple[tuple[OnStored, OnRefused], ...] = ()
    """The callbacks of those who published the same event while it was on its way."""

    def tell_also(self, on_stored: OnStored, on_refused: OnRefused) -> None:
        """Somebody else waits for the event as well."""
        self.others = (*self.others, (on_stored, on_refused))

    def stored(self, sequence: int) -> None:
        """The stream has it."""
        self.on_stored(sequence)
        for on_stored, _ in self.others:
            on_stored(sequence)

    def refused(self, why: str) -> None:
        """It can never be stored."""
        self.on_refused(why)
        for _, on_refused in self.others:
            on_refused(why)


class Publisher:
    """Publishes to the stream, in order; every publication ends in exactly one callback.

    `on_stored` gets the sequence in the stream; `on_refused` the reason why it can never
    be stored (larger than the server allows). `guard` is awaited before anything is sent
    and raises when we may no longer act.
    """

    def __init__(self, client: Client, guard: Guard, may_resend: Callable[[], bool]) -> None:
        self._client = client
        self._guard = guard
        self._may_resend = may_resend
        self._queue: deque[_InFlight] = deque()
        self._wake = asyncio.Event()
        self._inbox = client.new_inbox()
        self._in_flight: dict[str, _InFlight] = {}
        self._stored_at: float | None = None
        self._only_met = 0
        """Events that the log has shown to be stored since the stream last answered one."""
        self._no_answers = ""
        self._refusal = ""

    def __len__(self) -> int:
        return len(self._in_flight)

    @property
    def problem(self) -> str:
        """Why the stream did not take our last event, or does not say so; empty when it did."""
        return self._no_answers or self._refusal

    @property
    def stored_ago(self) -> float | None:
        """Seconds since the stream last took an event; None before the first."""
        at = self._stored_at
        return None if at is None else asyncio.get_running_loop().time() - at

    def publish(self, outgoing: Outgoing, on_stored: OnStored, on_refused: OnRefused) -> None:
        """Queue a message; it is sent by `run`. One that is on its way already is not sent a second time."""
        known = self._in_flight.get(outgoing.event_id)
        if known is not None:
            known.tell_also(on_stored, on_refused)
            return
        entry = self._in_flight[outgoing.event_id] = _InFlight(outgoing, on_stored, on_refused)
        self._queue.append(entry)
        self._wake.set()

    def confirm(self, event_id: str, sequence: int) -> None:
        """The message was met in the log: it is stored, whatever became of its acknowledgement."""
        entry = self._in_flight.pop(event_id, None)
        if entry is not None:
            self._only_met += 1
            entry.stored(sequence)

    async def run(self) -> None:
        """Send what is queued, until cancelled.

        Raises:
            Exception: whatever the guard raises.
        """
        subscription = await self._client.subscribe(f"{self._inbox}.*", cb=self._on_ack)
        try:
            while True:
                await self._wake.wait()
                self._wake.clear()
                await self.send_queued()
        finally:
            if not self._client.is_closed:
                await subscription.unsubscribe()

    async def send_queued(self) -> None:
        """Send what is queued now: sooner than `run`, whose turn has to come first.

        Raises:
            Exception: whatever the guard raises.
        """
        while self._queue:
            await self._guard()
            if self._queue:  # or the other of the two was faster
                await self._send(self._queue.popleft())

    async def run_resends(self) -> None:
        """Send again what stays unanswered, until cancelled."""
        await self._look()
        while True:
            await asyncio.sleep(1)
            if self._only_met or self._no_answers:
                await self._look()
            await self._resend_late()

    async def _resend_late(self) -> None:
        overdue = asyncio.get_running_loop().time() - RESEND_SECONDS
        late = [entry for entry in self._in_flight.values() if 0 < entry.sent_at < overdue]
        if not late or not self._may_resend():
            return
        for entry in late:
            await self._judge_duplicate(entry)
        late = [entry for entry in late if entry.outgoing.event_id in self._in_flight]
        if late:
            log.warning("publishing unacknowledged messages again", extra={"messages": len(late)})
            self._queue.extend(late)
            self._wake.set()

    async def _look(self) -> None:
        """Check whether the stream answers at all. If it does not, only the log shows what it has."""
        known, self._only_met = self._no_answers, 0
        with contextlib.suppress(NatsError, TimeoutError):
            self._no_answers = await no_answers(self._client.jetstream(), STREAM)
        if self._no_answers and self._no_answers != known:
            log.warning(self._no_answers)

    async def _judge_duplicate(self, entry: _InFlight) -> None:
        """The stream has a message of this id, and the log has not shown it to be this event.

        Anybody can compute our ids, so the message may be somebody else's. If the stream no longer has it, it
        may have been this event: the event then counts as published, because it must not be sent twice.
        """
        sequence, entry.taken_by = entry.taken_by, 0
        if not sequence:
            return
        event_id = entry.outgoing.event_id
        try:
            found = await self._client.jetstream().get_msg(STREAM, seq=sequence)
        except NotFoundError:
            self.confirm(event_id, sequence)
        except (NatsError, TimeoutError):
            return  # the answer to the next repetition says it again
        else:
            if entry.outgoing.signature in (found.data or b""):
                self.confirm(event_id, sequence)
                return
            entry.message_id = f"{event_id}{AGAIN}{secrets.token_hex(8)}"
            log.warning(
                "message %d has the id of an event of the operator, which the stream therefore dropped; "
                "publishing the event under another id",
                sequence,
            )

    async def _send(self, entry: _InFlight) -> None:
        event_id = entry.outgoing.event_id
        if event_id not in self._in_flight:
            return  # met in the log meanwhile
        body = entry.outgoing.body
        if len(body) + HEADER_BYTES > self._client.max_payload:
            self._in_flight.pop(event_id, None)
            entry.refused("the event is larger than the NATS server allows (max_payload)")
            return
        entry.sent_at = asyncio.get_running_loop().time()
        try:
            await self._client.publish(
                STREAM,
                body,
                reply=f"{self._inbox}.{event_id}",
                headers={MESSAGE_ID: entry.message_id or event_id},
            )
        except (ConnectionClosedError, ConnectionDrainingError, OutboundBufferLimitError, OSError) as error:
            log.warning("not published, retrying: %s", type(error).__name__)  # run_resends() tries again
        except Exception as error:  # noqa: BLE001 -- one event never keeps those of other uploads from going out
            self._in_flight.pop(event_id, None)
            entry.refused(f"the event cannot be sent: {type(error).__name__}")

    async def _on_ack(self, message: Msg) -> None:
        event_id = message.subject.rpartition(".")[2]
        try:
            answer = orjson.loads(message.data) if message.data else {}
        except orjson.JSONDecodeError:
            answer = {}
        answer = answer if isinstance(answer, dict) else {}
        sequence = answer.get("seq")
        if type(sequence) is int and 0 < sequence < 2**63 and "error" not in answer:
            self._refusal, self._stored_at = "", asyncio.get_running_loop().time()
            if answer.get("duplicate") and (entry := self._in_flight.get(event_id)):
                entry.taken_by = sequence  # if it is ours, the log shows it
            else:
                self.confirm(event_id, sequence)
            self._only_met = 0
        else:
            # No stream, no space, no responder: stays in flight, run_resends() tries again.
            error = answer.get("error")
            error = error if isinstance(error, dict) else {}
            status = (message.headers or {}).get("Status")
            why = clean(str(error.get("description") or (NOBODY if status == "503" else status)), MAX_WORDS)
            if error.get("err_code") == TOO_LARGE and (entry := self._in_flight.pop(event_id, None)):
                entry.refused(f"the stream does not accept an event of this size (max_msg_size): {why}")
                return
            self._refusal = f"the stream rejected an event: {why}"
            log.warning(self._refusal)
