"""A process that competes for a Lease."""

from collections.abc import Callable, Mapping
from typing import NamedTuple, Protocol

from uploadpp.kube.sightings import Sightings


class Bid(Protocol):
    """Decides whether a free Lease should be taken."""

    async def wants(self, free_seconds: float) -> bool:
        """Whether to take it; it could have been taken for so long."""

    def outbid(self) -> None:
        """It was not taken after all, or another process has it."""


class Claimant(NamedTuple):
    """A replica, beside the identity that it writes into a Lease."""

    shards: int = 1
    annotations: Mapping[str, str] = {}
    """What is written of the replica into the Lease, for those who stand by."""
    sightings: Sightings | None = None
    """Those of the process, where it competes for several Leases."""
    is_alive: Callable[[str], bool] = lambda _: False
    """Whether a holder has been heard lately by other means."""
    bid: Bid | None = None
    """Decides whether to take a free Lease; None always takes it."""


ANYBODY = Claimant()
