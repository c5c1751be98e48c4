"""A NATS client in memory, as far as the operator uses one."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from functools import partial
from typing import cast

import orjson
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import TimeoutError as NatsTimeoutError
from nats.js.api import (
    AckPolicy,
    ConsumerConfig,
    ConsumerInfo,
    RawStreamMsg,
    SequenceInfo,
    StreamConfig,
    StreamInfo,
    StreamState,
)
from nats.js.errors import APIError, NotFoundError, ServerError

from uploadpp.testing.host import SimulatedHost
from uploadpp.testing.stream import EPOCH, Consumer, Stream
from uploadpp.wire.stream import STREAM

REQUEST_SECONDS = 5.0
ACK_SEQUENCE = 5
PLAIN = "uploadpp."
"""What replicas say to each other, outside of the stream."""
PULL = f"$JS.API.CONSUMER.MSG.NEXT.{STREAM}."

Callback = Callable[[Msg], Awaitable[None]]


class Subscription:
    """Messages for one subject, handed over one after another."""

    def __init__(self, machine: SimulatedHost, callback: Callback) -> None:
        self._machine = machine
        self._callback = callback
        self._waiting: deque[Msg] = deque()
        self._busy = False
        self.closed = False
        self._received = 0

    def put(self, message: Msg) -> None:
        """A message has come."""
        if self.closed:
            return
        self._received += 1
        self._waiting.append(message)
        if not self._busy:
            self._busy = True
            self._machine.loop.create_task(self._work())

    async def _work(self) -> None:
        while self._waiting and not self.closed:
            await self._callback(self._waiting.popleft())
        self._busy = False

    async def unsubscribe(self, limit: int = 0) -> None:
        """No more messages; with a limit only later."""
        self.closed = not limit


class SimulatedClient:
    """The connection of one process. What is on its way when it breaks is lost."""

    def __init__(self, machine: SimulatedHost, stream: Stream) -> None:
        self._machine = machine
        self._stream = stream
        self._subscriptions: dict[str, Subscription] = {}
        self._inboxes = 0
        self._connection = 0
        self._out_at = 0.0
        self._in_at = 0.0
        self._buffer: list[Callable[[], None]] = []
        self.is_connected = True
        self.stats = {"reconnects": 0}
        self.max_payload = 1 << 20
        self.survives = True
        """Whether what the process has sent just before it dies still arrives."""
        self.was_cut_off = False
        """Whether something was on its way when the process died."""

    @property
    def is_closed(self) -> bool:
        """Once the process is dead."""
        return not self._machine.alive

    @property
    def stream(self) -> Stream:
        """The server's stream."""
        return self._stream

    @property
    def machine(self) -> SimulatedHost:
        """Where it runs."""
        return self._machine

    def as_client(self) -> Client:
        """The same for code that knows the real client."""
        return cast("Client", self)

    def jetstream(self) -> "JetStream":
        """The management of streams and consumers."""
        return JetStream(self)

    def new_inbox(self) -> str:
        """A fresh subject for answers."""
        self._inboxes += 1
        return f"_INBOX.{self._machine.name}.{self._inboxes}"

    async def subscribe(self, subject: str, *, cb: Callback, pending_bytes_limit: int = 0) -> Subscription:
        """Receive what is sent to a subject."""
        del pending_bytes_limit
        subscription = Subscription(self._machine, cb)
        self._subscriptions[subject.removesuffix(".*")] = subscription
        if subject.startswith(PLAIN):
            self._stream.plain.append(partial(self._hear, subject.removesuffix("*"), subscription))
        return subscription

    async def publish(
        self, subject: str, payload: bytes = b"", reply: str = "", headers: dict[str, str] | None = None
    ) -> None:
        """Send a message to the server."""
        if subject == STREAM:
            event_id = (headers or {}).get("Nats-Msg-Id", "")
            self._machine.boundary("before publishing")
            self._send(self._store, payload, event_id, reply)
            self._machine.boundary("after publishing")
        elif subject.startswith(PULL):
            self._send(self._pull, subject.removeprefix(PULL), payload, reply)
        elif subject.startswith("$JS.ACK."):
            self._machine.boundary("before acknowledging")
            tokens = subject.split(".")
            self._send(self._acknowledge, tokens[3], int(tokens[ACK_SEQUENCE]), reply)
            self._machine.boundary("after acknowledging")
        elif subject.startswith(PLAIN):
            if self.is_connected:
                self._machine.kernel.after(self._machine.lag, self._tell, subject, payload)
        else:
            raise ValueError(subject)

    async def flush(self) -> None:
        """Wait until the server has everything."""
        await self._machine.travel()
        await self._machine.travel()

    # -- faults ---------------------------------------------------------------------------

    def disconnect(self) -> None:
        """Lose the connection and whatever is on its way."""
        self.is_connected = False
        self._connection += 1
        for consumer in self._stream.consumers.values():
            consumer.pulls = [
                pull for pull in consumer.pulls if getattr(pull.send, "owner", None) is not self
            ]

    def reconnect(self) -> None:
        """Have it back; what was published meanwhile goes out now."""
        self.is_connected = True
        self.stats["reconnects"] += 1
        buffered, self._buffer = self._buffer, []
        for send in buffered:
            send()

    # -- the network ----------------------------------------------------------------------

    def _send(self, call: Callable[..., None], *args: object) -> None:
        """Towards the server, in order."""
        if not self._machine.alive:
            return
        if not self.is_connected:
            self._buffer.append(lambda: self._send(call, *args))
            return
        kernel = self._machine.kernel
        self._out_at = max(self._out_at, kernel.now + self._machine.delay())
        kernel.after(self._out_at - kernel.now, self._arrive, self._connection, call, args)

    def _arrive(self, connection: int, call: Callable[..., None], args: tuple[object, ...]) -> None:
        is_cut_off = connection == self._connection and not self._machine.alive
        self.was_cut_off |= is_cut_off
        if connection == self._connection and (not is_cut_off or self.survives):
            call(*args)
        elif call == self._store:
            self._stream.miss(cast("bytes", args[0]))

    def _receive(self, inbox: str, message: Msg, *, boundary: str = "") -> None:
        """Towards the process, in order."""
        kernel, machine = self._machine.kernel, self._machine
        if not self.is_connected or not machine.alive:
            return
        self._in_at = max(self._in_at, kernel.now + machine.delay())
        machine.loop.call_at(self._in_at, self._hand_over, self._connection, inbox, message, boundary)

    def _hand_over(self, connection: int, inbox: str, message: Msg, boundary: str) -> None:
        if connection != self._connection:
            return
        if boundary:
            try:
                self._machine.boundary(boundary)
            except asyncio.CancelledError:
                return
        subscription = self._subscriptions.get(inbox)
        if subscription is not None:
            subscription.put(message)

    # -- at the server --------------------------------------------------------------------

    def _store(self, payload: bytes, event_id: str, reply: str) -> None:
        sequence, duplicate = self._stream.append(payload, event_id)
        answer = orjson.dumps({"stream": STREAM, "seq": sequence, "duplicate": duplicate})
        message = Msg(self.as_client(), reply, "", answer)
        self._receive(reply.rpartition(".")[0], message, boundary="before the PubAck is seen")

    def _tell(self, subject: str, payload: bytes) -> None:
        for hear in self._stream.plain:
            hear(subject, payload)

    def _hear(self, prefix: str, subscription: Subscription, subject: str, payload: bytes) -> None:
        machine = self._machine
        if subject.startswith(prefix) and machine.alive and self.is_connected:
            message = Msg(self.as_client(), subject, "", payload)
            machine.loop.call_at(machine.kernel.now + machine.lag, subscription.put, message)

    def _acknowledge(self, consumer: str, sequence: int, reply: str) -> None:
        if self._stream.acknowledge(consumer, sequence):
            self._receive(reply.rpartition(".")[0], Msg(self.as_client(), reply, "", b""))

    def _pull(self, consumer: str, payload: bytes, reply: str) -> None:
        request = orjson.loads(payload)

        def send(ack: str, data: bytes, headers: dict[str, str]) -> None:
            subject = STREAM if ack else reply  # what is stored keeps the subject of the stream
            self._receive(reply, Msg(self.as_client(), subject, ack, data, headers or None))

        send.owner = self  # type: ignore[attr-defined]
        self._stream.pull(consumer, request["batch"], request["expires"] / 1e9, send)


class JetStream:
    """Requests about streams and consumers."""

    def __init__(self, client: SimulatedClient) -> None:
        self._client = client
        self._machine = client.machine
        self._stream = client.stream

    async def stream_info(self, name: str) -> StreamInfo:
        """The stream."""
        await self._request()
        stream = self._stream
        state = StreamState(len(stream.messages), 0, stream.first, stream.last, len(stream.consumers))
        await self._machine.travel()
        return StreamInfo(StreamConfig(name=name), state, created=stream.created)

    async def consumers_info(self, name: str, offset: int = 0) -> list[ConsumerInfo]:
        """The consumers."""
        del name
        await self._request()
        found = [self._info(consumer) for consumer in list(self._stream.consumers.values())[offset:]]
        await self._machine.travel()
        return found

    async def consumer_info(self, stream: str, name: str) -> ConsumerInfo:
        """One consumer."""
        del stream
        await self._request()
        consumer = self._stream.consumers.get(name)
        await self._machine.travel()
        if consumer is None:
            raise NotFoundError
        return self._info(consumer)

    async def add_consumer(self, stream: str, config: ConsumerConfig) -> ConsumerInfo:
        """Make a consumer."""
        del stream
        await self._request()
        others = self._stream.consumers.keys() - {config.name}
        if self._stream.places is not None and len(others) >= self._stream.places:
            await self._machine.travel()
            raise APIError(400, "maximum consumers limit reached", 10026)
        since = config.opt_start_time
        start = self._stream.since(since) if since else config.opt_start_seq
        made = self._stream.consumers.get(config.name or "")
        if made is None:
            made = self._stream.add_consumer(config.name or "", start or 1)
            text = f"made consumer {made.name} from {made.next_sequence}"
        elif made.asked == (start or 1):  # as NATS does: the position stays, the metadata is replaced
            text = f"found consumer {made.name} at {made.next_sequence}"
        else:
            await self._machine.travel()
            raise ServerError(500, "start sequence can not be updated", 10012)
        made.metadata = dict(config.metadata or {})
        info = self._info(made)
        self._machine.trace.add(self._machine.name, text)
        self._machine.boundary("after making its consumer")
        await self._machine.travel()
        return info

    async def get_msg(self, name: str, seq: int) -> RawStreamMsg:
        """One stored message."""
        await self._request()
        found = self._stream.get(seq)
        await self._machine.travel()
        if found is None:
            raise NotFoundError
        return RawStreamMsg(name, seq, found.data, time=_moment(found.at))

    async def delete_consumer(self, stream: str, name: str) -> bool:
        """Remove a consumer."""
        del stream
        if self._stream.places is not None:
            self._machine.boundary("before removing the old consumer")
        await self._request()
        if not self._stream.delete_consumer(name):
            raise NotFoundError
        self._machine.boundary("after removing the old consumer")
        await self._machine.travel()
        return True

    async def _request(self) -> None:
        if not self._client.is_connected:
            await asyncio.sleep(REQUEST_SECONDS)
            raise NatsTimeoutError
        await self._machine.travel()

    def _info(self, consumer: Consumer) -> ConsumerInfo:
        config = ConsumerConfig(name=consumer.name, metadata=consumer.metadata, ack_policy=AckPolicy.ALL)
        acked_at = None if consumer.acked_at is None else _moment(consumer.acked_at)
        return ConsumerInfo(
            consumer.name,
            STREAM,
            config,
            _moment(consumer.made_at),
            delivered=SequenceInfo(consumer.delivered, consumer.next_sequence - 1),
            ack_floor=SequenceInfo(consumer.delivered, consumer.floor, acked_at),
            num_pending=self._stream.pending(consumer),
            num_waiting=len(consumer.pulls),
            push_bound=consumer.bound,
        )


def _moment(at: float) -> datetime:
    return EPOCH + timedelta(seconds=at)
