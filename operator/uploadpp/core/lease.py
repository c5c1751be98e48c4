"""Who owns a shard: the decision behind the Lease, without the Lease.

A holder's time is measured from when *we* saw its last renewal, on our own clock, so
clocks of different machines are never compared (client-go does the same).
"""

from dataclasses import dataclass
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class Record:
    """What the Lease object says; `renewed` is an opaque mark that changes with each renewal."""

    holder: str
    renewed: str
    duration_seconds: float
    transitions: int


class Claim(StrEnum):
    """What we may do about a lease."""

    WAIT = "Wait"
    TAKE = "Take"
    KEEP = "Keep"


def claim(record: Record | None, me: str, seen_at: float, now: float) -> Claim:
    """Whether to take, keep or wait for a lease.

    Args:
        record: what the Lease says; None when there is none.
        me: our identity, fresh for each process.
        seen_at: when, on our clock in seconds, this very record was first seen.
        now: our clock, in seconds.
    """
    if record is None or not record.holder:
        return Claim.TAKE
    if record.holder == me:
        return Claim.KEEP
    return Claim.TAKE if now - seen_at >= record.duration_seconds else Claim.WAIT
