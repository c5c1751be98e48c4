"""The services that tests play: a slow machine does not make them answer twice."""

import asyncio
from typing import Any

import pytest
from nats.js import JetStreamContext

from e2e.cluster.nats import NatsServer
from e2e.demo.wire import STREAM
from tests.driver import Driver


async def test_a_consumer_that_takes_long_to_create_is_not_created_twice(
    nats: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    subscribe = JetStreamContext.subscribe

    async def slow(
        js: JetStreamContext,
        subject: str,
        **options: Any,  # noqa: ANN401 -- those of the library
    ) -> JetStreamContext.PushSubscription:
        await asyncio.sleep(1.2)  # in which its watch looks for it
        return await subscribe(js, subject, **options)

    async with Driver(nats.url) as driver:
        monkeypatch.setattr(JetStreamContext, "subscribe", slow)
        await driver.again()
        await asyncio.sleep(1.5)
        assert len(await driver.js.consumers_info(STREAM)) == len({"the first", "the one of again()"})
