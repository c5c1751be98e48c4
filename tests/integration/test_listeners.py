"""A step that nobody serves is named before an upload waits for it; on the real NATS."""

import asyncio
import logging

import nats as nats_client
import pytest
from nats.js import JetStreamContext

from e2e.cluster.instance import Instance
from e2e.cluster.kubectl import Kubectl
from e2e.cluster.local import LocalCluster
from e2e.cluster.nats import NatsServer
from e2e.operator_process import Operator, OperatorOptions
from tests.driver import Driver, reasons, start_working, until, until_reasons
from uploadpp.ownership.step_listeners import Listeners
from uploadpp.telemetry.metrics import Metrics
from uploadpp.wire.listeners import durable_name
from uploadpp.wire.stream import STREAM, ensure_stream


async def until_missing(listeners: Listeners, missing: list[str]) -> None:
    async with asyncio.timeout(20):
        while listeners.missing != missing:  # noqa: ASYNC110 -- a test may poll
            await asyncio.sleep(0.01)


async def read(js: JetStreamContext, durable: str) -> None:
    """A service as our kit makes them: it asks again and again."""
    subscription = await js.pull_subscribe(STREAM, durable=durable)
    while True:
        try:
            await subscription.fetch(1, timeout=5)
        except TimeoutError:
            continue


@pytest.mark.each_nats
async def test_steps_without_a_service_are_named_until_it_comes(
    nats: NatsServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    ours, theirs = [await nats_client.connect(nats.url) for _ in range(2)]
    metrics = Metrics()
    try:
        await ensure_stream(ours.jetstream())
        steps = ["virusscann", "virusscan", "delay", "convert"]
        listeners = Listeners(ours.jetstream(), steps, metrics, look_seconds=0.02)
        running = asyncio.create_task(listeners.run())
        await until_missing(listeners, ["virusscann", "virusscan", "convert"])
        warned = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
        assert "no service listens for step virusscan: " in warned[1]
        assert "antivirus" in warned[1]
        assert "consumer uploadpp-step-convert" in warned[2]

        await theirs.jetstream().subscribe(STREAM, "antivirus", durable="antivirus")
        reading = asyncio.create_task(read(theirs.jetstream(), durable_name("convert")))
        await until_missing(listeners, ["virusscann"])
        value = metrics.registry.get_sample_value
        assert value("uploadpp_step_listeners", {"step": "virusscann"}) == 0
        assert value("uploadpp_step_listeners", {"step": "virusscan"}) == 1
        assert value("uploadpp_step_listeners", {"step": "delay"}) is None
        assert "a service listens for step convert" in caplog.text

        reading.cancel()
        await theirs.close()
        await until_missing(listeners, steps[:2] + steps[3:])
        metrics.answered_at["virusscann"] = asyncio.get_running_loop().time()
        await until_missing(listeners, ["virusscan", "convert"])
        running.cancel()
    finally:
        for each in (ours, theirs):
            if not each.is_closed:
                await each.close()


async def until_shown(kubectl: Kubectl, expected: dict[str, str]) -> None:
    """Wait until the column STATUS says this of each upload."""

    async def is_shown() -> bool:
        table = await asyncio.to_thread(kubectl, "get", "upp", "--no-headers")
        rows = [line.split() for line in table.splitlines()]  # without a status, cells are empty
        return {row[0]: "".join(row[2:3]) for row in rows} == expected

    await until(is_shown)


async def test_uploads_show_that_no_service_listens_until_one_does(
    cluster: LocalCluster, instance: Instance, nats: NatsServer, namespace: str, kubectl: Kubectl
) -> None:
    """Long before they stall by their time, which is ten minutes; also over a restart."""
    options = OperatorOptions(cluster.kubeconfig, nats.address, namespace, ("virusscan",))
    operator = Operator(instance, options)
    names = ("0b7a5d0e-53a4-4f6b-9d0e-6f1f6d5f2c11", "u2")
    async with Driver(nats.url, silent=True) as driver:
        await start_working(operator)
        await driver.upload(*names)
        await until_shown(kubectl, dict.fromkeys(names, "NoService"))
        assert reasons(kubectl.json("get", "upp")) == dict.fromkeys(names, "Running")
        table = kubectl("get", "upp")
        assert max(map(len, table.splitlines())) <= 80, table
        assert "no service listens for step virusscan; start one" in kubectl("get", "upp", "-o", "wide")
        await asyncio.to_thread(operator.kill)
        await start_working(operator)
        theirs = await nats_client.connect(nats.url)
        try:
            await theirs.jetstream().subscribe(STREAM, "antivirus", durable="antivirus")
            await until_shown(kubectl, dict.fromkeys(names, "Running"))
        finally:
            await theirs.close()
        await driver.again()
        await until_reasons(kubectl, dict.fromkeys(names, "Completed"))
