"""The Lease keeps the position of the log while no consumer does."""

from collections.abc import Callable

import pytest

from tests.leases import DURATION, Clock, Server, attempt
from uploadpp.kube.errors import ApiError
from uploadpp.kube.lease import POSITION_ANNOTATION, Lease, LeaseLostError


async def test_a_position_is_kept_over_renewals_and_owners_until_it_is_dropped(
    lease_of: Callable[[str], Lease], server: Server
) -> None:
    lease = lease_of("a")
    await lease.acquire()
    assert lease.kept == ""
    await lease.keep("position 7")
    await lease.renew()
    assert server.leases["shard"]["metadata"]["annotations"][POSITION_ANNOTATION] == "position 7"
    await lease.release()
    following = lease_of("b")
    await following.acquire()
    assert following.kept == "position 7"
    await following.keep("")
    assert following.kept == ""
    assert POSITION_ANNOTATION not in server.leases["shard"]["metadata"]["annotations"]


async def test_a_position_is_kept_beside_a_renewal_of_ours(
    lease_of: Callable[[str], Lease], server: Server
) -> None:
    lease = lease_of("a")
    await lease.acquire()
    others = 0

    def renewed() -> None:
        nonlocal others
        others += 1
        if others == 1:
            server.leases["shard"] = {
                **server.leases["shard"],
                "metadata": {**server.leases["shard"]["metadata"], "resourceVersion": "renewed"},
            }

    server.before_put = renewed
    await lease.keep("position 7")
    assert (others, lease.kept) == (2, "position 7")


async def test_a_position_is_not_kept_for_somebody_else(
    lease_of: Callable[[str], Lease], server: Server, clock: Clock
) -> None:
    paused, owner = lease_of("a"), lease_of("b")
    await paused.acquire()
    assert await attempt(owner) is None
    clock.now += DURATION
    assert await attempt(owner) == 2
    with pytest.raises(LeaseLostError, match="taken by b"):
        await paused.keep("position 7")
    assert POSITION_ANNOTATION not in server.leases["shard"]["metadata"]["annotations"]
    assert not paused.valid


@pytest.mark.parametrize("fault", ["away", "refuses"])
async def test_a_position_that_may_not_be_kept_is_no_leave_to_go_on(
    lease_of: Callable[[str], Lease], server: Server, fault: str
) -> None:
    lease = lease_of("a")
    await lease.acquire()
    setattr(server, fault, True)
    with pytest.raises(ApiError):
        await lease.keep("position 7")
