"""A position that is written down while no consumer holds it (docs/adr/0032).

Where NATS has no place for a second consumer of a shard, the old one goes before the new one is made.
Meanwhile only this note says where to read on. It is an annotation, so anybody may have written it.
"""

import logging
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

import orjson
from nats.js.api import StreamState

log = logging.getLogger(__name__)

_LATER_LIFE = re.compile(r"(?:\+[1-9][0-9]{0,8})?")

MAX_BYTES = 1024
MAX_SEQUENCE = 2**63


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

    @property
    def text(self) -> str:
        """How it is written down."""
        first = self.where if isinstance(self.where, int) else 0
        since = self.where if isinstance(self.where, datetime) else self.seen
        body = {"stream": self.incarnation, "consumers": self.prefix, "epoch": self.epoch, "first": first}
        body["unsigned"] = self.unsigned
        return orjson.dumps({**body, "since": since.isoformat()}).decode()

    def start(self, state: StreamState) -> int | datetime:
        """Where to begin in the stream as it is now."""
        if isinstance(self.where, int) and self.where > state.last_seq + 1:
            return self.seen
        return self.where


def read(text: str, prefix: str, stream: str) -> Kept | None:
    """What was written down; None when it is of another stream or shard, or does not make sense."""
    if not text:
        return None
    try:
        found = _parse(text)
    except (ValueError, TypeError, KeyError, OverflowError) as error:
        log.warning("the position that was kept in the Lease is not used: it cannot be read: %s", error)
        return None
    life = found.incarnation.removeprefix(stream)
    if found.prefix == prefix and found.incarnation.startswith(stream) and _LATER_LIFE.fullmatch(life):
        return found
    log.warning("the position that was kept in the Lease is not used: it is of another stream or shard")
    return None


def _parse(text: str) -> Kept:
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
    return Kept(body["stream"], body["consumers"], epoch, first or since, since, unsigned)
