"""The position that is noted in the Lease (docs/adr/0032, docs/adr/0051).

Each owner notes there up to where the log is in etcd. So a copy of etcd says itself where reading has to
go on, whatever the consumer says; and a stream that does not hold what is noted has another past than ours.
The note is an annotation, so anybody may have written it: without a signature of ours it says little.
"""

import logging
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import NamedTuple, Protocol

import orjson
from nats.js import JetStreamContext
from nats.js.api import StreamState
from nats.js.errors import NotFoundError

from uploadpp.core.model import Millis
from uploadpp.core.sharding import Shard
from uploadpp.wire.consumers import OurConsumer
from uploadpp.wire.marks import Marks

log = logging.getLogger(__name__)

_LATER_LIFE = re.compile(r"(?:\+[1-9][0-9]{0,8})?")

MAX_BYTES = 1024
MAX_SEQUENCE = 2**63
SIGNATURE, PURPOSE = "signature", "position"
STORED_SLACK = timedelta(milliseconds=1)
"""Of the time at which a message was stored we keep milliseconds."""
RESTORED_AFTER = timedelta(seconds=60)
"""When a consumer was used so long after the note, the note is from an older copy of etcd. Notes are seconds
old, and the clocks of two machines may differ."""


class Keeper(Protocol):
    """Keeps a position for the next owner of a shard, whatever happens to us (`kube.lease.Lease`)."""

    @property
    def kept(self) -> str:
        """What is kept; empty when nothing is."""

    async def keep(self, position: str) -> None:
        """Keep this from now on; nothing when it is empty.

        Raises:
            Exception: it is not known to be kept, or the shard is not ours any more.
        """


@dataclass(frozen=True, slots=True)
class Kept:
    """Where the next owner of a shard begins to read."""

    incarnation: str
    prefix: str
    """How the consumers of the shard are called; its layout is part of that."""
    epoch: int
    where: int | datetime
    """The first sequence, or a time from which on everything is read."""
    seen: datetime
    """When the last consumer was used: where to begin should the stream have become shorter by then."""
    unsigned: int = 0
    """Events of ours up to there may have no signature (docs/adr/0016)."""
    stored: datetime | None = None
    """When the message before `where` was stored; None when that is not known."""
    noted: datetime | None = None
    """When the owner said so; None where it was written down because no consumer says so."""

    @property
    def text(self) -> str:
        """How it is written down."""
        first = self.where if isinstance(self.where, int) else 0
        since = self.where if isinstance(self.where, datetime) else self.seen
        body = {"stream": self.incarnation, "consumers": self.prefix, "epoch": self.epoch, "first": first}
        body |= {"unsigned": self.unsigned, "since": since.isoformat()}
        times = (("stored", self.stored), ("noted", self.noted))
        return orjson.dumps(body | {name: at.isoformat() for name, at in times if at is not None}).decode()

    def signed(self, marks: Marks) -> str:
        """How it is written down so that it is believed."""
        text = self.text
        return f'{text[:-1]},"{SIGNATURE}":"{marks.sign(PURPOSE, text)}"}}'

    def is_older_than(self, moment: datetime) -> bool:
        """Whether the owner has worked on for long after this: then etcd has forgotten later notes."""
        return self.noted is not None and moment - self.noted > RESTORED_AFTER


class Beginning(NamedTuple):
    """Where an owner begins to read."""

    where: int | datetime
    lost: bool
    """Whether the stream has another past than the one that was read: this is a new incarnation."""


def later(one: str, other: str) -> str:
    """Of two incarnations of one stream the later one."""
    return max(one, other, key=lambda each: int(each.partition("+")[2] or 0))


def next_incarnation(incarnation: str) -> str:
    """What follows when the stream has lost messages that were read."""
    base, _, number = incarnation.partition("+")
    return f"{base}+{int(number or 0) + 1}"


def beginning(
    floor: int, last_sign: datetime, state: StreamState, note: Kept | None, *, other_past: bool
) -> Beginning:
    """Where to begin: behind what the consumer has acknowledged or what is noted, whichever is earlier.

    Reading more of the log than necessary only costs time (invariant 2.3). It is a time if the stream is
    another incarnation: what was stored after the last known message is new.
    """
    if note is not None and other_past:
        return Beginning(note.seen, lost=True)
    shorter = floor > state.last_seq
    behind: int | datetime = last_sign if shorter else floor + 1
    noted = note.where if note is not None and isinstance(note.where, int) else None
    if noted is not None and note is not None and (not shorter or note.is_older_than(last_sign)):
        behind = noted if isinstance(behind, datetime) else min(behind, noted)
    return Beginning(behind, lost=shorter)


async def has_other_past(js: JetStreamContext, stream: str, kept: Kept, state: StreamState) -> bool:
    """Whether the stream does not hold what was in it when a note was written.

    Where the message was removed since nothing can be said.
    """
    if isinstance(kept.where, datetime):
        return False
    sequence = kept.where - 1
    if sequence > state.last_seq:
        return True
    stored = await stored_at(js, stream, sequence) if kept.stored is not None else None
    return stored is not None and kept.stored is not None and abs(stored - kept.stored) > STORED_SLACK


async def stored_at(js: JetStreamContext, stream: str, sequence: int) -> datetime | None:
    """When a message was stored; None when it is not there."""
    if sequence < 1:
        return None
    try:
        return (await js.get_msg(stream, seq=sequence)).time
    except NotFoundError:
        return None


def is_outdated(kept: Kept, ours: Iterable[OurConsumer], shard: Shard) -> bool:
    """Whether other owners have read on since without noting it, so that the note says nothing.

    Those of another number of shards have, and those of an earlier version. Consumers of a new number of
    shards begin at epoch 0, at the right position. What was written down because no consumer says so is not
    needed once one does.
    """
    ours = list(ours)
    mine = [known for known in ours if known.shard == shard]
    if not mine:
        return kept.epoch > 0 and any(known.shard.count != shard.count for known in ours)
    last = max(mine, key=lambda known: known.epoch)
    if kept.noted is None or last.epoch == 0:
        return kept.noted is None or kept.epoch > 0
    return not any(known.has_notes and known.epoch >= kept.epoch for known in mine)


class Notes:
    """The note of a shard: in its Lease, with our signature."""

    def __init__(self, keeper: Keeper, marks: Marks, clock: Callable[[], Millis]) -> None:
        self._keeper = keeper
        self._marks = marks
        self._clock = clock

    @property
    def now(self) -> datetime:
        """The time for a note that is made now."""
        return moment(self._clock())

    def read(self, prefix: str, stream: str) -> Kept | None:
        """What was written down for a shard of this stream; None when it cannot be used."""
        return read(self._keeper.kept, prefix, stream, self._marks)

    def text(self, kept: Kept) -> str:
        """How a position is written down."""
        return kept.signed(self._marks)

    async def keep(self, kept: Kept) -> None:
        """Write a position down now.

        Raises:
            Exception: it is not known to be written, or the shard is not ours any more.
        """
        await self._keeper.keep(self.text(kept))


def moment(milliseconds: int) -> datetime:
    """A time that is given in milliseconds."""
    return datetime.fromtimestamp(milliseconds / 1000, UTC)


def read(text: str, prefix: str, stream: str, marks: Marks) -> Kept | None:
    """What was written down; None when it is of another stream or shard, not ours, or does not make sense."""
    if not text:
        return None
    try:
        found = _parse(text, marks)
    except (ValueError, TypeError, KeyError, OverflowError) as error:
        log.warning("ignoring the position in the Lease: it cannot be read: %s", error)
        return None
    life = found.incarnation.removeprefix(stream)
    if found.prefix == prefix and found.incarnation.startswith(stream) and _LATER_LIFE.fullmatch(life):
        return found
    log.warning(
        "ignoring the position in the Lease: it belongs to another stream or shard; if an operator of this "
        "namespace works with another NATS, install each in a namespace of its own"
    )
    return None


def _parse(text: str, marks: Marks) -> Kept:
    if len(text) > MAX_BYTES:
        raise ValueError("too long")
    body = orjson.loads(text)
    since = datetime.fromisoformat(body["since"])
    first, epoch, unsigned = body["first"], body["epoch"], body["unsigned"]
    texts = isinstance(body["stream"], str) and isinstance(body["consumers"], str)
    numbers = all(type(each) is int and 0 <= each < MAX_SEQUENCE for each in (first, epoch, unsigned))
    if not texts or not numbers or since.tzinfo is None:
        raise ValueError("not a position")
    since = since.astimezone(UTC)  # NATS is told so: a time that UTC cannot hold is none
    stored, noted = (_time(body.get(name)) for name in ("stored", "noted"))
    kept = Kept(body["stream"], body["consumers"], epoch, first or since, since, unsigned, stored, noted)
    signature = body.get(SIGNATURE)
    if (signature is not None or noted is not None) and not marks.proves(str(signature), PURPOSE, kept.text):
        raise ValueError("it is not signed with one of our keys")
    return kept


def _time(text: object) -> datetime | None:
    if text is None:
        return None
    if not isinstance(text, str) or (time := datetime.fromisoformat(text)).tzinfo is None:
        raise ValueError("not a time")
    return time.astimezone(UTC)
