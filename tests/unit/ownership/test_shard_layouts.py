"""A replica does not begin while living ones have another number of shards."""

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest
from nats.errors import TimeoutError as NatsTimeoutError
from nats.js.api import ConsumerInfo

from uploadpp.core.sharding import Shard
from uploadpp.kube.errors import ApiError
from uploadpp.ownership import shard_layouts
from uploadpp.ownership.shard_layouts import FRESH_SECONDS, Layouts


class Site:
    """The stream's consumers, Leases that are held, and a clock."""

    def __init__(self, *consumers: str) -> None:
        self.now, self.looks, self.asked = 100.0, 0, list[str]()
        self.consumers = list(consumers)
        self.held_leases: set[str] = set()
        self.fault: Exception | None = None
        client = SimpleNamespace(jetstream=lambda: self)
        self.layouts = Layouts(cast("Any", client), 2, lambda: self.now)

    async def list_consumers(self, js: object) -> list[ConsumerInfo]:
        assert js is self
        self.looks += 1
        await asyncio.sleep(0)
        if self.fault is not None:
            raise self.fault
        return [cast("ConsumerInfo", SimpleNamespace(name=name)) for name in self.consumers]

    async def held_by_another_layout(self, name: str) -> str:
        self.asked.append(name)
        return "somebody" if name in self.held_leases else ""

    async def held(self, fresh_seconds: float = FRESH_SECONDS) -> list[str]:
        return await self.layouts.held(cast("Any", self), fresh_seconds)


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Site:
    made = Site("uploadpp-2of4-e7", "antivirus")
    monkeypatch.setattr("uploadpp.wire.stream.list_consumers", made.list_consumers)
    return made


async def test_every_lease_of_the_other_number_is_looked_at(site: Site) -> None:
    """A consumer says that there were four shards; any of their Leases may be alive."""
    site.held_leases = {Shard(3).lease_name, Shard(9).lease_name}
    assert await site.held() == [Shard(3).lease_name]
    assert site.asked == [Shard(index).lease_name for index in range(4)]


async def test_consumers_of_our_own_number_and_of_others_say_nothing(site: Site) -> None:
    site.consumers = ["uploadpp-0of2-e3", "postprocessing"]
    assert await site.held() == []
    assert site.asked == []


async def test_shards_of_one_process_share_a_fresh_look(site: Site) -> None:
    await asyncio.gather(site.held(), site.held(), site.held())
    assert site.looks == 1
    site.now += FRESH_SECONDS + 0.01
    await site.held()
    assert site.looks == 2


async def test_a_look_that_fails_is_not_taken_for_an_answer(site: Site) -> None:
    """Otherwise a replica would begin because NATS was silent."""
    site.fault = NatsTimeoutError()
    for _ in range(2):
        with pytest.raises(NatsTimeoutError):
            await site.held()
    assert site.looks == 2, "what failed is not remembered"


@pytest.mark.parametrize("fault", [NatsTimeoutError(), TimeoutError(), ApiError("no")])
async def test_watching_goes_on_after_a_failure(
    site: Site, fault: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shard_layouts, "LOOK_SECONDS", 0.0)
    site.fault = fault
    watching = asyncio.create_task(site.layouts.watch(cast("Any", site)))
    async with asyncio.timeout(10):
        while site.looks < 3:
            site.now += 1
            await asyncio.sleep(0)
    assert not watching.done()
    watching.cancel()
