"""Who owns a shard: the decision behind the Lease, without the Lease.

A holder's time is measured from when *we* saw its last renewal, on our own clock, so
clocks of different machines are never compared (client-go does the same).

A process need not wait for one that was in its own Pod: the kubelet starts a container only when the one
before is gone (docs/adr/0013).
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


def identity(host: str, pod: str, process: str) -> str:
    """A holder's name: the host's, the UID of the Pod where there is one, and what only this process has."""
    return f"{host}_{pod}.{process}" if pod else f"{host}_{process}"


def pod_of(holder: str) -> str:
    """The UID of the Pod that a holder has named; empty when it has named none."""
    return holder.rpartition("_")[2].rpartition(".")[0]


def claim(record: Record | None, me: str, seen_at: float, now: float) -> Claim:
    """Whether to take, keep or wait for a lease.

    Args:
        record: what the Lease says; None when there is none.
        me: our `identity`, another one for each process.
        seen_at: when, on our clock in seconds, this very record was first seen.
        now: our clock, in seconds.
    """
    if record is None or not record.holder:
        return Claim.TAKE
    if record.holder == me:
        return Claim.KEEP
    if pod_of(me) and pod_of(me) == pod_of(record.holder):
        return Claim.TAKE
    return Claim.TAKE if now - seen_at >= record.duration_seconds else Claim.WAIT
