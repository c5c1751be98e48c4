"""A stream of JetStream in memory: one order, duplicate window, durable pull consumers.

It plays what the server does as far as the operator relies on it: positions, deduplication
by `Nats-Msg-Id`, AckPolicy ALL, redelivery, consumers that disappear, and the ways a server
forgets (a lost tail, a stream made anew).
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from uploadpp.testing.virtual_loop import VirtualScheduler

EPOCH = datetime(2026, 10, 2, 8, 0, tzinfo=UTC)
DEDUPLICATION_SECONDS = 120.0
HEARTBEAT_SECONDS = 3.0


def millis(seconds: float) -> int:
    """The wall clock of the world in ms."""
    return int(EPOCH.timestamp() * 1000) + int(seconds * 1000)


@dataclass(frozen=True, slots=True)
class Message:
    """A message as it is stored."""

    sequence: int
    at: float
    data: bytes
    event_id: str


@dataclass(slots=True)
class Pull:
    """What a client asked for and did not get yet."""

    left: int
    expires: float
    send: Callable[[str, bytes, dict[str, str]], None]


@dataclass(slots=True)
class Consumer:
    """A durable pull consumer with AckPolicy ALL."""

    name: str
    next_sequence: int
    floor: int
    delivered: int = 0
    asked: int = 0
    """The start sequence that was requested; the stream may have removed that message already."""
    pulls: list[Pull] = field(default_factory=list)
    made_at: float = 0.0
    heard_at: float = 0.0
    acked_at: float | None = None
    metadata: dict[str, str] = field(default_factory=dict)
    bound: bool = False
    """Whether a service that is pushed its messages is connected."""


class Stream:
    """The stream `main-queue` and its consumers."""

    def __init__(self, kernel: VirtualScheduler) -> None:
        self._kernel = kernel
        self.created = EPOCH
        self.messages: list[Message] = []
        self.first = 1
        self.consumers: dict[str, Consumer] = {}
        self.places: int | None = None
        """How many consumers there may be."""
        self.lost = False
        """Whether messages were ever lost."""
        self._ids: dict[str, Message] = {}
        self.on_append: list[Callable[[Message], None]] = []
        self.on_ack: list[Callable[[str, int, int], None]] = []
        self.on_missed: list[Callable[[bytes], None]] = []
        """Who hears of messages that broke off on their way here, with the connection that carried them."""
        self.plain: list[Callable[[str, bytes], None]] = []
        """Who hears what is said outside of the stream."""
        self._beat_due = False

    @property
    def incarnation(self) -> str:
        """How the operator calls this incarnation of the stream."""
        return f"main-queue@{self.created.strftime('%Y%m%dT%H%M%S.%f')}"

    @property
    def last(self) -> int:
        """The sequence of the newest message."""
        return self.first + len(self.messages) - 1

    def append(self, data: bytes, event_id: str = "") -> tuple[int, bool]:
        """Store a message; tells its sequence, and whether it was there already."""
        now = self._kernel.now
        known = self._ids.get(event_id) if event_id else None
        if known is not None and now - known.at < DEDUPLICATION_SECONDS:
            return known.sequence, True
        message = Message(self.last + 1, now, data, event_id)
        self.messages.append(message)
        if event_id:
            self._ids[event_id] = message
        for tell in self.on_append:
            tell(message)
        for consumer in self.consumers.values():
            self.deliver(consumer)
        return message.sequence, False

    def miss(self, data: bytes) -> None:
        """A message does not arrive: its connection is lost, or its sender is dead."""
        for tell in self.on_missed:
            tell(data)

    # -- consumers ------------------------------------------------------------------------

    def since(self, at: datetime) -> int:
        """The first sequence stored at a time or later."""
        seconds = (at - EPOCH).total_seconds()
        return next((m.sequence for m in self.messages if m.at >= seconds), self.last + 1)

    def get(self, sequence: int) -> Message | None:
        """One message."""
        return self.messages[sequence - self.first] if self.first <= sequence <= self.last else None

    def add_consumer(self, name: str, start: int) -> Consumer:
        """Make a consumer that starts at a sequence."""
        asked, start = start, max(start, self.first)
        now = self._kernel.now
        consumer = Consumer(name, start, start - 1, asked=asked, made_at=now, heard_at=now)
        self.consumers[name] = consumer
        return consumer

    def pending(self, consumer: Consumer) -> int:
        """How many messages it has not delivered."""
        return max(self.last - consumer.next_sequence + 1, 0)

    def delete_consumer(self, name: str) -> bool:
        """Remove a consumer; whoever pulls from it is told."""
        consumer = self.consumers.pop(name, None)
        if consumer is None:
            return False
        for pull in consumer.pulls:
            pull.send("", b"", {"Status": "409", "Description": "Consumer Deleted"})
        return True

    def pull(self, name: str, batch: int, seconds: float, send: Callable[..., None]) -> None:
        """Ask for messages."""
        consumer = self.consumers.get(name)
        if consumer is None:
            send("", b"", {"Status": "503"})
            return
        consumer.pulls.append(Pull(batch, self._kernel.now + seconds, send))
        self.deliver(consumer)
        if not self._beat_due:
            self._beat_due = True
            self._kernel.after(HEARTBEAT_SECONDS, self._beat)

    def deliver(self, consumer: Consumer) -> None:
        """Hand out what was asked for."""
        while consumer.pulls and consumer.next_sequence <= self.last:
            pull = consumer.pulls[0]
            message = self.messages[consumer.next_sequence - self.first]
            consumer.next_sequence += 1
            self._send(consumer, pull, message)

    def _send(self, consumer: Consumer, pull: Pull, message: Message) -> None:
        consumer.delivered += 1
        consumer.heard_at = self._kernel.now
        nanos = millis(message.at) * 1_000_000
        reply = (
            f"$JS.ACK.main-queue.{consumer.name}.1.{message.sequence}.{consumer.delivered}.{nanos}"
            f".{self.pending(consumer)}"
        )
        pull.left -= 1
        if pull.left <= 0:
            consumer.pulls.remove(pull)
        pull.send(reply, message.data, {"Nats-Msg-Id": message.event_id} if message.event_id else {})

    def redeliver(self, consumer: Consumer) -> None:
        """Send again what is not acknowledged, as after the ack wait."""
        for sequence in range(
            max(consumer.floor + 1, self.first), min(consumer.next_sequence, self.last + 1)
        ):
            if not consumer.pulls:
                return
            self._send(consumer, consumer.pulls[0], self.messages[sequence - self.first])

    def acknowledge(self, name: str, sequence: int) -> bool:
        """Everything up to a sequence is done; False when there is no such consumer."""
        consumer = self.consumers.get(name)
        if consumer is None or sequence <= consumer.floor:
            return consumer is not None
        for tell in self.on_ack:
            tell(name, consumer.floor, sequence)
        consumer.floor = sequence
        consumer.acked_at = self._kernel.now
        return True

    def _beat(self) -> None:
        """Heartbeats, and the end of pulls that wait too long."""
        now = self._kernel.now
        self._beat_due = False
        for consumer in self.consumers.values():
            for pull in list(consumer.pulls):
                if pull.expires <= now:
                    consumer.pulls.remove(pull)
                    consumer.heard_at = now
                    pull.send("", b"", {"Status": "408", "Nats-Pending-Messages": str(pull.left)})
            if consumer.pulls and now - consumer.heard_at >= HEARTBEAT_SECONDS:
                consumer.heard_at = now
                beat = {"Status": "100", "Nats-Last-Consumer": str(consumer.delivered)}
                consumer.pulls[0].send("", b"", beat)
        if any(consumer.pulls for consumer in self.consumers.values()):
            self._beat_due = True
            self._kernel.after(HEARTBEAT_SECONDS, self._beat)

    # -- forgetting -----------------------------------------------------------------------

    def lose_tail(self, count: int) -> int:
        """Lose the newest messages, as a server does that is cut off before it has synced."""
        gone = self.messages[len(self.messages) - min(count, len(self.messages)) :]
        del self.messages[len(self.messages) - len(gone) :]
        self.lost = self.lost or bool(gone)
        for message in gone:
            self._ids.pop(message.event_id, None)
        return len(gone)

    def purge(self) -> None:
        """Somebody removes all messages, also those that nobody has read."""
        self.first, self.lost = self.last + 1, True
        self.messages.clear()
        for consumer in self.consumers.values():
            consumer.next_sequence = max(consumer.next_sequence, self.first)

    def recreate(self) -> None:
        """Somebody has deleted the stream and made it anew."""
        self.created = EPOCH + timedelta(seconds=self._kernel.now)
        self.lost = True
        self.messages.clear()
        self._ids.clear()
        for name in list(self.consumers):
            self.delete_consumer(name)
