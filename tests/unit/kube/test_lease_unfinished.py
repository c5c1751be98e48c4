"""How many owners in a row ended before they were past the same part of the log (docs/adr/0026)."""

from collections.abc import Callable

import pytest

from tests.leases import DURATION, Clock, Server
from uploadpp.kube.claimant import Claimant
from uploadpp.kube.lease import Lease
from uploadpp.kube.leasenotes import UNFINISHED_ANNOTATION
from uploadpp.kube.sightings import Sightings


@pytest.mark.parametrize("said", ["", "two", "-1", "٣", "9" * 40])
async def test_what_others_write_of_unfinished_owners(
    server: Server, lease_of: Callable[[str], Lease], said: str
) -> None:
    first = lease_of("a")
    await first.acquire()
    await first.release()
    server.leases["shard"]["metadata"]["annotations"][UNFINISHED_ANNOTATION] = said
    second = lease_of("b")
    await second.acquire()
    assert second.unfinished == 0


async def test_owners_that_end_before_they_are_settled_are_counted(
    server: Server, clock: Clock, lease_by: Callable[[str, Claimant], Lease]
) -> None:
    """One that dies after it was settled counts, too: it may be the first that met a message."""
    sightings = Sightings()

    async def took(name: str) -> Lease:
        lease = lease_by(name, Claimant(sightings=sightings))
        if (await lease._try_to_acquire())[0] is None:
            clock.now += DURATION + 1
            assert (await lease._try_to_acquire())[0] is not None
        return lease

    first = await took("a")
    first.note_settled(settled=True)
    await first.renew()
    assert first.unfinished == 0
    second = await took("b")
    assert second.unfinished == 1
    third = await took("c")
    assert third.unfinished == 2
    await third.release()  # told to end before it was past it
    fourth = await took("d")
    assert fourth.unfinished == 2
    await fourth.release(failed=True)
    fifth = await took("e")
    assert fifth.unfinished == 3
    fifth.note_settled(settled=True)
    await fifth.renew()
    assert UNFINISHED_ANNOTATION not in server.leases["shard"]["metadata"]["annotations"]
    await fifth.release()
    assert (await took("f")).unfinished == 0
