"""The Lease keeps the position of the log while no consumer does."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from tests.leases import DURATION, Clock, Server, attempt
from uploadpp.kube.errors import ApiError
from uploadpp.kube.lease import Lease, LeaseLostError
from uploadpp.kube.leasenotes import POSITION_ANNOTATION


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


class Log:
    """How far an owner has come."""

    def __init__(self) -> None:
        self.position = 0

    def __call__(self) -> str:
        return f"position {self.position}"


def noted(server: Server) -> str | None:
    annotations: dict[str, str] = server.leases["shard"]["metadata"]["annotations"]
    return annotations.get(POSITION_ANNOTATION)


async def test_a_renewal_notes_what_was_true_at_the_renewal_before(
    lease_of: Callable[[str], Lease], server: Server, clock: Clock
) -> None:
    """When etcd loses its last seconds, the Lease need not show it. The note that it gets then is right."""
    lease, log = lease_of("a"), Log()
    await lease.acquire()
    lease.follow(log)
    found = []
    for log.position in range(5):
        clock.now += DURATION / 4
        await lease.renew()
        found.append(noted(server))
    assert found == [None, "position 0", "position 1", "position 2", "position 3"]


async def renewed_when_due(lease: Lease, log: "Log", clock: Clock, times: int) -> None:
    """Renew so many times, each as late as an owner does, while the log goes on."""
    for log.position in range(times):
        clock.now += DURATION / 4
        await lease.renew()


async def test_renewals_in_a_row_do_not_make_the_note_younger(
    lease_of: Callable[[str], Lease], server: Server, clock: Clock
) -> None:
    """A conflict has the Lease renewed at once: so it is for each write over an older copy."""
    lease, log = lease_of("a"), Log()
    await lease.acquire()
    lease.follow(log)
    await renewed_when_due(lease, log, clock, times=3)
    for log.position in range(3, 9):
        await lease.renew()
    assert noted(server) == "position 1"


async def test_the_release_notes_how_far_the_owner_has_come(
    lease_of: Callable[[str], Lease], server: Server
) -> None:
    lease, log = lease_of("a"), Log()
    await lease.acquire()
    lease.follow(log)
    log.position = 7
    await lease.release()
    assert noted(server) == "position 7"


@pytest.mark.parametrize("by", ["renewal", "keep", "release"])
async def test_over_an_older_copy_of_the_lease_nothing_is_written(
    lease_of: Callable[[str], Lease], server: Server, clock: Clock, by: str
) -> None:
    lease, log = lease_of("a"), Log()
    await lease.acquire()
    lease.follow(log)
    await renewed_when_due(lease, log, clock, times=3)
    copy = server.leases["shard"]
    clock.now += DURATION / 4
    log.position = 9
    await lease.renew()
    server.leases["shard"] = copy
    if "release" in by:
        await lease.release()
    else:
        with pytest.raises(LeaseLostError, match="older copy"):
            await (lease.renew() if by == "renewal" else lease.keep("position 8"))
        assert not lease.valid
        await lease.release()
    assert server.leases["shard"] is copy
    following = lease_of("a")
    assert await following.acquire() is not None
    assert following.kept == "position 1"


async def test_the_late_answer_to_another_renewal_of_ours_is_no_older_copy(
    lease_of: Callable[[str], Lease], server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each conflict of a write has the Lease renewed, beside the renewal that is due."""
    lease = lease_of("a")
    await lease.acquire()
    real, late, read = server.request, asyncio.Event(), asyncio.Event()

    async def slow(method: str, path: str, body: Any = None, *, timeout: float) -> dict[str, Any]:  # noqa: ASYNC109, ANN401
        answer = await real(method, path, body, timeout=timeout)
        if method == "GET" and not read.is_set():
            read.set()
            await late.wait()
        return answer

    monkeypatch.setattr(server, "request", slow)
    first = asyncio.create_task(lease.renew())
    await read.wait()
    await lease.renew()
    late.set()
    await first
    await lease.renew()
    assert lease.valid


async def test_whoever_has_seen_an_older_resource_leaves_the_note_as_it_is(
    lease_of: Callable[[str], Lease], server: Server, clock: Clock
) -> None:
    lease, log = lease_of("a"), Log()
    await lease.acquire()
    lease.follow(log)
    await renewed_when_due(lease, log, clock, times=3)
    log.position = 9
    assert isinstance(lease.gone_back("a resource is older"), LeaseLostError)
    await lease.renew()  # one that was on its way
    await lease.release()
    assert noted(server) == "position 1"


async def test_another_lease_with_our_name_ends_the_ownership(
    lease_of: Callable[[str], Lease], server: Server
) -> None:
    lease = lease_of("a")
    await lease.acquire()
    held = server.leases["shard"]
    server.leases["shard"] = {**held, "metadata": {**held["metadata"], "uid": "another"}}
    with pytest.raises(LeaseLostError, match="older copy"):
        await lease.renew()
