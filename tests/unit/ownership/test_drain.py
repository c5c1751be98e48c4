"""The wait at the end of an ownership, with a Lease that says what a test wants it to."""

import asyncio

import pytest

from uploadpp.kube.lease import Lease, LeaseLostError
from uploadpp.ownership import drain
from uploadpp.ownership.drain import wait_until_drained


class Writing:
    """Is done with it when a test says so."""

    idle = False


class Asked(Lease):
    """Counts how often it is asked; nothing behind it."""

    def __init__(self) -> None:
        self.asked = 0
        self.forbidden = False
        self.lost = False
        self.hangs = False

    async def renew(self) -> None:
        self.asked += 1
        if self.hangs:
            await asyncio.sleep(60)
        if self.lost:
            raise LeaseLostError("taken by b")


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drain, "ASK_SECONDS", 0.03)


async def test_all_is_published_and_stored() -> None:
    writing, lease, unpublished = Writing(), Asked(), ["one"]
    waiting = asyncio.create_task(wait_until_drained(unpublished, writing, lease))
    await asyncio.sleep(0.1)
    writing.idle = True
    await asyncio.sleep(0.05)
    assert not waiting.done()
    unpublished.clear()
    assert await asyncio.wait_for(waiting, 1)
    assert lease.asked >= 2


async def test_nothing_to_wait_for_asks_nobody() -> None:
    writing, lease = Writing(), Asked()
    writing.idle = True
    assert await wait_until_drained([], writing, lease)
    assert lease.asked == 0


@pytest.mark.parametrize("name", ["forbidden", "lost"])
async def test_what_cannot_be_stored_any_more_is_not_waited_for(name: str) -> None:
    lease = Asked()
    setattr(lease, name, True)
    assert not await asyncio.wait_for(wait_until_drained([], Writing(), lease), 1)
    assert lease.asked == 1


@pytest.mark.parametrize("hangs", [False, True], ids=["", "an API server that hangs"])
async def test_not_for_ever(monkeypatch: pytest.MonkeyPatch, *, hangs: bool) -> None:
    monkeypatch.setattr(drain, "LONGEST_SECONDS", 0.5)
    lease = Asked()
    lease.hangs = hangs
    assert not await asyncio.wait_for(wait_until_drained([], Writing(), lease), 30)
    assert lease.asked == 1 if hangs else lease.asked > 1
