"""A step with few places, on real servers: one user's flood, another user, and kill -9 in between."""

import asyncio
import json
from collections.abc import Iterator

from e2e.cluster.instance import Instance
from e2e.cluster.kubectl import Kubectl
from e2e.cluster.local import LocalCluster
from e2e.cluster.nats import NatsServer
from e2e.demo.wire import Event, read_all
from e2e.operator_process import Operator, OperatorOptions
from tests.driver import Driver, bytes_received, histories, reasons, samples, start_working, until_reasons

PLACES = 3
BULK = [f"bulk-{number}" for number in range(40)]
LATE = [f"late-{number}" for number in range(4)]
SETTINGS = {
    "UPLOADPP_LEASE_DURATION": "1s",
    "UPLOADPP_STEP_SETTINGS": json.dumps({"virusscan": {"maxInFlight": PLACES}}),
}


def user(name: str) -> dict[str, object]:
    return {"id": {"idp": "https://idp.test", "opaque_id": name, "type": 1}, "username": name}


def at_the_step(events: list[Event]) -> Iterator[set[str]]:
    """Who was at the scanner, after each message of the stream: told to start, and not answered for."""
    running: set[str] = set()
    for event in events:
        if event.type == "StartPostprocessingStep" and event.payload["StepToStart"] == "virusscan":
            running.add(event.upload_id)
        elif event.type == "PostprocessingStepFinished" and event.payload["FinishedStep"] == "virusscan":
            running.discard(event.upload_id)
        yield set(running)


async def test_few_places_are_shared_fairly_through_kills(
    cluster: LocalCluster, nats: NatsServer, namespace: str, instance: Instance, kubectl: Kubectl
) -> None:
    options = OperatorOptions(
        cluster.kubeconfig, nats.address, namespace, ("virusscan", "policies"), SETTINGS
    )
    operator = Operator(instance, options)
    async with Driver(nats.url, silent=True) as storage:
        await start_working(operator)
        for name in BULK:
            await storage.say(bytes_received(name, ExecutingUser=user("bulk")))
        await _queued(kubectl, len(BULK) - PLACES)
        assert samples(operator.metrics(), "uploadpp_step_slots_used") == {'step="virusscan"': PLACES}
        for name in LATE:
            await storage.say(bytes_received(name, ExecutingUser=user("late")))
        await _queued(kubectl, len(BULK) + len(LATE) - PLACES)
    async with Driver(nats.url, pause=0.05) as driver:
        for kill_after in (5, 12):
            while len(driver.released) < kill_after:  # noqa: ASYNC110 -- a test may poll
                await asyncio.sleep(0.01)
            await asyncio.to_thread(operator.kill)
            await start_working(operator)
        await driver.until_released(*BULK, *LATE, timeout=120)
        found = await histories(driver.js)
        events = await read_all(driver.js)
    await until_reasons(kubectl, dict.fromkeys([*BULK, *LATE], "Completed"))
    wrong = {name: each for name, each in found.items() if each.steps != ["virusscan", "policies"]}
    assert wrong == {}, operator.log_tail()
    assert max(map(len, at_the_step(events))) == PLACES
    order = [e.upload_id for e in events if e.type == "PostprocessingFinished"]
    last = max(order.index(name) for name in LATE)
    assert last < 4 * len(LATE) + PLACES, f"the other user waited for the flood: {order}"


async def _queued(kubectl: Kubectl, count: int) -> None:
    """Wait until so many resources show that they wait for a place."""
    async with asyncio.timeout(60):
        while True:
            found = reasons(await asyncio.to_thread(kubectl.json, "get", "upp"))
            if sum(reason == "Queued" for reason in found.values()) == count:
                return
            await asyncio.sleep(0.2)
