"""May we still write? Not while another owner cannot be ruled out."""

from typing import Any, cast

import pytest

from uploadpp.kube.errors import UnavailableError
from uploadpp.pipeline.write_guard import WriteGuard


class Lease:
    """Is ours or not, and perhaps after it was asked for again."""

    doubt = "no route"

    def __init__(self, ours: tuple[bool, ...]) -> None:
        self.answers = list(ours)
        self.ours = self.answers.pop(0)
        self.confirmed = 0

    async def renew(self) -> None:
        self.confirmed += 1
        if self.answers:
            self.ours = self.answers.pop(0)


def guard(lease: Lease) -> WriteGuard:
    return WriteGuard(cast("Any", lease))


@pytest.mark.parametrize(("ours", "asked"), [((True,), 0), ((False, True), 1)])
async def test_a_resource_is_created_by_its_owner(ours: tuple[bool, ...], asked: int) -> None:
    lease = Lease(ours)
    await guard(lease).may_write()
    assert lease.confirmed == asked


async def test_nothing_is_created_while_somebody_else_may_own_the_shard() -> None:
    with pytest.raises(UnavailableError, match="cannot be renewed: no route"):
        await guard(Lease((False, False))).may_write()


async def test_after_a_conflict_the_lease_is_always_asked_for() -> None:
    lease = Lease((True,))
    await guard(lease).confirm_ownership()
    assert lease.confirmed == 1
    with pytest.raises(UnavailableError, match="cannot verify"):
        await guard(Lease((False,))).confirm_ownership()
