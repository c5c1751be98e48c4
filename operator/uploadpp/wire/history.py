"""Reading a part of the log for tools that run while no operator does; nothing is acknowledged."""

import time
from collections.abc import AsyncIterator, Collection
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import nats.errors
from nats.aio.msg import Msg
from nats.js import JetStreamContext
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy
from nats.js.errors import NotFoundError

from uploadpp.core.history import Said
from uploadpp.core.inputs import BytesReceived
from uploadpp.core.model import Millis
from uploadpp.core.rules.earlier import FACTS
from uploadpp.wire.decode import Event, decode
from uploadpp.wire.envelope import BadMessageError
from uploadpp.wire.jetstream import reading
from uploadpp.wire.marks import Proofs
from uploadpp.wire.stream import STREAM

FETCHED = 32
"""Messages asked for at once. With the largest ones, that is half of what the server keeps for a client."""
FETCH_SECONDS = 5.0
INACTIVE_SECONDS = 30.0
MOST_SILENCES = 3
"""So many fetches in a row without a message, while the server has some, and the log counts as unreadable."""


class LostMessagesError(nats.errors.Error):
    """Messages were lost with a connection: where none is acknowledged, the server sends none again."""

    def __str__(self) -> str:
        return "nats: messages of the stream were lost on their way; read it again"


async def read_to_end(
    js: JetStreamContext, stream: str, subject: str, config: ConsumerConfig
) -> AsyncIterator[Msg]:
    """The messages that a stream has at the moment, in order, through a consumer that expires."""
    config = config.evolve(ack_policy=AckPolicy.NONE, inactive_threshold=INACTIVE_SECONDS)
    reader = await js.pull_subscribe(subject, stream=stream, config=config)
    try:
        left = (await reader.consumer_info()).num_pending or 0
        async for message in arriving(reader, left):
            yield message
    finally:
        await reader.unsubscribe()


async def arriving(reader: JetStreamContext.PullSubscription, left: int) -> AsyncIterator[Msg]:
    """So many messages of a new consumer that needs no acknowledgements, or until the server has none.

    Raises:
        NatsError: the server hands out nothing, or not all that it has sent has arrived.
    """
    got = silences = 0
    while left > 0:
        try:
            messages = await reader.fetch(min(FETCHED, left), timeout=FETCH_SECONDS)
        except TimeoutError:
            messages = []
        if not messages:
            silences += 1
            info = await reader.consumer_info()
            on_their_way = info.delivered.consumer_seq - got if info.delivered is not None else 0
            left = min(left, (info.num_pending or 0) + on_their_way)  # some may have been removed
            if left > 0 and silences >= MOST_SILENCES:
                raise LostMessagesError if on_their_way > 0 else nats.errors.TimeoutError
            continue
        silences = 0
        for message in messages:
            with reading("the log"):
                number = message.metadata.sequence.consumer
            if number > got + 1:
                raise LostMessagesError
            if number == got + 1:  # else it was sent twice
                got, left = number, left - 1
                yield message


def time_of(message: Msg) -> Millis:
    """When the server has stored a message."""
    return Millis(int(message.metadata.timestamp.timestamp() * 1000))


async def oldest(js: JetStreamContext) -> Millis | None:
    """From when on the stream has all messages; None when it has never removed any."""
    info = await js.stream_info(STREAM)
    if info.state.first_seq <= 1:
        return None
    try:
        first = await js.get_msg(STREAM, seq=info.state.first_seq, subject=STREAM, next=True)
    except NotFoundError:
        return Millis(time.time_ns() // 1_000_000)  # it is empty
    return None if first.time is None else Millis(int(first.time.timestamp() * 1000))


@dataclass(slots=True)
class History:
    """What a part of the log says, by upload."""

    last: int = 0
    """The last position that was read."""
    said: dict[str, list[Said]] = field(default_factory=dict)
    unnamed: list[Said] = field(default_factory=list)
    """What is for all uploads in a step."""
    announced: dict[str, list[Said]] = field(default_factory=dict)
    """Uploads of which nothing is said but that the storage has announced them."""
    ids: set[str] = field(default_factory=set)
    """The ids of all events that were kept."""

    def of(self, upload_id: str) -> list[Said]:
        """What is said of an upload, in order."""
        found = self.said.get(upload_id, []) + self.unnamed
        return sorted(found, key=lambda each: each.sequence) if self.unnamed else found

    def add(self, event: Event, sequence: int, at: Millis, wanted: Collection[str] | None) -> None:
        """Note an event; of uploads that are not `wanted` only their announcement, while it stands alone."""
        said = Said(sequence, at, event.input, event.event_id)
        if not event.upload_id:
            self.unnamed.append(said)
        elif wanted is None or event.upload_id in wanted:
            known = self.said.setdefault(event.upload_id, [])
            if isinstance(event.input, BytesReceived) and all(isinstance(e.event, FACTS) for e in known):
                said = said._replace(event=replace(event.input, earlier=tuple(e.event for e in known)))
                known.clear()
            known.append(said)
            self.ids.add(event.event_id)
        elif not isinstance(event.input, BytesReceived):
            self.announced.pop(event.upload_id, None)
        elif event.upload_id in self.announced or not event.input.origin.again:
            self.announced.setdefault(event.upload_id, []).append(said)


async def read_history(
    js: JetStreamContext, since: datetime | int, proofs: Proofs, wanted: Collection[str] | None = None
) -> History:
    """What the log says from a moment or position on, of some uploads or of all."""
    by_time = isinstance(since, datetime)
    config = ConsumerConfig(
        deliver_policy=DeliverPolicy.BY_START_TIME if by_time else DeliverPolicy.BY_START_SEQUENCE,
        opt_start_time=since.astimezone(UTC) if isinstance(since, datetime) else None,
        opt_start_seq=None if isinstance(since, datetime) else max(since, 1),
    )
    found = History(last=(await js.stream_info(STREAM)).state.last_seq)
    async for message in read_to_end(js, STREAM, STREAM, config):
        sequence, at = message.metadata.sequence.stream, time_of(message)
        found.last = max(found.last, sequence)
        try:
            event = decode(message.data, sequence, at, proofs)
        except BadMessageError:
            continue  # the operator says so when it reads the log
        if event is not None:
            found.add(event, sequence, at, wanted)
    return found
