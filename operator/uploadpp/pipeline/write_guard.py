"""Whether this process may still write (invariant 2.4).

Asked before each write, and after one that conflicted with another client's.
"""

from uploadpp.kube.errors import UnavailableError
from uploadpp.kube.lease import Lease
from uploadpp.kube.store import Stored, version_of

GONE_BACK = "a resource is older than our last write: etcd was restored from an older copy"


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
            raise UnavailableError("cannot verify at the moment that this replica still owns the shard")

    def check_not_older(self, known: Stored | None, now: Stored) -> None:
        """Make sure that a resource which was read is not from before our last look at it.

        Raises:
            LeaseLostError: it is. What was written since is lost, and only the log still has it.
        """
        if known is not None and known.uid == now.uid and 0 < version_of(now) < version_of(known):
            raise self._lease.gone_back(GONE_BACK)

    async def may_write(self) -> None:
        """Make sure that nobody else can own the shard.

        Raises:
            LeaseLostError: somebody does.
            UnavailableError: that cannot be found out at present.
        """
        if not self._lease.ours:
            await self._lease.renew()
        if not self._lease.ours:
            raise UnavailableError(f"the Lease cannot be renewed: {self._lease.doubt}")
