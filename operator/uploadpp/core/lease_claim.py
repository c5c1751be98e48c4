"""Who owns a shard: the decision behind the Lease, without the Lease.

A holder's time is measured from when *we* saw its last renewal, on our own clock, so
clocks of different machines are never compared (client-go does the same).

A process need not wait for one that was in its own Pod: the kubelet starts a container only when the one
before is gone (docs/adr/0013).
"""

import re
from dataclasses import dataclass
from enum import StrEnum
from math import inf
from typing import TypeGuard

MAX_HOST = 253
_NOT_OF_HOSTS = re.compile(r"[^A-Za-z0-9._-]++")
LONGEST_FACTOR = 3
"""We wait for a holder at most this many times our own lease duration, whatever its Lease says."""

LONGEST_SECONDS = 1_000_000

MAX_TRANSITIONS = 1_000_000_000
"""A larger number of transitions is not ours: the API server accepts at most 2**31 - 1, and we add one."""


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
    """A holder's name: the host's, the UID of the Pod where there is one, and what only this process has.

    Of the host's name what a host cannot be called is left out: other replicas do not listen to odd names.
    """
    host = _NOT_OF_HOSTS.sub("-", host)[:MAX_HOST].strip("-._") or "host"
    return f"{host}_{pod}.{process}" if pod else f"{host}_{process}"


def pod_of(holder: str) -> str:
    """The UID of the Pod that a holder has named; empty when it has named none."""
    return holder.rpartition("_")[2].rpartition(".")[0]


def record_of(spec: object, own_seconds: float) -> Record:
    """What a Lease says, whatever somebody has written into it by hand.

    Args:
        spec: `spec` of the Lease as it was read.
        own_seconds: our own lease time, for a holder whose own cannot be read.
    """
    said = spec if isinstance(spec, dict) else {}
    seconds, transitions = said.get("leaseDurationSeconds"), said.get("leaseTransitions")
    return Record(
        str(said.get("holderIdentity") or ""),
        str(said.get("renewTime") or ""),
        float(min(seconds, LONGEST_SECONDS)) if _is_number(seconds) and seconds > 0 else own_seconds,
        transitions if _is_number(transitions) and 0 <= transitions <= MAX_TRANSITIONS else 0,
    )


def _is_number(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool)


def claim(
    record: Record | None, me: str, seen_at: float, now: float, longest: float = inf, *, alive: bool = False
) -> Claim:
    """Whether to take, keep or wait for a lease.

    Args:
        record: what the Lease says; None when there is none.
        me: our `identity`, another one for each process.
        seen_at: when, on our clock in seconds, this very record was first seen.
        now: our clock, in seconds.
        longest: how many seconds a silent holder is waited for at most.
        alive: whether the holder has told us lately, by other means, that it is there.
    """
    if record is None or not record.holder:
        return Claim.TAKE
    if record.holder == me:
        return Claim.KEEP
    if pod_of(me) and pod_of(me) == pod_of(record.holder):
        return Claim.TAKE
    patience = longest if alive else min(record.duration_seconds, longest)
    return Claim.TAKE if now - seen_at >= patience else Claim.WAIT
