"""The Lease of a shard with a clock that is moved by hand and an API server that is a dictionary."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.leases import DURATION, Clock, Server, attempt
from uploadpp.core.lease_claim import LONGEST_FACTOR, Claim, Record, claim, identity, record_of
from uploadpp.kube.claimant import ANYBODY, Claimant
from uploadpp.kube.errors import (
    ConflictError,
)
from uploadpp.kube.lease import Lease, LeaseLostError
from uploadpp.kube.leasenotes import (
    ENDS_ANNOTATION,
    HANDED_OVER_ANNOTATION,
    POSITION_ANNOTATION,
    SHARDS_ANNOTATION,
    UNFINISHED_ANNOTATION,
)
from uploadpp.kube.leaseobject import OURS
from uploadpp.kube.sightings import Sightings
from uploadpp.resources.keys import KEY_ANNOTATION, STEPS_ANNOTATION


@pytest.mark.parametrize(
    ("record", "seen_at", "expected"),
    [
        (None, 0, Claim.TAKE),
        (Record("", "r", 1, 3), 0, Claim.TAKE),
        (Record("me", "r", 10, 3), -100, Claim.KEEP),
        (Record("other", "r", 10, 3), 0, Claim.WAIT),
        (Record("other", "r", 10, 3), -9.9, Claim.WAIT),
        (Record("other", "r", 10, 3), -10, Claim.TAKE),
        (Record("other", "r", 0, 3), 0, Claim.TAKE),
    ],
)
def test_claim(record: Record | None, seen_at: float, expected: Claim) -> None:
    assert claim(record, "me", seen_at, 0) is expected


async def test_a_restarted_container_takes_its_pods_lease_at_once_and_as_a_new_owner(
    lease_of: Callable[[str], Lease], clock: Clock
) -> None:
    killed = lease_of(identity("a", "pod-1", "x"))
    assert await killed.acquire() == 1
    clock.now += 1
    assert await attempt(lease_of(identity("b", "pod-2", "y"))) is None
    assert await attempt(lease_of(identity("a", "pod-1", "z"))) == 2
    with pytest.raises(LeaseLostError, match=r"taken by a_pod-1\.z"):
        await killed.renew()  # should it be alive all the same


async def test_first_owner_has_epoch_one(lease_of: Callable[[str], Lease], server: Server) -> None:
    lease = lease_of("a")
    assert await lease.acquire() == 1
    assert lease.valid
    spec = server.leases["shard"]["spec"]
    assert (spec["holderIdentity"], spec["leaseDurationSeconds"]) == ("a", DURATION)
    assert spec["renewTime"].endswith("Z")


def test_nobody_owns_what_was_never_acquired(lease_of: Callable[[str], Lease]) -> None:
    assert not lease_of("a").valid


async def test_a_silent_owner_is_replaced_after_the_time_by_our_own_clock(
    lease_of: Callable[[str], Lease], server: Server, clock: Clock
) -> None:
    first, second = lease_of("a"), lease_of("b")
    await first.acquire()
    server.leases["shard"]["spec"]["renewTime"] = "2001-01-01T00:00:00Z"  # its clock means nothing to us
    assert await attempt(second) is None
    clock.now += DURATION - 0.1
    assert await attempt(second) is None
    clock.now += 0.1
    assert await attempt(second) == 2
    assert not first.valid
    with pytest.raises(LeaseLostError, match="taken by b"):
        await first.renew()


async def test_an_owner_that_renews_stays(lease_of: Callable[[str], Lease], clock: Clock) -> None:
    first, second = lease_of("a"), lease_of("b")
    await first.acquire()
    for _ in range(10):
        clock.now += DURATION * 0.7
        await first.renew()
        assert first.valid
        assert await attempt(second) is None


async def test_we_stop_trusting_it_before_others_may_take_it(
    lease_of: Callable[[str], Lease], server: Server, clock: Clock
) -> None:
    first, second = lease_of("a"), lease_of("b")
    await first.acquire()
    await attempt(second)
    server.away = True
    await first.renew()  # cannot be renewed; that alone ends nothing
    clock.now += DURATION * 0.8
    assert not first.valid
    server.away = False
    assert await attempt(second) is None
    await first.renew()
    assert first.valid


async def test_time_is_counted_from_before_the_request(
    lease_of: Callable[[str], Lease], server: Server, clock: Clock
) -> None:
    """A renewal that takes long must not make us trust it for longer than others do."""
    first = lease_of("a")
    await first.acquire()

    def slow() -> None:
        clock.now += DURATION * 0.5

    server.before_put = slow
    await first.renew()
    clock.now += DURATION * 0.4
    assert not first.valid


async def test_two_at_once(lease_of: Callable[[str], Lease], server: Server) -> None:
    """Whoever writes second loses: its version is old."""
    await lease_of("gone").acquire()
    server.leases["shard"]["spec"]["holderIdentity"] = ""
    first, second = lease_of("a"), lease_of("b")

    async def second_is_faster() -> None:
        server.before_put = lambda: None
        assert await attempt(second) == 2

    def interrupt() -> None:
        server.before_put = lambda: None
        coroutine = second_is_faster()
        with pytest.raises(StopIteration):
            coroutine.send(None)

    server.before_put = interrupt
    with pytest.raises(ConflictError):
        await attempt(first)
    assert (first.valid, second.valid) == (False, True)


async def test_released_is_taken_at_once(lease_of: Callable[[str], Lease], server: Server) -> None:
    first, second = lease_of("a"), lease_of("b")
    await first.acquire()
    assert await attempt(second) is None
    await first.release()
    assert not first.valid
    assert server.leases["shard"]["spec"]["holderIdentity"] == ""
    assert await attempt(second) == 2


async def test_rights_that_are_gone(
    lease_of: Callable[[str], Lease], server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    """No more than an unavailable API server, until we are ending: then there is nothing to wait for."""
    lease = lease_of("a")
    await lease.acquire()
    found = []
    for server.away, server.refuses in ((True, False), (False, True), (False, False)):
        await lease.renew()
        found.append(lease.forbidden)
    assert found == [False, True, False]
    server.refuses = True
    await lease.release()
    assert "the permissions were removed, as when the release is uninstalled" in caplog.text


async def test_release_leaves_a_successor_alone(
    lease_of: Callable[[str], Lease], server: Server, clock: Clock
) -> None:
    first, second = lease_of("a"), lease_of("b")
    await first.acquire()
    await attempt(second)
    clock.now += DURATION
    await attempt(second)
    await first.release()
    assert server.leases["shard"]["spec"]["holderIdentity"] == "b"


async def test_lease_deleted_by_hand(lease_of: Callable[[str], Lease], server: Server) -> None:
    """Its owner does not know who has acted meanwhile: it starts over."""
    first = lease_of("a")
    await first.acquire()
    server.leases.clear()
    with pytest.raises(LeaseLostError, match="nobody"):
        await first.renew()


async def test_acquire_survives_an_api_server_that_is_away(
    lease_of: Callable[[str], Lease], server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)
        server.away = len(waits) < 3

    monkeypatch.setattr("uploadpp.kube.lease.asyncio.sleep", sleep)
    server.away = True
    assert await lease_of("a").acquire() == 1
    assert len(waits) == 3


# -- Leases that somebody has written into by hand, and API servers that were away ----------------


@pytest.mark.parametrize(
    "spec",
    [
        {"leaseDurationSeconds": 2147483647},
        {"leaseDurationSeconds": 10**400},
        {"leaseDurationSeconds": -5},
        {"leaseDurationSeconds": None},
        {"leaseDurationSeconds": "soon"},
        {"leaseDurationSeconds": True},
        {"renewTime": "9999-12-31T23:59:59.999999Z"},
        {"renewTime": None},
        {"renewTime": 17},
        {"renewTime": "yesterday"},
        {"leaseTransitions": -7},
        {"leaseTransitions": 2147483647},
        {"leaseTransitions": "many"},
        {"leaseTransitions": None},
        {"acquireTime": None, "strategy": "OldestEmulationVersion", "preferredHolder": "nobody"},
    ],
)
async def test_a_lease_that_was_patched_by_hand_is_taken_over_in_bounded_time(
    lease_of: Callable[[str], Lease], server: Server, clock: Clock, spec: dict[str, Any]
) -> None:
    await lease_of("a").acquire()
    server.leases["shard"]["spec"].update(holderIdentity="nobody_x", **spec)
    second = lease_of("b")
    assert await attempt(second) is None
    clock.now += DURATION * LONGEST_FACTOR
    epoch = await attempt(second)
    assert epoch is not None
    assert 1 <= epoch <= 2**31 - 1
    assert server.leases["shard"]["spec"]["leaseDurationSeconds"] == DURATION
    clock.now += 1
    await second.renew()
    assert second.valid


@pytest.mark.parametrize("spec", [None, {}, [], "x"])
def test_a_lease_that_says_nothing_is_free(spec: object) -> None:
    record = record_of(spec, 15)
    assert claim(record, "me", 0, 0) is Claim.TAKE


async def test_a_holder_that_does_not_renew_is_named(
    lease_of: Callable[[str], Lease], server: Server, clock: Clock
) -> None:
    await lease_of("a").acquire()
    server.leases["shard"]["spec"].update(holderIdentity="nobody_x", leaseDurationSeconds=2147483647)
    second = lease_of("b")

    async def look() -> str:
        second.held_elsewhere, second.holder = True, (await second._try_to_acquire())[1]
        return second.silence

    assert await look() == ""
    clock.now += DURATION
    assert await look() == ""
    clock.now += 15
    assert await look() == "standing by for nobody_x, which has not renewed for 25 s"


async def test_a_holder_that_is_heard_keeps_its_lease_longer_but_not_for_ever(
    lease_by: Callable[[str, Claimant], Lease], clock: Clock
) -> None:
    await lease_by("a", ANYBODY).acquire()
    second = lease_by("b", Claimant(is_alive={"a"}.__contains__))
    assert await attempt(second) is None
    clock.now += DURATION * 2
    assert await attempt(second) is None
    clock.now += DURATION
    assert await attempt(second) == 2


async def test_time_without_an_api_server_is_not_held_against_the_holder(
    lease_of: Callable[[str], Lease], server: Server, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Everybody's Lease has expired when it is back: its living owner has a fair chance to renew it."""
    first, second = lease_of("a"), lease_of("b")
    await first.acquire()
    waited = 0.0

    async def sleep(seconds: float) -> None:
        nonlocal waited
        waited += seconds
        clock.now += seconds
        server.away = 1 < waited < 5 * DURATION

    monkeypatch.setattr("uploadpp.kube.lease.asyncio.sleep", sleep)
    assert await second.acquire() == 2
    # A quarter of the time may have passed unseen; the rest of it has to be seen.
    assert 5 * DURATION + DURATION * 0.6 < waited < 6.2 * DURATION


async def test_one_process_looks_at_every_lease_with_one_memory(
    lease_by: Callable[[str, Claimant], Lease], server: Server, clock: Clock
) -> None:
    """What one shard has seen of a Lease, another need not begin to see anew."""
    first = lease_by("a", ANYBODY)
    await first.acquire()
    server.leases["shard"]["metadata"]["annotations"]["uploadpp.io/shards"] = "7"
    of_the_process = Claimant(sightings=Sightings())
    second, third = lease_by("b", of_the_process), lease_by("b", of_the_process)
    assert await second.held_by_another_layout("shard")
    clock.now += DURATION
    assert not await third.held_by_another_layout("shard")


async def test_a_renewal_whose_answer_was_not_seen_does_not_keep_a_lease(
    lease_of: Callable[[str], Lease], server: Server
) -> None:
    """The renewal is cancelled on its way; the release finds another version than it knows."""
    lease = lease_of("a")
    await lease.acquire()
    server.leases["shard"]["metadata"]["resourceVersion"] = "77"
    await lease.release()
    assert server.leases["shard"]["spec"]["holderIdentity"] == ""


@pytest.mark.parametrize(
    "strange",
    [
        {"annotations": {f"uploadpp.io/x{number}": "x" * 4000 for number in range(65)}},
        {"annotations": {"x": "x" * 255_000}},
        {"annotations": {f"x{number}": "y" * 50 for number in range(4000)}},
        {"annotations": {"uploadpp.io/position": "[" * 200_000}},
        {"labels": {f"x{number}": "y" * 50 for number in range(4000)}},
        {"finalizers": [f"a.example/{number}" for number in range(4000)]},
        {"ownerReferences": [{"name": "x" * 200, "uid": str(number)} for number in range(500)]},
    ],
)
async def test_what_strangers_write_into_the_metadata_does_not_stay(
    lease_of: Callable[[str], Lease], server: Server, clock: Clock, strange: dict[str, Any]
) -> None:
    """An annotation near the API server's limit would leave no room for what the next owner writes."""
    await lease_of("a").acquire()
    server.leases["shard"]["metadata"].update(strange)
    clock.now += DURATION * LONGEST_FACTOR
    second = lease_of("b")
    assert await attempt(second) is None
    clock.now += DURATION * LONGEST_FACTOR
    assert await attempt(second) is not None
    meta = server.leases["shard"]["metadata"]
    assert len(str(meta)) < 2000
    assert meta["annotations"]["uploadpp.io/shards"] == "1"


async def test_a_little_of_others_stays(lease_of: Callable[[str], Lease], server: Server) -> None:
    first = lease_of("a")
    await first.acquire()
    server.leases["shard"]["metadata"]["annotations"]["argocd.example/sync"] = "yes"
    await first.renew()
    assert server.leases["shard"]["metadata"]["annotations"]["argocd.example/sync"] == "yes"


def test_what_we_write_into_the_lease_is_known_as_ours() -> None:
    """All else goes when it is much."""
    named = {SHARDS_ANNOTATION, HANDED_OVER_ANNOTATION, UNFINISHED_ANNOTATION, POSITION_ANNOTATION}
    assert named | {ENDS_ANNOTATION, KEY_ANNOTATION, STEPS_ANNOTATION} == OURS
