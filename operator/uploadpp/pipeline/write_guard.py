"""May we still write? Asked before a resource is created, and when a write met somebody else's (law 2.4)."""

from uploadpp.kube.errors import UnavailableError
from uploadpp.kube.lease import Lease


class WriteGuard:
    """Stands between states and the API server, as the fence stands between events and the stream."""

    def __init__(self, lease: Lease) -> None:
        self._lease = lease

    async def confirm_ownership(self) -> None:
        """A write met somebody else's: make sure that we still own the shard.

        Raises:
            LeaseLostError: somebody else does.
            UnavailableError: that cannot be found out at present.
        """
        await self._lease.renew()
        if not self._lease.ours:
            raise UnavailableError("whether the shard is still ours cannot be told at the moment")

    async def may_create(self) -> None:
        """Make sure that nobody else can own the shard.

        Raises:
            LeaseLostError: somebody does.
            UnavailableError: that cannot be found out at present.
        """
        if not self._lease.ours:
            await self._lease.renew()
        if not self._lease.ours:
            raise UnavailableError(f"the Lease cannot be renewed: {self._lease.doubt}")
