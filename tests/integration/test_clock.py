"""The clocks of the operator and of a step are wrong, or are set: by libfaketime, in real processes."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from e2e.cluster import faketime
from e2e.cluster.faketime import Clock
from e2e.cluster.instance import Instance
from e2e.cluster.kubectl import Kubectl
from e2e.cluster.local import LocalCluster
from e2e.cluster.nats import NatsServer
from e2e.operator_process import Operator, OperatorOptions
from tests.driver import Driver, histories, start_working, until_reasons
from tests.stepbench import StepBench
from uploadpp.wire.stream import STREAM

pytestmark = pytest.mark.skipif(faketime.library() is None, reason=faketime.MISSING)

HOUR = 3600
FAILING = {("virusscan", 1), ("virusscan", 2)}
STEPS = ("virusscan", "policies")
ENVIRONMENT = {
    "POSTPROCESSING_RETRY_BACKOFF_DURATION": "4s",
    "UPLOADPP_LEASE_DURATION": "2s",
    "UPLOADPP_STORAGE_CHECK": "off",
}
BEFORE = [f"before-{number}" for number in range(5)]
LATER = [f"later-{number}" for number in range(5)]


@pytest.fixture
async def driver(nats: NatsServer) -> AsyncIterator[Driver]:
    """A scanner that fails at the first two attempts."""
    async with Driver(nats.url) as driver:
        driver.outcome = lambda _, step, attempt: "retry" if (step, attempt) in FAILING else "continue"
        yield driver


@pytest.fixture
def clock(tmp_path: Path) -> Clock:
    return Clock(tmp_path / "clock")


@pytest.fixture
def operator(
    cluster: LocalCluster, instance: Instance, nats: NatsServer, namespace: str, clock: Clock
) -> Operator:
    environment = {**ENVIRONMENT, **clock.environment()}
    options = OperatorOptions(cluster.kubeconfig, nats.address, namespace, STEPS, environment)
    return Operator(instance, options)


@pytest.mark.parametrize(("at_first", "jump"), [(HOUR, -HOUR), (-HOUR, HOUR)])
async def test_a_wrong_clock_costs_no_upload_and_no_retry(
    at_first: int, jump: int, clock: Clock, driver: Driver, operator: Operator, kubectl: Kubectl
) -> None:
    clock.set(at_first)
    await start_working(operator)
    await driver.upload(*BEFORE)
    await until_reasons(kubectl, dict.fromkeys(BEFORE, "BackingOff"))
    clock.set(jump)
    await driver.upload(*LATER)
    await driver.until_released(*BEFORE, *LATER)
    found = await histories(driver.js)
    assert {each.finished for each in found.values()} == {("continue",)}
    assert {tuple(each.steps) for each in found.values()} == {("virusscan",) * 3 + ("policies",)}
    # Nothing of it is left for the next owner, whose clock is right.
    clock.set(0)
    await asyncio.to_thread(operator.kill)
    await start_working(operator)
    await driver.upload("last")
    await driver.until_released("last")
    assert {each.finished for each in (await histories(driver.js)).values()} == {("continue",)}
    await asyncio.to_thread(operator.stop)


async def test_a_step_misses_no_start_when_its_consumer_was_lost(bench: StepBench, clock: Clock) -> None:
    """It had read nothing yet. By its own clock, which is ahead, it would have left out those of an hour."""
    clock.set(HOUR)
    step = bench.step("return Continue()", process="step", concurrency=1, **clock.environment())
    await asyncio.to_thread(step.start)
    await bench.client.jetstream().delete_consumer(STREAM, "uploadpp-step-mine")
    await bench.answer(await bench.start("mine"))
    await asyncio.to_thread(step.stop)
