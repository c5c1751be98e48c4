"""A step that nobody serves is named within seconds, and no other."""

from types import SimpleNamespace
from typing import Any, cast

import pytest
from nats.errors import Error as NatsError
from nats.js.api import ConsumerInfo

from uploadpp.core.model import DELAY_STEP
from uploadpp.ownership import step_listeners
from uploadpp.ownership.step_listeners import ABSENT_LOOKS, ANSWERED_SECONDS, Listeners, advice
from uploadpp.telemetry.metrics import Metrics
from uploadpp.wire.listeners import durable_name

STEPS = ("virusscan", DELAY_STEP, "mine")


class Site:
    """Services that read the stream, and a clock."""

    def __init__(self, *services: str) -> None:
        self.now, self.services, self.metrics = 10_000.0, list(services), Metrics()
        self.listeners = Listeners(cast("Any", self), STEPS, self.metrics, clock=lambda: self.now)

    async def list_consumers(self, js: object) -> list[ConsumerInfo]:
        assert js is self
        found = [SimpleNamespace(name=name, push_bound=True) for name in self.services]
        return cast("list[ConsumerInfo]", found)

    async def look(self, times: int = 1) -> list[str]:
        for _ in range(times):
            await self.listeners._look()
        return self.listeners.missing

    def gauge(self, step: str) -> float | None:
        return self.metrics.registry.get_sample_value("uploadpp_step_listeners", {"step": step})


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Site:
    made = Site()
    monkeypatch.setattr(step_listeners, "list_consumers", made.list_consumers)
    return made


async def test_a_service_may_be_between_two_requests(site: Site) -> None:
    """So one look that does not find it says nothing; and a delay needs no service."""
    assert await site.look(ABSENT_LOOKS - 1) == []
    assert (site.gauge("mine"), site.gauge(DELAY_STEP)) == (1, None)
    assert await site.look() == ["virusscan", "mine"]
    assert site.gauge("mine") == 0


async def test_looks_have_to_miss_it_in_a_row(site: Site) -> None:
    await site.look(ABSENT_LOOKS - 1)
    site.services = ["antivirus", durable_name("mine")]
    await site.look()
    site.services = []
    assert await site.look(ABSENT_LOOKS - 1) == []


async def test_a_step_that_has_answered_lately_is_served(site: Site) -> None:
    """By whatever means: its service may read in a way that no consumer shows."""
    site.metrics.answered_at["mine"] = site.now - ANSWERED_SECONDS
    assert await site.look(ABSENT_LOOKS) == ["virusscan"]
    site.now += 0.1
    assert await site.look(ABSENT_LOOKS) == ["virusscan", "mine"]


async def test_it_is_said_once_and_once_when_it_is_there(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    site.services = ["antivirus"]
    await site.look(ABSENT_LOOKS + 3)
    assert [record.getMessage() for record in caplog.records] == [advice("mine")]
    caplog.clear()
    site.services.append(durable_name("mine"))
    assert await site.look(2) == []
    assert [record.getMessage() for record in caplog.records] == ["a service listens for step mine"]


async def test_looking_goes_on_when_nats_does_not_answer(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []

    class EnoughError(Exception):
        """So many looks are enough."""

    async def fail(js: object) -> list[ConsumerInfo]:
        del js
        raise NatsError

    async def sleep(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == ABSENT_LOOKS + 1:
            raise EnoughError

    monkeypatch.setattr(step_listeners, "list_consumers", fail)
    monkeypatch.setattr(step_listeners, "asyncio", SimpleNamespace(sleep=sleep))
    with pytest.raises(EnoughError):
        await site.listeners.run()
    assert site.listeners.missing == []
    often, rarely = step_listeners.FIRST_LOOKS_SECONDS, step_listeners.LOOK_SECONDS
    assert waits == [often] * (ABSENT_LOOKS - 1) + [rarely] * 2


@pytest.mark.parametrize(
    ("step", "service", "consumer"),
    [("virusscan", "the service antivirus", "antivirus"), ("mine", "a service", durable_name("mine"))],
)
def test_the_advice_names_what_to_start(step: str, service: str, consumer: str) -> None:
    assert f"until {service} (consumer {consumer}) runs" in advice(step)
