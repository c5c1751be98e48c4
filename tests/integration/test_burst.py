"""Very many uploads at once, for an operator that lags behind them all. `make burst` does it with 16,000."""

import asyncio
import os

import pytest

from e2e.cluster.instance import Instance
from e2e.cluster.local import LocalCluster
from e2e.cluster.nats import NatsServer
from e2e.operator_process import Operator, OperatorOptions
from tests.driver import Driver, bytes_received, histories, samples, start_working
from uploadpp.testing.events import STREAM

UPLOADS = int(os.environ.get("BURST_UPLOADS", "1000"))
PATIENCE = 60 + UPLOADS / 20
"""Twenty a second is what a machine manages that is busy with forty other things."""
IN_FLIGHT = 500


async def announce(driver: Driver, uploads: list[str]) -> None:
    """All of them as fast as the stream takes them."""
    for start in range(0, len(uploads), IN_FLIGHT):
        batch = uploads[start : start + IN_FLIGHT]
        await asyncio.gather(*(driver.js.publish(STREAM, bytes_received(each), timeout=30) for each in batch))


async def settled(operator: Operator) -> dict[str, float]:
    """How the uploads have ended, once all that was read is stored and acknowledged."""
    async with asyncio.timeout(PATIENCE):
        while True:
            metrics = await asyncio.to_thread(operator.metrics)
            ended = samples(metrics, "uploadpp_uploads_ended_total")
            if sum(ended.values()) >= UPLOADS and not sum(
                samples(metrics, "uploadpp_log_unacknowledged").values()
            ):
                return {labels: count for labels, count in ended.items() if count}
            await asyncio.sleep(0.5)


@pytest.mark.timeout(int(3 * PATIENCE))
@pytest.mark.parametrize("behind", ["it was unavailable", "it was paused"])
async def test_none_of_very_many_is_lost(
    cluster: LocalCluster, instance: Instance, nats: NatsServer, namespace: str, behind: str
) -> None:
    settings = {"UPLOADPP_LEASE_DURATION": "60s"}  # a pause is not a loss of the shard
    options = OperatorOptions(cluster.kubeconfig, nats.address, namespace, ("virusscan",), settings)
    operator = Operator(instance, options)
    uploads = [f"burst-{number}" for number in range(UPLOADS)]
    async with Driver(nats.url) as driver:
        if behind == "it was unavailable":
            await announce(driver, uploads)
            await start_working(operator)
        else:
            await start_working(operator)
            operator.pause()
            await announce(driver, uploads)
            operator.resume()
        await driver.until_released(*uploads, timeout=PATIENCE)
        ended = await settled(operator)
        found = await histories(driver.js)
    assert ended == {'stage="Completed"': UPLOADS}
    assert found.keys() == set(uploads)
    assert {tuple(each.steps) for each in found.values()} == {("virusscan",)}
    assert {each.finished for each in found.values()} == {("continue",)}
