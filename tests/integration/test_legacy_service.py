"""The legacy service comes back while the operator drives its uploads, and goes again."""

import asyncio
import urllib.error
from collections.abc import Callable

import pytest

from e2e.cluster.http import get
from e2e.cluster.instance import Instance
from e2e.cluster.kubectl import Kubectl
from e2e.cluster.local import LocalCluster
from e2e.cluster.nats import NatsServer
from e2e.cluster.natsversions import NEWEST, OLDEST
from e2e.operator_process import Operator, OperatorOptions
from tests.driver import Driver, histories, log_lines, samples, start_working, until, until_reasons
from tests.legacyservice import FakeLegacyService
from uploadpp.testing.events import STREAM, new_message, resume, step_finished

STEPS = ("virusscan",)
Make = Callable[..., Operator]


@pytest.fixture
def make(cluster: LocalCluster, instance: Instance, nats: NatsServer, namespace: str) -> Make:
    """An operator of this test, with other settings than the usual ones."""

    def made(name: str = "operator", **changes: str) -> Operator:
        settings = {"UPLOADPP_LEASE_DURATION": "2s", **changes}
        options = OperatorOptions(cluster.kubeconfig, nats.address, namespace, STEPS, settings)
        return Operator(instance, options, name=name)

    return made


def unready(operator: Operator) -> str:
    """What /readyz says is wrong; empty when it is ready."""
    try:
        get(f"{operator.url}/readyz")
    except urllib.error.HTTPError as error:
        with error:
            return error.read().decode()
    return ""


async def until_unready(operator: Operator, words: str) -> None:
    """Wait until /readyz has these words; until it is ready when there are none."""

    async def says() -> bool:
        said = await asyncio.to_thread(unready, operator)
        return words in said if words else not said

    await until(says)


def answer(upload: str) -> bytes:
    """What the step says of an upload."""
    return new_message("PostprocessingStepFinished", step_finished(upload, "virusscan", "continue"))


@pytest.mark.each_nats
async def test_it_holds_until_the_legacy_service_is_gone_and_goes_on_from_the_log(
    make: Make, nats: NatsServer, nats_version: str, kubectl: Kubectl
) -> None:
    """Nothing is started, nothing is finished; what the legacy service did meanwhile counts."""
    operator = make()
    async with Driver(nats.url) as driver:
        await start_working(operator)
        driver.silent = True
        ours = [f"ours-{number}" for number in range(5)]
        await driver.upload(*ours)
        await until(lambda: started(driver, *ours))
        async with FakeLegacyService(nats.url, *STEPS, pulls=nats_version == NEWEST) as old:
            await until_unready(operator, f"on hold: the legacy service is running ({old.durable})")
            assert samples(operator.metrics(), "uploadpp_legacy_service_members") == {"": 1}
            assert samples(operator.metrics(), "uploadpp_shard_owned") == {'shard="0"': 0}
            driver.silent = False
            for upload in ours:  # which the legacy service does not know
                await driver.say(answer(upload))
            await driver.upload("theirs-0", "theirs-1")
            await driver.until_released("theirs-0", "theirs-1")
            told = await histories(driver.js)
            assert all(not told[upload].finished for upload in ours)
        await until_unready(operator, "")
        await driver.until_released(*ours)
        everything = [*ours, "theirs-0", "theirs-1"]
        await until_reasons(kubectl, dict.fromkeys(everything, "Completed"))
        told = await histories(driver.js)
        assert {upload: told[upload].steps for upload in told} == {
            upload: ["virusscan"] for upload in everything
        }
        assert {upload: told[upload].finished for upload in told} == dict.fromkeys(everything, ("continue",))
    events = [(each["involvedObject"]["kind"], each["message"]) for each in posted(kubectl)]
    assert len(events) == 1
    assert events[0][0] == "Lease"
    assert "on hold" in events[0][1]
    assert "services.postprocessing.image" in events[0][1]
    (going_on,) = [
        line for line in log_lines(operator.log.read_text()) if "has stopped; resuming" in line["message"]
    ]
    assert (going_on["StartedElsewhere"], going_on["FinishedElsewhere"]) == (2, 2)


async def test_it_holds_when_nats_comes_back_with_the_legacy_service(make: Make, nats: NatsServer) -> None:
    """As where both run in one binary: we are connected again at the same moment."""
    operator = make(UPLOADPP_SHARDS="3")
    async with Driver(nats.url) as driver:
        await asyncio.to_thread(operator.start)
        driver.silent = True
        ours = [f"ours-{number}" for number in range(6)]
        await driver.upload(*ours)
        await until(lambda: started(driver, *ours))
        await asyncio.to_thread(nats.restart, kill=True)
        async with FakeLegacyService(nats.url, *STEPS):
            await until(lambda: held(operator))
            driver.silent = False
            for upload in ours:
                await driver.say(answer(upload))
            await driver.upload("theirs")
            await driver.until_released("theirs")
            told = await histories(driver.js)
            assert all(not told[upload].finished for upload in ours)
        await until_unready(operator, "")
        await driver.until_released(*ours)
        told = await histories(driver.js)
        assert {(*each.steps, *each.finished) for each in told.values()} == {("virusscan", "continue")}


async def started(driver: Driver, *uploads: str) -> bool:
    """Whether the step of each was started."""
    told = await histories(driver.js)
    return all(upload in told and told[upload].steps for upload in uploads)


def posted(kubectl: Kubectl) -> list[dict[str, dict[str, str]]]:
    """The Events about the legacy service."""
    found: list[dict[str, dict[str, str]]] = kubectl.json("get", "events")["items"]
    return [each for each in found if str(each["reason"]) == "LegacyServiceRuns"]


async def test_a_second_replica_holds_as_well(make: Make, nats: NatsServer) -> None:
    """The Lease changes hands, and the next owner begins to wait."""
    first, second = make("operator-1"), make("operator-2")
    async with Driver(nats.url) as driver:
        await start_working(first, second)
        async with FakeLegacyService(nats.url, *STEPS):
            await until(lambda: held(first, second))
            await asyncio.to_thread(first.stop)
            await until_unready(second, "on hold")
            await driver.say(new_message("ResumePostprocessing", resume("nobody")))
        await until_unready(second, "")
        await driver.upload("a")
        await driver.until_released("a")
        assert (await histories(driver.js))["a"].steps == ["virusscan"]


async def held(*operators: Operator) -> bool:
    """Whether one of them holds, and none works."""
    texts = [each.metrics() for each in operators]
    members = sum(sum(samples(text, "uploadpp_legacy_service_members").values()) for text in texts)
    return bool(members) and not sum(sum(samples(text, "uploadpp_shard_owned").values()) for text in texts)


async def test_it_goes_on_beside_it_when_it_is_told_to(make: Make, nats: NatsServer) -> None:
    operator = make(UPLOADPP_ON_LEGACY_SERVICE="Continue")
    async with Driver(nats.url) as driver:
        await start_working(operator)
        async with FakeLegacyService(nats.url):  # without steps it releases at once
            await until_unready(operator, "also processes this stream (postprocessing)")
            assert samples(operator.metrics(), "uploadpp_shard_owned") == {'shard="0"': 1}
            await driver.upload("both")
            await until(lambda: started(driver, "both"))
        await until_unready(operator, "")


@pytest.mark.parametrize(
    ("nats_version", "setting"),
    [(OLDEST, "Advance"), (NEWEST, "Advance"), (OLDEST, "Remove"), (NEWEST, "Keep")],
    indirect=["nats_version"],
)
async def test_a_service_that_returns_by_mistake_begins_with_new_events(
    make: Make, nats: NatsServer, nats_version: str, kubectl: Kubectl, setting: str
) -> None:
    """Unless its place is kept: then it is given all that has happened since it was switched off."""
    operator = make(UPLOADPP_LEGACY_CONSUMER=setting)
    pulls = nats_version == NEWEST
    async with Driver(nats.url) as driver:
        async with FakeLegacyService(nats.url, *STEPS, pulls=pulls) as old:
            await driver.upload("before")
            await driver.until_released("before")
        await driver.upload("between")  # read by nobody yet
        await start_working(operator)
        uploads = [f"ours-{number}" for number in range(20)]
        await driver.upload(*uploads)
        await driver.until_released("between", *uploads)
        await until_reasons(kubectl, dict.fromkeys(["between", *uploads], "Completed"))
        if setting != "Keep":
            await until(lambda: nothing_old(driver, old.durable, removed=setting == "Remove"), 60)
        async with FakeLegacyService(nats.url, *STEPS, pulls=pulls) as again:
            await until_unready(operator, "on hold")
            await driver.upload("new")
            await driver.until_released("new")
        if setting == "Keep":
            assert {"between", *uploads} <= set(again.heard)
        else:
            assert set(again.heard) == {"new"}
            await until_unready(operator, "")
            told = await histories(driver.js)
            assert all(len(told[upload].finished) == 1 for upload in [*uploads, "between", "new"])


async def nothing_old(driver: Driver, durable: str, *, removed: bool) -> bool:
    """Whether a service that comes back now would be given nothing old."""
    consumers = {each.name: each for each in await driver.js.consumers_info(STREAM)}
    if removed:
        return durable not in consumers
    mine = consumers.get(durable)  # it is made anew
    return mine is not None and not mine.num_pending and not mine.num_ack_pending
