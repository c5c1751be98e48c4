"""May we still publish? The Lease says so, else our consumer, else nobody."""

from typing import Any, cast

import pytest
from nats.errors import Error as NatsError

from uploadpp.kube.lease import LeaseLostError
from uploadpp.pipeline import fence as module
from uploadpp.pipeline.fence import TRUSTED_SECONDS, Fence, FencedError

PLACE = cast("Any", type("ConsumerPosition", (), {"consumer": "uploadpp-0-e7"})())


class World:
    """A Lease, a consumer and a clock."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.valid, self.now = True, 100.0
        self.consumer: list[bool | Exception] = []
        self.renewals: list[bool | Exception] = []
        self.asked: list[str] = []
        self.fence = Fence(cast("Any", self), lambda: self.now)
        patch.setattr(module, "consumer_exists", self.consumer_exists)
        patch.setattr(module, "RETRY_SECONDS", 0.0)

    async def consumer_exists(self, *_: object) -> bool:
        self.asked.append("consumer")
        return self._answer(self.consumer)

    async def renew(self) -> None:
        self.asked.append("lease")
        self.valid = self._answer(self.renewals)

    @staticmethod
    def _answer(answers: list[bool | Exception]) -> bool:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def bind(self) -> None:
        self.fence.bind(cast("Any", self), PLACE)


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    return World(monkeypatch)


async def test_with_a_valid_lease_nobody_is_asked(world: World) -> None:
    await world.fence.pass_through()
    assert world.asked == []


async def test_without_one_the_consumer_answers_for_a_while(world: World) -> None:
    world.bind()
    world.valid, world.consumer = False, [True, True]
    for _ in range(3):
        await world.fence.pass_through()
    assert world.asked == ["consumer"]
    world.now += TRUSTED_SECONDS
    await world.fence.pass_through()
    assert world.asked == ["consumer", "consumer"]


async def test_whoever_has_lost_the_consumer_publishes_nothing(world: World) -> None:
    world.bind()
    world.valid, world.consumer = False, [False]
    with pytest.raises(FencedError, match="uploadpp-0-e7"):
        await world.fence.pass_through()


async def test_whoever_has_lost_the_lease_publishes_nothing(world: World) -> None:
    world.bind()
    world.valid, world.consumer, world.renewals = False, [NatsError()], [LeaseLostError("b has it")]
    with pytest.raises(LeaseLostError):
        await world.fence.pass_through()


async def test_while_nobody_answers_it_waits(world: World) -> None:
    world.bind()
    world.valid, world.consumer, world.renewals = (
        False,
        [NatsError(), TimeoutError(), NatsError()],
        [False, False, True],
    )
    await world.fence.pass_through()
    assert world.asked == ["consumer", "lease"] * 3


async def test_before_a_consumer_is_ours_only_the_lease_counts(world: World) -> None:
    world.valid, world.renewals = False, [True]
    await world.fence.pass_through()
    assert world.asked == ["lease"]
