"""A policy or webhook that lets nobody write Leases, or changes what is written."""

import logging
from collections.abc import Callable

import pytest

from tests.leases import DURATION, Clock, Server, attempt
from uploadpp.kube.errors import (
    ApiError,
    ForbiddenError,
    NotFoundError,
    Refusal,
    RefusedError,
    UnavailableError,
)
from uploadpp.kube.lease import READ_SECONDS, Lease, LeaseLostError
from uploadpp.kube.leasenotes import POSITION_ANNOTATION, SHARDS_ANNOTATION

REFUSALS = [
    RefusedError("422 closed for maintenance", Refusal.POLICY),
    RefusedError("403 denied the request: closed for maintenance", Refusal.WEBHOOK),
    UnavailableError("500 failed calling webhook: closed for maintenance", reason=Refusal.WEBHOOK),
    ForbiddenError("403 closed for maintenance"),
    NotFoundError("404 closed for maintenance"),
]


@pytest.mark.parametrize("refusal", REFUSALS)
async def test_refused_renewals_end_nothing_while_the_lease_bears_our_name(
    lease_of: Callable[[str], Lease],
    server: Server,
    clock: Clock,
    caplog: pytest.LogCaptureFixture,
    refusal: ApiError,
) -> None:
    caplog.set_level(logging.WARNING)
    lease = lease_of("a")
    await lease.acquire()
    server.refuses_writes = refusal
    for _ in range(5):
        clock.now += DURATION
        await lease.renew()
    assert (lease.valid, lease.ours) == (False, True)
    assert "closed for maintenance" in lease.doubt
    assert len([each for each in caplog.records if "not renewed" in each.message]) == 1
    clock.now += READ_SECONDS
    assert not lease.ours
    await lease.release()
    server.refuses_writes = None
    await lease.renew()
    assert (lease.valid, lease.doubt) == (True, "")


async def test_refused_renewals_do_not_hide_that_another_has_taken_it(
    lease_of: Callable[[str], Lease], server: Server, clock: Clock
) -> None:
    first, second = lease_of("a"), lease_of("b")
    await first.acquire()
    server.refuses_writes = REFUSALS[0]
    await attempt(second)
    clock.now += DURATION
    await first.renew()
    assert first.ours
    server.refuses_writes = None
    clock.now += DURATION
    assert await attempt(second) == 2
    server.refuses_writes = REFUSALS[0]
    with pytest.raises(LeaseLostError, match="taken by b"):
        await first.renew()
    assert not first.ours


@pytest.mark.parametrize(
    "changes", [{"holderIdentity": "x"}, {"leaseDurationSeconds": 1}, {"leaseTransitions": 7}]
)
async def test_a_lease_that_a_webhook_changes_is_not_ours(
    lease_of: Callable[[str], Lease], server: Server, changes: dict[str, object]
) -> None:
    server.changes = changes
    lease = lease_of("a")
    with pytest.raises(RefusedError, match=next(iter(changes))):
        await attempt(lease)
    assert not lease.ours


async def test_a_lease_whose_annotations_a_webhook_drops_is_ours_and_says_so(
    lease_of: Callable[[str], Lease], server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    """Were it not said, nobody would know why no ended upload is removed."""
    caplog.set_level(logging.WARNING)
    server.drops = {SHARDS_ANNOTATION}
    lease = lease_of("a")
    assert await attempt(lease) == 1
    assert (lease.ours, SHARDS_ANNOTATION in lease.doubt, POSITION_ANNOTATION in lease.doubt) == (
        True,
        True,
        False,
    )
    await lease.renew()
    server.drops = {SHARDS_ANNOTATION, POSITION_ANNOTATION}
    await lease.keep("7")
    assert (lease.valid, lease.kept, POSITION_ANNOTATION in lease.doubt) == (True, "", True)
    assert "exempt the Lease" in lease.doubt
    await lease.renew()
    assert len([each for each in caplog.records if "annotations not kept" in each.message]) == 2
    server.drops = set()
    await lease.renew()
    assert (lease.valid, lease.kept, lease.doubt) == (True, "7", "")


async def test_other_annotations_of_a_lease_do_not_count(
    lease_of: Callable[[str], Lease], server: Server
) -> None:
    lease = lease_of("a")
    await attempt(lease)
    server.leases["shard"]["metadata"]["annotations"]["example.com/team"] = "blue"
    server.drops = {"example.com/team"}
    await lease.renew()
    assert "example.com/team" not in server.leases["shard"]["metadata"]["annotations"]
    assert lease.doubt == ""
