"""The stream and our place in it: incarnations, epochs, take-over (law 2.4).

The stream belongs to everybody and is never changed; it is made when it is missing.
Each owner of a shard reads through a durable consumer of its own epoch, which is made at
the acknowledged position of the one before. Deleting that one is what stops a zombie.
"""

import logging
import re
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from nats.js import JetStreamContext
from nats.js.api import (
    AckPolicy,
    ConsumerConfig,
    ConsumerInfo,
    DeliverPolicy,
    StreamConfig,
    StreamInfo,
    StreamState,
)
from nats.js.errors import BadRequestError, NotFoundError

from uploadpp.core.sharding import Shard

log = logging.getLogger(__name__)

STREAM = "main-queue"
LEGACY_DURABLES = ("postprocessing", "postprocessing-pull")
ACK_WAIT_SECONDS = 3600
MAX_ACK_PENDING = 50_000
INCARNATION_KEY = "uploadpp.io/incarnation"
_OURS = re.compile(r"uploadpp-(\d+)(?:of(\d+))?-e(\d+)")


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
    shard: Shard,
    lease_epoch: int,
    start_from: StartFrom = StartFrom.AUTO,
    lost_after: datetime | None = None,
) -> Place:
    """Become the only reader of a shard.

    The epoch is higher than the lease's and than that of every consumer ever seen here,
    so a lease that was deleted by hand does not bring old names back.

    `lost_after` says that the stream has lost its tail and when the last message was stored
    that we know of: then what follows is a new incarnation, read from that time on.
    """
    info = await js.stream_info(STREAM)
    consumers = await _all_consumers(js)
    ours = [known for c in consumers if (known := parse_consumer(c)) is not None]
    mine = [known for known in ours if known.shard == shard]
    incarnation = _incarnation(info, mine or ours)
    epoch = max([lease_epoch, *(known.epoch + 1 for known in mine)])
    where = _where(mine, ours, info.state)
    if where is None:
        where = _first_ever(consumers, start_from, info.state)
    if lost_after is not None or isinstance(where, datetime):
        incarnation = _next_incarnation(incarnation)
        log.warning("the stream has lost messages; going on with what it has", extra={"stream": incarnation})
    name = f"{shard.consumer_prefix}{epoch}"
    made = await js.add_consumer(STREAM, _consumer(name, incarnation, lost_after or where))
    for old in mine:
        await js.delete_consumer(STREAM, old.info.name)
    await _drop_other_layouts(js, shard)
    floor = made.ack_floor.stream_seq if made.ack_floor else 0
    return Place(incarnation, name, epoch, floor + 1, made.num_pending or 0)


def _consumer(name: str, incarnation: str, where: int | datetime) -> ConsumerConfig:
    by_time = isinstance(where, datetime)
    return ConsumerConfig(
        name=name,
        durable_name=name,
        deliver_policy=DeliverPolicy.BY_START_TIME if by_time else DeliverPolicy.BY_START_SEQUENCE,
        opt_start_time=where if isinstance(where, datetime) else None,
        opt_start_seq=None if isinstance(where, datetime) else max(where, 1),
        ack_policy=AckPolicy.ALL,
        ack_wait=ACK_WAIT_SECONDS,
        max_ack_pending=MAX_ACK_PENDING,
        max_deliver=-1,
        metadata={INCARNATION_KEY: incarnation},
    )


async def other_layouts(js: JetStreamContext, shard: Shard) -> set[int]:
    """Numbers of shards other than ours that consumers are left of."""
    known = [each for c in await _all_consumers(js) if (each := parse_consumer(c)) is not None]
    return {each.shard.count for each in known} - {shard.count}


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


@dataclass(frozen=True, slots=True)
class OurConsumer:
    """A consumer of some owner of some shard, in this or another layout."""

    shard: Shard
    epoch: int
    info: ConsumerInfo

    @property
    def floor(self) -> int:
        """Everything up to this sequence is in etcd."""
        return self.info.ack_floor.stream_seq if self.info.ack_floor else 0


def parse_consumer(info: ConsumerInfo) -> OurConsumer | None:
    """A consumer as one of ours; None when it is somebody else's."""
    match = _OURS.fullmatch(info.name)
    if match is None:
        return None
    return OurConsumer(Shard(int(match[1]), int(match[2] or 1)), int(match[3]), info)


def _incarnation(info: StreamInfo, known: list[OurConsumer]) -> str:
    """Which life of the stream this is: its time of creation, and how often it has lost its tail since."""
    base = f"{STREAM}@{info.created.strftime('%Y%m%dT%H%M%S.%f') if info.created else '?'}"
    for consumer in sorted(known, key=lambda each: each.epoch, reverse=True):
        recorded = (consumer.info.config.metadata or {}).get(INCARNATION_KEY, "")
        if recorded.startswith(base):
            return recorded
    return base


def _next_incarnation(incarnation: str) -> str:
    base, _, number = incarnation.partition("+")
    return f"{base}+{int(number or 0) + 1}"


def _where(mine: list[OurConsumer], ours: list[OurConsumer], state: StreamState) -> int | datetime | None:
    """Where to go on: a sequence, or a time when the stream is shorter than what was acknowledged."""
    if not ours:
        return None
    if mine:
        last = max(mine, key=lambda each: each.epoch)
        floor = max(each.floor for each in mine)
    else:
        # Another number of shards: every upload was read by some shard up to its floor at least.
        latest = {each.shard: each for each in sorted(ours, key=lambda each: each.epoch)}
        last = min(latest.values(), key=lambda each: each.floor)
        floor = last.floor
    if floor > state.last_seq and last.info.ack_floor and last.info.ack_floor.last_active:
        return last.info.ack_floor.last_active
    return floor + 1


async def _drop_other_layouts(js: JetStreamContext, shard: Shard) -> None:
    """Once every shard of this layout has its place, those of other layouts are history."""
    ours = [known for c in await _all_consumers(js) if (known := parse_consumer(c)) is not None]
    if {known.shard.index for known in ours if known.shard.count == shard.count} != set(range(shard.count)):
        return
    for old in ours:
        if old.shard.count != shard.count:
            await js.delete_consumer(STREAM, old.info.name)


def _first_ever(consumers: list[ConsumerInfo], start_from: StartFrom, state: StreamState) -> int:
    if start_from is StartFrom.NEW:
        return state.last_seq + 1
    if start_from is StartFrom.AUTO:
        legacy = [c.ack_floor.stream_seq for c in consumers if c.name in LEGACY_DURABLES and c.ack_floor]
        if legacy:
            log.info("continuing behind the service we replace", extra={"position": max(legacy)})
            return max(legacy) + 1
    return max(state.first_seq, 1)
