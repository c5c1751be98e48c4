"""Which shard an upload belongs to, whatever the number of shards is.

Every upload has a bucket for life (a label of its resource); a shard owns the buckets that
leave its index when divided by the number of shards. So that number can change without
touching a resource.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import sha256

BUCKETS = 64
BUCKET_LABEL = "uploadpp.io/bucket"


def bucket_of(upload_id: str) -> int:
    """The bucket of an upload, the same for every process and version."""
    return int.from_bytes(sha256(upload_id.encode()).digest()[:4]) % BUCKETS


def bucket_label(upload_id: str) -> str:
    """The value of the label that the resource of an upload has."""
    return f"{bucket_of(upload_id):02d}"


@dataclass(frozen=True, slots=True)
class Shard:
    """One of `count` shards."""

    index: int = 0
    count: int = 1

    def owns(self, upload_id: str) -> bool:
        """Whether an upload is this shard's."""
        return self.count == 1 or bucket_of(upload_id) % self.count == self.index

    @property
    def filter(self) -> Callable[[str], bool] | None:
        """`owns`, where not every upload is this shard's."""
        return self.owns if self.count > 1 else None

    @property
    def selector(self) -> str:
        """A label selector for this shard's resources, and for those without a label.

        People make resources without it; `owns` sorts them out afterwards.
        """
        others = [f"{bucket:02d}" for bucket in range(BUCKETS) if bucket % self.count != self.index]
        return f"{BUCKET_LABEL} notin ({','.join(others)})" if others else ""

    @property
    def lease_name(self) -> str:
        """The Lease of this index; shared by layouts of any count, so that they exclude each other."""
        return f"uploadpp-shard-{self.index}"

    @property
    def consumer_prefix(self) -> str:
        """What the names of this shard's consumers begin with; the epoch follows."""
        layout = "" if self.count == 1 else f"of{self.count}"
        return f"uploadpp-{self.index}{layout}-e"


def shares(owned: Mapping[str, int], shards: int) -> dict[str, int]:
    """How many shards each replica should own, so that the numbers differ by one at most.

    Replicas that own more now keep the odd ones, so as few shards move as possible. All replicas
    with the same view get the same answer.

    Args:
        owned: how many shards each replica owns now, by its name.
        shards: how many there are.
    """
    each, odd = divmod(shards, len(owned)) if owned else (0, 0)
    ranked = sorted(owned, key=lambda name: (-owned[name], name))
    return {name: each + (rank < odd) for rank, name in enumerate(ranked)}
