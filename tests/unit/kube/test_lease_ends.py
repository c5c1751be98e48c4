"""The note about ends in the Lease: it outlives owners that do not touch it (docs/adr/0063)."""

from collections.abc import Callable

from tests.leases import Server
from uploadpp.kube.lease import Lease
from uploadpp.kube.leasenotes import ENDS_ANNOTATION


async def test_it_is_kept_until_an_owner_writes_another(
    lease_of: Callable[[str], Lease], server: Server
) -> None:
    first = lease_of("a")
    await first.acquire()
    assert first.ends.kept == ""
    first.ends.keep("u1")
    assert first.ends.kept == ""
    await first.renew()
    assert first.ends.kept == "u1"
    await first.release()
    second = lease_of("b")
    await second.acquire()
    assert second.ends.kept == "u1"
    second.ends.keep("")
    await second.renew()
    assert second.ends.kept == ""
    assert ENDS_ANNOTATION not in server.leases["shard"]["metadata"]["annotations"]


async def test_a_release_writes_it(lease_of: Callable[[str], Lease], server: Server) -> None:
    lease = lease_of("a")
    await lease.acquire()
    lease.ends.keep("u1")
    await lease.release()
    assert server.leases["shard"]["metadata"]["annotations"][ENDS_ANNOTATION] == "u1"
