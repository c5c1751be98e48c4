"""Several uploads of one file, on real servers: released as they arrived, through kill -9 and retries."""

import asyncio
from collections import defaultdict

from e2e.cluster.instance import Instance
from e2e.cluster.kubectl import Kubectl
from e2e.cluster.local import LocalCluster
from e2e.cluster.nats import NatsServer
from e2e.demo.wire import read_all
from e2e.operator_process import Operator, OperatorOptions
from tests.driver import Driver, bytes_received, reasons, start_working, until, until_reasons

FILES = 4
UPLOADS = [(f"file-{number % FILES}", f"up-{number:02d}") for number in range(24)]
"""Each file is uploaded six times, in turn with the others."""
SETTINGS = {"UPLOADPP_LEASE_DURATION": "1s", "POSTPROCESSING_RETRY_BACKOFF_DURATION": "200ms"}


def arrival(file: str, upload: str) -> bytes:
    return bytes_received(upload, ResourceID={"space_id": "s-1", "opaque_id": file})


def slow_at_first(upload: str, step: str, attempt: int) -> str:
    """The earlier an upload has come, the more often it has to try again."""
    del step
    return "retry" if attempt <= 3 - int(upload.removeprefix("up-")) // 8 else "continue"


def options(cluster: LocalCluster, nats: NatsServer, namespace: str, **settings: str) -> OperatorOptions:
    return OperatorOptions(
        cluster.kubeconfig, nats.address, namespace, ("virusscan",), {**SETTINGS, **settings}
    )


async def test_parallel_uploads_of_a_file_are_released_as_they_arrived(
    cluster: LocalCluster, nats: NatsServer, namespace: str, instance: Instance, kubectl: Kubectl
) -> None:
    operator = Operator(instance, options(cluster, nats, namespace))
    async with Driver(nats.url, outcome=slow_at_first, pause=0.01) as driver:
        await start_working(operator)
        for file, upload in UPLOADS:
            await driver.say(arrival(file, upload))
        for kill_after in (2, 9):
            while len(driver.released) < kill_after:  # noqa: ASYNC110 -- a test may poll
                await asyncio.sleep(0.01)
            await asyncio.to_thread(operator.kill)
            await start_working(operator)
        await driver.until_released(*[upload for _, upload in UPLOADS], timeout=120)
        events = await read_all(driver.js)
    await until_reasons(kubectl, {upload: "Completed" for _, upload in UPLOADS})
    file_of = {upload: file for file, upload in UPLOADS}
    order: dict[str, list[str]] = defaultdict(list)
    under_way: dict[str, str] = {}
    for event in events:
        file = file_of.get(event.upload_id, "")
        if event.type == "PostprocessingFinished" and event.upload_id not in order[file]:
            assert file not in under_way, f"{event.upload_id} overtakes {under_way}\n{operator.log_tail()}"
            order[file].append(event.upload_id)
            under_way[file] = event.upload_id
        elif event.type == "UploadReady" and under_way.get(file) == event.upload_id:
            del under_way[file]
    assert {upload for each in order.values() for upload in each} == set(file_of)
    assert all(each == sorted(each) for each in order.values()), order


async def test_an_upload_that_takes_too_long_is_overtaken(
    cluster: LocalCluster, nats: NatsServer, namespace: str, instance: Instance, kubectl: Kubectl
) -> None:
    """It is suspended; the next one says for whom it waits, and is released after the timeout."""
    operator = Operator(instance, options(cluster, nats, namespace, UPLOADPP_ORDER_TIMEOUT="10s"))
    async with Driver(nats.url, silent=True) as driver:
        await start_working(operator)
        for upload in ("first", "second"):
            await driver.say(arrival("shared", upload))
        await until_reasons(kubectl, {"first": "Running", "second": "Running"})
        kubectl("patch", "upp", "first", "--type=merge", "-p", '{"spec":{"desiredState":"Suspended"}}')
        kubectl("wait", "upp/first", "--for=condition=Suspended", "--timeout=50s")
        shown = "--for=jsonpath={.status.conditions[0].reason}=AwaitingTurn"
        message = "--output=jsonpath={.status.conditions[0].message}"  # as it is then
        words = ("wait", "upp/second", shown, "--timeout=60s", message)
        waits = asyncio.create_task(asyncio.to_thread(kubectl, *words))
        await driver.again()
        why = await waits
        assert why == "waiting for upload first of the same file, which arrived earlier, to end"
        await until_reasons(kubectl, {"first": "Suspended", "second": "Completed"})

        async def told() -> bool:
            events = await asyncio.to_thread(kubectl.json, "get", "events")
            return "ReleasedOutOfOrder" in {each["reason"] for each in events["items"]}

        await until(told)
        kubectl("patch", "upp", "first", "--type=merge", "-p", '{"spec":{"desiredState":"Active"}}')
        await driver.until_released("first", "second")
    assert set(reasons(await asyncio.to_thread(kubectl.json, "get", "upp"))) == {"first", "second"}
