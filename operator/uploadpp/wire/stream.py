"""The stream and our place in it: incarnations, epochs, take-over (law 2.4).

The stream belongs to everybody and is never changed; it is made when it is missing.
Each owner of a shard reads through a durable consumer of its own epoch, which is made at
the acknowledged position of the one before. Deleting that one is what stops a zombie.
"""

import logging
import re
from dataclasses import dataclass
from enum import StrEnum

from nats.js import JetStreamContext
from nats.js.api import AckPolicy, ConsumerConfig, ConsumerInfo, DeliverPolicy, StreamConfig
from nats.js.errors import BadRequestError, NotFoundError

log = logging.getLogger(__name__)

STREAM = "main-queue"
LEGACY_DURABLES = ("postprocessing", "postprocessing-pull")
ACK_WAIT_SECONDS = 3600
MAX_ACK_PENDING = 50_000


class StartFrom(StrEnum):
    """Where the very first consumer starts reading.

    AUTO continues behind the service we replace if its consumer is there, and reads
    everything if it is not: then nobody has worked on those uploads.
    """

    AUTO = "auto"
    ALL = "all"
    NEW = "new"


@dataclass(frozen=True, slots=True)
class Place:
    """Where an owner starts: its consumer, the first sequence, and how many messages to replay."""

    stream: str
    consumer: str
    epoch: int
    first: int
    backlog: int


async def ensure_stream(js: JetStreamContext, max_age_seconds: float | None = None) -> None:
    """Make the stream when it is missing; leave it as it is when it is there."""
    try:
        await js.stream_info(STREAM)
    except NotFoundError:
        try:
            await js.add_stream(StreamConfig(name=STREAM, subjects=[STREAM], max_age=max_age_seconds))
            log.info("stream made", extra={"stream": STREAM})
        except BadRequestError:
            await js.stream_info(STREAM)  # somebody else was faster


async def take_over(
    js: JetStreamContext,
    shard: int,
    lease_epoch: int,
    start_from: StartFrom = StartFrom.AUTO,
) -> Place:
    """Become the only reader of a shard.

    The epoch is higher than the lease's and than that of every consumer ever seen here,
    so a lease that was deleted by hand does not bring old names back.
    """
    info = await js.stream_info(STREAM)
    incarnation = f"{STREAM}@{info.created.strftime('%Y%m%dT%H%M%S.%f') if info.created else '?'}"
    consumers = await _all_consumers(js)
    mine = {
        int(match[1]): c
        for c in consumers
        if (match := re.fullmatch(rf"uploadpp-{shard}-e(\d+)", c.name)) is not None
    }
    epoch = max([lease_epoch, *(known + 1 for known in mine)])
    first = _continue_at(list(mine.values()), info.state.first_seq, info.state.last_seq)
    if first is None:
        first = _first_ever(consumers, start_from, info.state.first_seq, info.state.last_seq)
    name = f"uploadpp-{shard}-e{epoch}"
    made = await js.add_consumer(
        STREAM,
        ConsumerConfig(
            name=name,
            durable_name=name,
            deliver_policy=DeliverPolicy.BY_START_SEQUENCE,
            opt_start_seq=max(first, 1),
            ack_policy=AckPolicy.ALL,
            ack_wait=ACK_WAIT_SECONDS,
            max_ack_pending=MAX_ACK_PENDING,
            max_deliver=-1,
        ),
    )
    for old in mine.values():
        await js.delete_consumer(STREAM, old.name)
    return Place(incarnation, name, epoch, first, made.num_pending or 0)


async def consumer_exists(js: JetStreamContext, place: Place) -> bool:
    """Whether our consumer is still there; a take-over by somebody else removes it."""
    try:
        await js.consumer_info(STREAM, place.consumer)
    except NotFoundError:
        return False
    return True


async def legacy_members(js: JetStreamContext) -> list[str]:
    """Durables of the service we replace that somebody is bound to: two drivers would ruin uploads (F14)."""
    return [
        c.name
        for c in await _all_consumers(js)
        if c.name in LEGACY_DURABLES and (c.push_bound or (c.num_waiting or 0) > 0)
    ]


async def _all_consumers(js: JetStreamContext) -> list[ConsumerInfo]:
    found: list[ConsumerInfo] = []
    while True:
        page = await js.consumers_info(STREAM, offset=len(found))
        found += page
        if not page:
            return found


def _continue_at(mine: list[ConsumerInfo], first_seq: int, last_seq: int) -> int | None:
    floors = [c.ack_floor.stream_seq for c in mine if c.ack_floor is not None]
    if not floors:
        return None
    floor = max(floors)
    if floor > last_seq:
        log.warning(
            "the stream is shorter than what was acknowledged; it lost messages", extra={"floor": floor}
        )
        return first_seq
    return floor + 1


def _first_ever(consumers: list[ConsumerInfo], start_from: StartFrom, first_seq: int, last_seq: int) -> int:
    if start_from is StartFrom.NEW:
        return last_seq + 1
    if start_from is StartFrom.AUTO:
        legacy = [c.ack_floor.stream_seq for c in consumers if c.name in LEGACY_DURABLES and c.ack_floor]
        if legacy:
            log.info("continuing behind the service we replace", extra={"position": max(legacy)})
            return max(legacy) + 1
    return max(first_seq, 1)
