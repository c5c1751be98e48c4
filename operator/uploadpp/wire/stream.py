"""The stream and our position in it: incarnations, epochs, take-over (invariant 2.4).

The stream belongs to everybody and is never changed; it is made when it is missing.
Each owner of a shard reads through a durable consumer of its own epoch, which is made at
the acknowledged position of the one before. Deleting that one is what stops a zombie.
"""

import logging
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

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

from uploadpp.core.sharding import Shard
from uploadpp.wire.consumers import (
    INCARNATION_KEY,
    NOTES_KEY,
    OWNER_KEY,
    SIGNED_KEY,
    OurConsumer,
    impostors,
    is_impostor,
    latest_of,
    next_epoch,
    parse_name,
    start_of_layout,
)
from uploadpp.wire.creation import ConsumerLimitError, ensure, make, make_unless_there, remove
from uploadpp.wire.listing import consumers_of
from uploadpp.wire.noted_position import (
    STORED_SLACK,
    Kept,
    Notes,
    beginning,
    has_other_past,
    is_outdated,
    later,
    next_incarnation,
    stored_at,
)
from uploadpp.wire.positions import acknowledged, first_of, last_before, last_sign_of

log = logging.getLogger(__name__)

STREAM = "main-queue"
LEGACY_DURABLES = ("postprocessing", "postprocessing-pull")
ACK_WAIT_SECONDS = 3600
MAX_ACK_PENDING = 250_000
"""Maximum number of unacknowledged messages, ten per upload. It limits memory while etcd is slow."""


class StartFrom(StrEnum):
    """Where the very first consumer starts reading.

    AUTO continues behind the legacy service if its consumer is there, and reads
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
    """Maximum number of unacknowledged messages."""
    unsigned_until: int = 0
    """The last position at which an event of ours may be that has no signature (docs/adr/0016)."""
    missed: int = 0
    """Number of messages before the first one that the stream removed before any owner read them."""
    note: Kept | None = field(default=None, compare=False)
    """What is to be noted of it (docs/adr/0051)."""


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
    notes: Notes | None = None,
) -> ConsumerPosition:
    """Become the only reader of a shard.

    When it was `handed_over`, its last owner stores nothing any more but still answers messages: it may
    read on until we have caught up.

    The epoch is higher than the lease's and than that of every consumer ever seen here,
    so a lease that was deleted by hand does not bring old names back.

    `lost_after` says that the stream has lost its tail and when the last message was stored
    that we know of: then what follows is a new incarnation, read from that time on.

    The `notes` say up to where the log is in etcd, whatever was put back from an older copy. They also hold
    the position if NATS has reached its limit of consumers and the shard has none.

    Raises:
        ConsumersGoneError: the consumers went after they were listed; a second call finds what is there.
    """
    info = await js.stream_info(STREAM)
    consumers = await list_consumers(js)
    await remove(js, STREAM, impostors(consumers))
    before = await _known(js, consumers, info.state)
    kept = notes.read(shard.consumer_prefix, _incarnation(info)) if notes is not None else None
    note = None if kept is None or is_outdated(kept, before, shard) else kept
    other_past = note is not None and await has_other_past(js, STREAM, note, info.state)
    start = _Start(info.state, consumers, before, start_from, note, other_past=other_past)
    await _reserve_places(js, shard, start, owner, _incarnation(info), notes=notes)
    mine = [known for known in await _ours(js, info.state) if known.shard == shard]
    last = latest_of(mine, shard, None if note is None else note.epoch)
    incarnation = last.incarnation or _incarnation(info)
    unmade = not any(known.shard == shard for known in before)  # made just now, at the note if there is one
    if note is not None and not unmade:
        other_past = other_past or later(incarnation, note.incarnation) != note.incarnation
        incarnation = later(incarnation, note.incarnation)
    seen = last_sign_of(last.info)
    where, lost = beginning(last.floor, seen, info.state, None if unmade else note, other_past=other_past)
    if lost_after is not None:
        where, lost = lost_after, True
    if lost:
        incarnation = next_incarnation(incarnation)
        log.warning(
            "the stream has lost messages; continuing with those that it has", extra={"stream": incarnation}
        )
    epoch = next_epoch(lease_epoch, {each.epoch for each in mine} | ({kept.epoch} if kept else set()))
    name = f"{shard.consumer_prefix}{epoch}"
    unsigned = last.unsigned_until(info.state.last_seq)
    config, old = _consumer(name, incarnation, where, owner, unsigned), tuple(each.info.name for each in mine)
    rewrite = lost or note is None
    try:
        made = await make(js, STREAM, config)
    except ConsumerLimitError:
        if notes is None:
            raise
        await notes.keep(Kept(incarnation, shard.consumer_prefix, last.epoch, where, seen, unsigned))
        await remove(js, STREAM, old)
        made, old, rewrite = await make(js, STREAM, config), (), True
    window = made.config.max_ack_pending or MAX_ACK_PENDING
    first, pending = first_of(made), made.num_pending or 0
    restored = note is not None and note.is_older_than(seen)
    missed = _missed(first, where, last.floor, restored=restored)
    stored = await stored_at(js, STREAM, first - 1)
    since = stored + STORED_SLACK if stored is not None else where if isinstance(where, datetime) else seen
    begun = Kept(
        incarnation,
        shard.consumer_prefix,
        epoch,
        first,
        since,
        unsigned,
        stored,
        notes.now if notes else None,
    )
    position = ConsumerPosition(
        incarnation, name, epoch, first, pending, old, window, unsigned, missed, begun
    )
    if not handed_over:
        await end_predecessors(js, position)
        position = replace(position, predecessors=())
    if notes is not None and rewrite:
        await notes.keep(begun)  # raises when another owner has come meanwhile
    return position


def _missed(first: int, where: int | datetime, floor: int, *, restored: bool) -> int:
    """How many unread messages are no longer in the stream.

    Some behind the note were read. They count where etcd was put back: what they led to is not there.
    """
    if isinstance(where, datetime):
        return 0
    return max(first - max(where if restored else max(where, floor + 1), 1), 0)


async def end_predecessors(js: JetStreamContext, position: ConsumerPosition) -> int:
    """Delete the consumers of earlier owners; returns the last sequence that they can have caused.

    What an owner has sent before it notices is sent under the same id as ours would be.
    """
    await remove(js, STREAM, position.predecessors)
    return (await js.stream_info(STREAM)).state.last_seq if position.predecessors else 0


class _Start(NamedTuple):
    """What is known when a take-over begins."""

    state: StreamState
    consumers: list[ConsumerInfo]
    ours: list[OurConsumer]
    start_from: StartFrom
    note: Kept | None
    other_past: bool

    async def first(self, js: JetStreamContext, shard: Shard) -> int | datetime:
        """Where to begin without a consumer of the shard."""
        ever = await _first_ever(js, self.consumers, self.start_from, self.state)
        if self.note is None:
            return start_of_layout(self.ours, shard) or ever
        if self.other_past:
            return self.note.seen
        continues = self.start_from is StartFrom.AUTO and isinstance(self.note.where, int)
        if continues and any(each.name in LEGACY_DURABLES for each in self.consumers):
            return max(self.note.where, ever)  # given back, and driven by the other service since
        return self.note.where


async def _reserve_places(
    js: JetStreamContext,
    shard: Shard,
    start: _Start,
    owner: str,
    stream: str,
    *,
    notes: Notes | None,
) -> None:
    """See to it that every shard of this layout has a consumer, all made at one position.

    Were each made when its shard starts, the later ones would begin behind messages that only
    the earlier ones have read. Once all are there, those of other layouts are history.
    """
    ours, note = start.ours, start.note
    layout = [known for known in ours if known.shard.count == shard.count]
    others = [known.info.name for known in ours if known.shard.count != shard.count]
    missing = set(range(shard.count)) - {known.shard.index for known in layout}
    if note is not None or any(known.epoch > 0 for known in layout):
        missing &= {shard.index}  # all were there once; where another shard goes on its owner knows
    if missing:
        first = await start.first(js, shard)
        incarnation = next((known.incarnation for known in ours if known.incarnation), stream)
        unsigned = max((known.unsigned_until(start.state.last_seq) for known in ours), default=0)
        if note is not None:
            incarnation = next_incarnation(note.incarnation) if start.other_past else note.incarnation
            unsigned = min(note.unsigned, start.state.last_seq)
        anchored = any(known.epoch == 0 for known in layout)
        latest = {known.shard: known.info.name for known in sorted(ours, key=lambda known: known.epoch)}
        spare = [name for name in others if name not in latest.values()]
        alone = notes if shard.count == 1 else None
        for index in sorted(missing):
            name = f"{Shard(index, shard.count).consumer_prefix}0"
            config = _consumer(name, incarnation, first, owner, unsigned)
            while not await _fits(js, config, last_try=not (spare or (others and (anchored or alone)))):
                # Those of another layout may go once one of ours, or the note, holds the position.
                if alone is not None and not spare and not anchored:
                    moment = max(last_sign_of(known.info) for known in ours)
                    await alone.keep(Kept(incarnation, shard.consumer_prefix, 0, first, moment, unsigned))
                gone = spare or others
                await remove(js, STREAM, gone)
                others, spare = [name for name in others if name not in gone], []
            anchored = True
    await remove(js, STREAM, others)


async def _fits(js: JetStreamContext, config: ConsumerConfig, *, last_try: bool) -> bool:
    """Create a consumer; False if a limit is reached, unless that was the last attempt."""
    try:
        await make_unless_there(js, STREAM, config)
    except ConsumerLimitError:
        if last_try:
            raise
        return False
    return True


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
        metadata={INCARNATION_KEY: incarnation, SIGNED_KEY: str(unsigned), NOTES_KEY: "yes"}
        | ({OWNER_KEY: owner} if owner else {}),
    )


async def other_layouts(js: JetStreamContext, shard: Shard) -> set[int]:
    """Numbers of shards other than ours that consumers are left of."""
    names = [parse_name(each.name) for each in await list_consumers(js)]
    return {known[0].count for known in names if known is not None} - {shard.count}


async def consumer_exists(js: JetStreamContext, position: ConsumerPosition) -> bool:
    """Whether our consumer is still there; a take-over by somebody else removes it."""
    try:
        await js.consumer_info(STREAM, position.consumer)
    except NotFoundError:
        return False
    return True


def legacy_members(consumers: list[ConsumerInfo]) -> list[str]:
    """Durables of the legacy service that somebody is bound to: two drivers would ruin uploads (F14)."""
    return [
        c.name for c in consumers if c.name in LEGACY_DURABLES and (c.push_bound or (c.num_waiting or 0) > 0)
    ]


async def list_consumers(js: JetStreamContext) -> list[ConsumerInfo]:
    """All consumers of the stream, including strangers'."""
    return await consumers_of(js, STREAM)


def _incarnation(info: StreamInfo) -> str:
    """Which life of the stream this is; consumers record how often it has lost its tail since."""
    return f"{STREAM}@{info.created.strftime('%Y%m%dT%H%M%S.%f') if info.created else '?'}"


async def _ours(js: JetStreamContext, state: StreamState) -> list[OurConsumer]:
    return await _known(js, await list_consumers(js), state)


async def _known(
    js: JetStreamContext, consumers: list[ConsumerInfo], state: StreamState
) -> list[OurConsumer]:
    return [
        OurConsumer(*known, info, await _position(js, info, state))
        for info in consumers
        if (known := parse_name(info.name)) is not None and not is_impostor(info)
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
            log.info("continuing at the position of the legacy service", extra={"position": max(legacy)})
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
