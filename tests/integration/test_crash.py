"""The operator, NATS and the API server die, hang and come back; every upload ends as if nothing was."""

import asyncio
import os
import random
from collections.abc import Iterable
from typing import Any

import pytest

from e2e.cluster.instance import Instance
from e2e.cluster.kubectl import Kubectl
from e2e.cluster.local import LocalCluster
from e2e.cluster.nats import NatsServer
from e2e.operator_process import Operator, OperatorOptions
from tests.driver import Driver, History, histories, samples, start_working, until, until_reasons

KILLS = 20
SEED = int(os.environ.get("CRASH_SEED", "11"))
SETTINGS = {
    "UPLOADPP_LEASE_DURATION": "1s",
    "POSTPROCESSING_RETRY_BACKOFF_DURATION": "1s",
    "UPLOADPP_READY_AFTER": "20s",
}
STEPS = ("policies", "virusscan", "index")


def retries_once(upload: str, step: str, attempt: int) -> str:
    """Every second upload is told to try its second step again."""
    again = step == "virusscan" and attempt == 1 and upload.endswith(("1", "3", "5", "7", "9"))
    return "retry" if again else "continue"


def expected_steps(upload: str) -> list[str]:
    first, second, third = STEPS
    twice = retries_once(upload, second, 1) == "retry"
    return [first, second, *([second] if twice else []), third]


def judge(found: dict[str, History], uploads: Iterable[str]) -> dict[str, History]:
    """The uploads of which anything was lost, or said twice, or said in another order."""
    return {
        upload: history
        for upload in uploads
        if (history := found.get(upload, History((), ()))).steps != expected_steps(upload)
        or len({event_id for _, event_id in history.starts}) != len(history.starts)
        or history.finished != ("continue",)
    }


async def all_completed(kubectl: Kubectl, uploads: Iterable[str]) -> None:
    """Wait until every resource says so."""
    await until_reasons(kubectl, dict.fromkeys(uploads, "Completed"))


@pytest.fixture
def options(cluster: LocalCluster, nats: NatsServer, namespace: str) -> OperatorOptions:
    return OperatorOptions(cluster.kubeconfig, nats.address, namespace, STEPS, SETTINGS)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("copies", [1, 2], ids=["once", "every event twice"])
async def test_killed_at_many_moments(
    options: OperatorOptions, instance: Instance, nats: NatsServer, kubectl: Kubectl, copies: int
) -> None:
    chance = random.Random(SEED)  # noqa: S311 -- repeatable, not secret
    operator = Operator(instance, options)
    uploads = [f"upload-{number}" for number in range(200)]
    worked = 0
    async with Driver(nats.url, retries_once, copies) as driver:
        uploading: list[asyncio.Task[None]] = []
        for kill in range(KILLS):
            # So many for each: however long the starts take, there is work for the last one as well.
            uploading.append(asyncio.create_task(driver.upload(*uploads[kill::KILLS], pause=0.3)))
            before = len(driver.released)
            if kill % 3:
                await start_working(operator)
                while kill % 3 == 1 and len(driver.released) == before:  # noqa: ASYNC110 -- a test may poll
                    await asyncio.sleep(0.01)
                await asyncio.sleep(chance.uniform(0, 0.7))
            else:
                await asyncio.to_thread(operator.launch)
                await asyncio.sleep(chance.uniform(0.5, 3.5))  # meets it anywhere in its start
            await asyncio.to_thread(operator.kill)
            worked += len(driver.released) > before
        assert worked >= KILLS / 3, "it was never disturbed at work"
        await start_working(operator)
        await asyncio.gather(*uploading)
        await driver.until_released(*uploads)
        await all_completed(kubectl, uploads)
        found = await histories(driver.js)
    assert judge(found, uploads) == {}, f"seed {SEED}\n{operator.log_tail()}"


@pytest.mark.parametrize("kept", [True, False], ids=["store kept", "store lost"])
async def test_nats_restarts(
    options: OperatorOptions, instance: Instance, nats: NatsServer, kubectl: Kubectl, *, kept: bool
) -> None:
    """With its store nothing is lost. Without it what was announced in between is gone with the stream;
    what comes afterwards is processed, in a new incarnation and from sequence 1."""
    operator = Operator(instance, options)
    before = [f"before-{number}" for number in range(20)]
    after = [f"after-{number}" for number in range(20)]
    async with Driver(nats.url, retries_once) as driver:
        await start_working(operator)
        await driver.upload(*before)
        if kept:
            await asyncio.to_thread(nats.restart, kill=True)
        else:
            await driver.until_released(*before)
            await all_completed(kubectl, before)
            await asyncio.to_thread(nats.restart_empty)
        # Somebody who consumes makes the stream again; it may be us, or any other service.
        await driver.upload(*after)
        await driver.until_released(*before, *after)
        await all_completed(kubectl, [*before, *after])
        found = await histories(driver.js)
        streams = {item["status"]["log"]["stream"] for item in kubectl.json("get", "upp")["items"]}
    assert judge(found, [*before, *after] if kept else after) == {}
    assert len(streams) == (1 if kept else 2)
    assert operator.process is not None


async def test_api_server_hangs_and_restarts(
    options: OperatorOptions, instance: Instance, nats: NatsServer, cluster: LocalCluster, kubectl: Kubectl
) -> None:
    """Events keep flowing, resources catch up."""
    operator = Operator(instance, options)
    uploads = [f"upload-{number}" for number in range(60)]
    async with Driver(nats.url, retries_once) as driver:
        working = await start_working(operator)
        epoch = samples(working.metrics(), "uploadpp_shard_epoch")
        await driver.upload("first1")
        await driver.until_released("first1")
        cluster.apiserver.pause()
        try:
            uploading = asyncio.create_task(driver.upload(*uploads, pause=0.4))
            await asyncio.sleep(30)
            await until(lambda: _are_released(driver, 31))
        finally:
            cluster.apiserver.resume()
        await uploading
        await driver.until_released(*uploads)
        await asyncio.to_thread(cluster.apiserver.restart, kill=True)
        await driver.upload("last1")
        await driver.until_released("last1")
        everything = ["first1", *uploads, "last1"]
        await all_completed(kubectl, everything)
        assert judge(await histories(driver.js), everything) == {}
        assert samples(operator.metrics(), "uploadpp_shard_epoch") == epoch, "the session ended"


async def test_a_paused_owner_wakes_up_as_a_zombie(
    options: OperatorOptions, instance: Instance, nats: NatsServer, kubectl: Kubectl
) -> None:
    """While it hangs a replica takes over; afterwards it says nothing and writes nothing."""
    operators = [Operator(instance, options, name=f"operator-{number}") for number in (1, 2)]
    async with Driver(nats.url, retries_once) as driver:
        owner = await start_working(*operators)
        (standby,) = (each for each in operators if each is not owner)
        first = [f"first-{number}" for number in range(30)]
        await driver.upload(*first[:-10])
        # In the middle of its work: these are decided, published or being stored.
        uploading = asyncio.create_task(driver.upload(*first[-10:]))
        await asyncio.sleep(0.05)
        owner.pause()
        await uploading
        assert await start_working(standby) is standby
        second = [f"second-{number}" for number in range(30)]
        await driver.upload(*second)
        await driver.until_released(*first, *second)
        await all_completed(kubectl, [*first, *second])
        versions = {item["metadata"]["name"]: item["metadata"]["resourceVersion"] for item in items(kubectl)}
        owner.resume()
        third = [f"third-{number}" for number in range(30)]
        await driver.upload(*third)
        await driver.until_released(*third)
        await all_completed(kubectl, [*first, *second, *third])
        await asyncio.sleep(3)
        assert owner.process is not None, "it stands by"
        assert judge(await histories(driver.js), [*first, *second, *third]) == {}
        now = {item["metadata"]["name"]: item["metadata"]["resourceVersion"] for item in items(kubectl)}
        assert {name: now[name] for name in versions} == versions
        # On a busy machine the standby may fail to renew in a second, and this one may own the shard again.
        # It may also hear that the other replica owns the shard before it has asked for the Lease.
        said = owner.log.read_text()
        assert "the ownership ended" in said or "releasing a shard" in said


async def _are_released(driver: Driver, count: int) -> bool:
    return len(driver.released) >= count


def items(kubectl: Kubectl) -> list[dict[str, Any]]:
    """All resources."""
    found: list[dict[str, Any]] = kubectl.json("get", "upp")["items"]
    return found
