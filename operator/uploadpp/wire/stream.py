"""The stream and our place in it: incarnations, epochs, take-over (law 2.4).

The stream belongs to everybody and is never changed; it is made when it is missing.
Each owner of a shard reads through a durable consumer of its own epoch, which is made at
the acknowledged position of the one before. Deleting that one is what stops a zombie.
"""

import contextlib
import logging
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
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
from nats.js.errors import NotFoundError

from uploadpp.core.sharding import BUCKETS, Shard
from uploadpp.wire.jetstream import consumers_of
from uploadpp.wire.kept import Keeper, Kept, read
from uploadpp.wire.making import NoPlaceError, ensure, make, make_unless_there
from uploadpp.wire.positions import acknowledged, first_of, last_before, last_sign_of

log = logging.getLogger(__name__)

STREAM = "main-queue"
LEGACY_DURABLES = ("postprocessing", "postprocessing-pull")
ACK_WAIT_SECONDS = 3600
MAX_ACK_PENDING = 250_000
"""So many messages may be unacknowledged, ten for each upload: the bound of memory when etcd is slow."""
INCARNATION_KEY = "uploadpp.io/incarnation"
OWNER_KEY = "uploadpp.io/owner"
SIGNED_KEY = "uploadpp.io/signed-after"
"""Metadata of a consumer: events of ours behind this position are signed."""
_POSITION = re.compile(r"[0-9]{1,20}")
_INCARNATION = re.compile(r"main-queue@(?:\?|[0-9T.]{1,24})(?:\+[1-9][0-9]{0,8})?")
MAX_EPOCH = 10**12
_OURS = re.compile(r"uploadpp-(0|[1-9]\d?)(?:of([1-9]\d?))?-e(0|[1-9]\d{0,12})")
_LIKE_OURS = re.compile(r"uploadpp-\d.*")
MAX_WARNED = 100
_warned: set[str] = set()


class StartFrom(StrEnum):
    """Where the very first consumer starts reading.

    AUTO continues behind the service we replace if its consumer is there, and reads
    everything if it is not: then nobody has worked on those uploads.
    """

    AUTO = "auto"
    ALL = "all"
    NEW = "new"


@dataclass(frozen=True, slots=True)
class ConsumerPosition:
    """Where an owner starts: its consumer, the first sequence, and how many messages to replay."""

    stream: str
    consumer: str
    epoch: int
    first: int
    backlog: int
    predecessors: tuple[str, ...] = ()
    """Consumers of earlier owners that still read; see `end_predecessors`."""
    window: int = MAX_ACK_PENDING
    """So many messages may be unacknowledged."""
    unsigned_until: int = 0
    """The last position at which an event of ours may be that has no signature (docs/adr/0016)."""
    missed: int = 0
    """So many messages before the first one were removed from the stream before any of us read them."""


@dataclass(frozen=True, slots=True)
class OurConsumer:
    """A consumer of some owner of some shard, in this or another layout."""

    shard: Shard
    epoch: int
    info: ConsumerInfo
    floor: int
    """Everything up to this sequence is in etcd."""

    @property
    def incarnation(self) -> str:
        """The incarnation of the stream that its owner has read; empty when none of ours has said that."""
        text = (self.info.config.metadata or {}).get(INCARNATION_KEY, "")
        return text if _INCARNATION.fullmatch(text) else ""

    def unsigned_until(self, last: int) -> int:
        """The last position that may have an unsigned event; `last` is that of the stream.

        An owner of an earlier version, which did not sign, does not say so.
        """
        text = (self.info.config.metadata or {}).get(SIGNED_KEY, "")
        return min(int(text), last) if _POSITION.fullmatch(text) else last


def parse_name(name: str) -> tuple[Shard, int] | None:
    """The shard and the epoch of a consumer of ours; None when it is somebody else's."""
    match = _OURS.fullmatch(name)
    if match is not None:
        index, count, epoch = int(match[1]), int(match[2] or 1), int(match[3])
        if index < count <= BUCKETS and epoch <= MAX_EPOCH and match[2] != "1":
            return Shard(index, count), epoch
    if _LIKE_OURS.fullmatch(name) and name not in _warned and len(_warned) < MAX_WARNED:
        _warned.add(name)
        log.warning("a consumer is ignored: it is called like ours and is not ours", extra={"consumer": name})
    return None


async def ensure_stream(js: JetStreamContext, max_age_seconds: float | None = None) -> None:
    """Make the stream when it is missing; leave it as it is when it is there."""
    await ensure(js, StreamConfig(name=STREAM, subjects=[STREAM], max_age=max_age_seconds))


async def take_over(  # noqa: PLR0913 -- where to begin has several sources
    js: JetStreamContext,
    shard: Shard,
    lease_epoch: int,
    start_from: StartFrom = StartFrom.AUTO,
    lost_after: datetime | None = None,
    owner: str = "",
    *,
    handed_over: bool = False,
    keeper: Keeper | None = None,
) -> ConsumerPosition:
    """Become the only reader of a shard.

    When it was `handed_over`, its last owner stores nothing any more but still answers messages: it may
    read on until we have caught up.

    The epoch is higher than the lease's and than that of every consumer ever seen here,
    so a lease that was deleted by hand does not bring old names back.

    `lost_after` says that the stream has lost its tail and when the last message was stored
    that we know of: then what follows is a new incarnation, read from that time on.

    Where NATS has no place for one consumer more, the `keeper` holds the position while there is none.
    """
    info = await js.stream_info(STREAM)
    kept = read(keeper.kept, shard.consumer_prefix, _incarnation(info)) if keeper is not None else None
    await _reserve_places(js, shard, info, start_from, owner, kept=kept, keeper=keeper)
    mine = [known for known in await _ours(js, info.state) if known.shard == shard]
    last = max(mine, key=lambda each: each.epoch)
    incarnation = last.incarnation or _incarnation(info)
    where = lost_after or _behind(last, info.state)
    if isinstance(where, datetime):
        incarnation = _next_incarnation(incarnation)
        log.warning("the stream has lost messages; going on with what it has", extra={"stream": incarnation})
    epoch = _next_epoch(lease_epoch, [each.epoch for each in mine] + ([kept.epoch] if kept else []))
    name = f"{shard.consumer_prefix}{epoch}"
    unsigned = last.unsigned_until(info.state.last_seq)
    config, old = _consumer(name, incarnation, where, owner, unsigned), tuple(each.info.name for each in mine)
    try:
        made = await make(js, STREAM, config)
    except NoPlaceError:
        if keeper is None:
            raise
        seen = last_sign_of(last.info)
        await keeper.keep(Kept(incarnation, shard.consumer_prefix, last.epoch, where, seen, unsigned).text)
        await _delete(js, old)
        made, old = await make(js, STREAM, config), ()
    window = made.config.max_ack_pending or MAX_ACK_PENDING
    first, pending = first_of(made), made.num_pending or 0
    missed = max(first - max(where, 1), 0) if isinstance(where, int) else 0
    place = ConsumerPosition(incarnation, name, epoch, first, pending, old, window, unsigned, missed)
    if not handed_over:
        await end_predecessors(js, place)
        place = replace(place, predecessors=())
    if keeper is not None and keeper.kept:
        await keeper.keep("")  # raises when another owner has come meanwhile
    return place


async def end_predecessors(js: JetStreamContext, place: ConsumerPosition) -> int:
    """Take the consumers of earlier owners away; returns the last sequence that they can have caused.

    What an owner has sent before it notices is sent under the same id as ours would be.
    """
    await _delete(js, place.predecessors)
    return (await js.stream_info(STREAM)).state.last_seq if place.predecessors else 0


async def _delete(js: JetStreamContext, names: Iterable[str]) -> None:
    for name in names:
        with contextlib.suppress(NotFoundError):
            await js.delete_consumer(STREAM, name)


async def _reserve_places(  # noqa: PLR0913 -- where to begin has several sources
    js: JetStreamContext,
    shard: Shard,
    info: StreamInfo,
    start_from: StartFrom,
    owner: str,
    *,
    kept: Kept | None,
    keeper: Keeper | None,
) -> None:
    """See to it that every shard of this layout has a consumer, all made at one position.

    Were each made when its shard starts, the later ones would begin behind messages that only
    the earlier ones have read. Once all are there, those of other layouts are history.
    """
    consumers = await list_consumers(js)
    ours = await _known(js, consumers, info.state)
    layout = [known for known in ours if known.shard.count == shard.count]
    others = [known.info.name for known in ours if known.shard.count != shard.count]
    missing = set(range(shard.count)) - {known.shard.index for known in layout}
    if kept is not None or any(known.epoch > 0 for known in layout):
        missing &= {shard.index}  # all were there once; where another shard goes on its owner knows
    if missing:
        where: int | datetime | None = kept.start(info.state) if kept else _start_of_layout(ours, shard)
        first = await _first_ever(js, consumers, start_from, info.state) if where is None else where
        incarnation = next((known.incarnation for known in ours if known.incarnation), _incarnation(info))
        unsigned = max((known.unsigned_until(info.state.last_seq) for known in ours), default=0)
        if kept is not None:
            shorter = kept.where != first
            incarnation = _next_incarnation(kept.incarnation) if shorter else kept.incarnation
            unsigned = min(kept.unsigned, info.state.last_seq)
        anchored = any(known.epoch == 0 for known in layout)
        latest = {known.shard: known.info.name for known in sorted(ours, key=lambda known: known.epoch)}
        spare = [name for name in others if name not in latest.values()]
        alone = keeper if shard.count == 1 else None
        for index in sorted(missing):
            name = f"{Shard(index, shard.count).consumer_prefix}0"
            config = _consumer(name, incarnation, first, owner, unsigned)
            while not await _fits(js, config, last_try=not (spare or (others and (anchored or alone)))):
                # Those of another layout may go once one of ours, or the keeper, holds the position.
                if alone is not None and not spare and not anchored:
                    moment = max(last_sign_of(known.info) for known in ours)
                    await alone.keep(
                        Kept(incarnation, shard.consumer_prefix, 0, first, moment, unsigned).text
                    )
                gone = spare or others
                await _delete(js, gone)
                others, spare = [name for name in others if name not in gone], []
            anchored = True
    await _delete(js, others)


async def _fits(js: JetStreamContext, config: ConsumerConfig, *, last_try: bool) -> bool:
    """Make a consumer; False when there is no place for it, unless that was the last try."""
    try:
        await make_unless_there(js, STREAM, config)
    except NoPlaceError:
        if last_try:
            raise
        return False
    return True


def _next_epoch(lease_epoch: int, known: list[int]) -> int:
    """Higher than all before. Whoever makes a consumer of the highest epoch does not lock us out."""
    highest = max((each for each in known if each < MAX_EPOCH), default=0)
    return min(max(lease_epoch, highest + 1), MAX_EPOCH - 1)


def _start_of_layout(ours: list[OurConsumer], shard: Shard) -> int | None:
    """Where a new layout begins: where the old one, or the unused rest of this one, stands at least."""
    unused = [k.floor for k in ours if k.shard.count == shard.count and k.epoch == 0]
    latest = {k.shard: k.floor for k in sorted(ours, key=lambda k: k.epoch) if k.shard.count != shard.count}
    floors = list(latest.values()) or unused
    return min(floors) + 1 if floors else None


def _consumer(
    name: str, incarnation: str, where: int | datetime, owner: str, unsigned: int
) -> ConsumerConfig:
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
        metadata={INCARNATION_KEY: incarnation, SIGNED_KEY: str(unsigned)}
        | ({OWNER_KEY: owner} if owner else {}),
    )


async def other_layouts(js: JetStreamContext, shard: Shard) -> set[int]:
    """Numbers of shards other than ours that consumers are left of."""
    names = [parse_name(each.name) for each in await list_consumers(js)]
    return {known[0].count for known in names if known is not None} - {shard.count}


async def consumer_exists(js: JetStreamContext, place: ConsumerPosition) -> bool:
    """Whether our consumer is still there; a take-over by somebody else removes it."""
    try:
        await js.consumer_info(STREAM, place.consumer)
    except NotFoundError:
        return False
    return True


def legacy_members(consumers: list[ConsumerInfo]) -> list[str]:
    """Durables of the service we replace that somebody is bound to: two drivers would ruin uploads (F14)."""
    return [
        c.name for c in consumers if c.name in LEGACY_DURABLES and (c.push_bound or (c.num_waiting or 0) > 0)
    ]


def strangers(consumers: list[ConsumerInfo], owner: str) -> dict[str, list[ConsumerInfo]]:
    """Consumers of other installations of this operator, by who those are.

    One without an owner is ours: it was made before owners were written down.
    """
    found: dict[str, list[ConsumerInfo]] = {}
    for each in consumers:
        other = (each.config.metadata or {}).get(OWNER_KEY, "")
        if owner and other and other != owner and parse_name(each.name) is not None:
            found.setdefault(other, []).append(each)
    return found


async def list_consumers(js: JetStreamContext) -> list[ConsumerInfo]:
    """All consumers of the stream, whoever made them."""
    return await consumers_of(js, STREAM)


def _incarnation(info: StreamInfo) -> str:
    """Which life of the stream this is; consumers record how often it has lost its tail since."""
    return f"{STREAM}@{info.created.strftime('%Y%m%dT%H%M%S.%f') if info.created else '?'}"


def _next_incarnation(incarnation: str) -> str:
    base, _, number = incarnation.partition("+")
    return f"{base}+{int(number or 0) + 1}"


def _behind(last: OurConsumer, state: StreamState) -> int | datetime:
    """Behind the acknowledged position; a time when the stream is shorter than that."""
    return last_sign_of(last.info) if last.floor > state.last_seq else last.floor + 1


async def _ours(js: JetStreamContext, state: StreamState) -> list[OurConsumer]:
    return await _known(js, await list_consumers(js), state)


async def _known(
    js: JetStreamContext, consumers: list[ConsumerInfo], state: StreamState
) -> list[OurConsumer]:
    return [
        OurConsumer(*known, info, await _position(js, info, state))
        for info in consumers
        if (known := parse_name(info.name)) is not None
    ]


async def _position(js: JetStreamContext, info: ConsumerInfo, state: StreamState) -> int:
    """Up to which sequence a consumer has acknowledged."""
    at = acknowledged(info)
    return await last_before(js, STREAM, at, state) if isinstance(at, datetime) else at


async def _first_ever(
    js: JetStreamContext, consumers: list[ConsumerInfo], start_from: StartFrom, state: StreamState
) -> int:
    if start_from is StartFrom.NEW:
        return state.last_seq + 1
    if start_from is StartFrom.AUTO:
        legacy = [await _position(js, c, state) for c in consumers if c.name in LEGACY_DURABLES]
        if legacy:
            log.info("continuing behind the service we replace", extra={"position": max(legacy)})
            return max(legacy) + 1
    return max(state.first_seq, 1)


async def reads_behind(js: JetStreamContext, start_from: StartFrom) -> tuple[int, str]:
    """The position behind which the next owners begin to read, at the least, and the life of the stream."""
    info, consumers = await js.stream_info(STREAM), await list_consumers(js)
    ours = sorted(await _known(js, consumers, info.state), key=lambda known: known.epoch)
    if not ours:
        return await _first_ever(js, consumers, start_from, info.state) - 1, _incarnation(info)
    lives = [known.incarnation for known in ours if known.incarnation]
    floors = {known.shard: known.floor for known in ours}
    return min(floors.values()), lives[-1] if lives else _incarnation(info)
