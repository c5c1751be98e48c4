"""The operator's consumers: their names and their metadata."""

import logging
import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from nats.errors import Error as NatsError
from nats.js.api import AckPolicy, ConsumerInfo

from uploadpp.core.sharding import BUCKETS, Shard

log = logging.getLogger(__name__)

INCARNATION_KEY = "uploadpp.io/incarnation"
OWNER_KEY = "uploadpp.io/owner"
SIGNED_KEY = "uploadpp.io/signed-after"
"""Metadata of a consumer: events of ours behind this position are signed."""
NOTES_KEY = "uploadpp.io/notes"
"""Metadata of a consumer: its owner notes in the Lease how far it has read (docs/adr/0051)."""
_POSITION = re.compile(r"[0-9]{1,20}")
_INCARNATION = re.compile(r"main-queue@(?:\?|[0-9T.]{1,24})(?:\+[1-9][0-9]{0,8})?")
MAX_EPOCH = 10**12
_OURS = re.compile(r"uploadpp-(0|[1-9]\d?)(?:of([1-9]\d?))?-e(0|[1-9]\d{0,12})")
_LIKE_OURS = re.compile(r"uploadpp-\d.*")
MAX_WARNED = 100
MOST_SAID = 10
_warned: set[str] = set()


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

    @property
    def has_notes(self) -> bool:
        """Whether its owner notes in the Lease how far it has read; those of earlier versions do not."""
        return NOTES_KEY in (self.info.config.metadata or {})

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
        log.warning(
            "ignoring a consumer that has the name of one of ours but was not created by the operator",
            extra={"consumer": name},
        )
    return None


def is_impostor(info: ConsumerInfo) -> bool:
    """Whether a consumer that is called like ours cannot be ours: a setting that is never changed differs.

    Where it stands says nothing of what we have read.
    """
    return info.config.ack_policy != AckPolicy.ALL or info.config.deliver_subject is not None


def impostors(consumers: Iterable[ConsumerInfo]) -> list[str]:
    """The names of such consumers; a warning says that there are any."""
    found = [each.name for each in consumers if is_impostor(each) and parse_name(each.name) is not None]
    if found:
        log.warning(
            "removing consumers with the name of one of ours that the operator did not create; permit only "
            "the operator to create consumers on the stream",
            extra={"consumers": ", ".join(found[:MOST_SAID]), "count": len(found)},
        )
    return found


class ConsumersGoneError(NatsError):
    """Somebody deleted the consumers of a shard, or the stream, before their new owner had read them."""


def latest_of(mine: list[OurConsumer], shard: Shard, noted: int | None) -> OurConsumer:
    """The consumer of the last owner of this shard.

    The one whose epoch is `noted` counts; others may only have names like ours.

    Raises:
        ConsumersGoneError: there is none any more, although there was one a moment ago.
    """
    if not mine:
        gone = f"the consumers {shard.consumer_prefix}* of the stream were deleted during the take-over"
        raise ConsumersGoneError(f"NATS: {gone}; starting over")
    return max(mine, key=lambda each: (each.epoch == noted, each.epoch))


def next_epoch(lease_epoch: int, known: Collection[int]) -> int:
    """Higher than all before. A stranger's consumer of the highest epoch does not lock us out."""
    highest = max((each for each in known if each < MAX_EPOCH), default=0)
    epoch = max(lease_epoch, highest + 1)
    while epoch >= MAX_EPOCH or epoch in known:  # no owner has come so far: the highest free one will do
        epoch = min(epoch, MAX_EPOCH) - 1
    return epoch


def start_of_layout(ours: list[OurConsumer], shard: Shard) -> int | None:
    """Where a new layout begins: where the old one, or the unused rest of this one, stands at least."""
    unused = [k.floor for k in ours if k.shard.count == shard.count and k.epoch == 0]
    latest = {k.shard: k.floor for k in sorted(ours, key=lambda k: k.epoch) if k.shard.count != shard.count}
    floors = list(latest.values()) or unused
    return min(floors) + 1 if floors else None


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
