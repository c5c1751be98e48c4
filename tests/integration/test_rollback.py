"""The operator rolled back to an earlier version, and forward again; uploads in every state go on."""

import asyncio
import json
import os
import subprocess
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import pytest

from e2e.cluster.instance import Instance
from e2e.cluster.kubectl import Kubectl
from e2e.cluster.local import LocalCluster
from e2e.cluster.nats import NatsServer
from e2e.operator_process import Operator, OperatorOptions
from e2e.paths import REPO
from tests.driver import Driver, histories, start_working, until_reasons
from tests.integration.test_wrong_key import floor, start, unready

WANTED = "UPLOADPP_TEST_ROLLBACK_TO"
SETTINGS = {"UPLOADPP_LEASE_DURATION": "2s", "POSTPROCESSING_RETRY_BACKOFF_DURATION": "1h"}
STEPS = ["policies", "virusscan"]


@pytest.fixture
async def driver(nats: NatsServer) -> AsyncIterator[Driver]:
    outcomes = {"failing": "retry"}
    async with Driver(nats.url, lambda upload, *_: outcomes.get(upload, "continue")) as driver:
        yield driver


@pytest.fixture
def options(cluster: LocalCluster, nats: NatsServer, namespace: str) -> OperatorOptions:
    return OperatorOptions(cluster.kubeconfig, nats.address, namespace, STEPS, SETTINGS)


def as_the_operator(kubectl: Kubectl, name: str, status: Mapping[str, object]) -> None:
    """Write a part of a status as a later version of the operator would."""
    patch = json.dumps({"status": status})
    kubectl(
        *("patch", "upp", name, "--subresource=status", "--type=merge"),
        *("--field-manager=uploadpp", f"--patch={patch}"),
    )


async def test_what_a_later_version_has_written_is_not_passed_over(
    driver: Driver, instance: Instance, options: OperatorOptions, kubectl: Kubectl
) -> None:
    """One upload of many has a word of that version; its answer comes while we run."""
    operator, names = Operator(instance, options), [f"u{number}" for number in range(5)]
    driver.silent = True
    await start_working(operator)
    await driver.upload(*names)
    await until_reasons(kubectl, dict.fromkeys(names, "Running"))
    await asyncio.to_thread(operator.stop)
    ours = kubectl.json("get", "upp", "u3")["status"]
    first, *others = ours["conditions"]
    as_the_operator(kubectl, "u3", {"conditions": [{**first, "reason": "Pondering"}, *others]})
    before = await floor(driver)
    starting = asyncio.create_task(start(operator))
    text = await unready(operator, "an upload is written by a later version of the operator")
    assert "u3: status.conditions[0].reason: 'Pondering'" in text
    await driver.again()
    await driver.upload("u5")
    assert await floor(driver) == before
    operator.kill()
    await starting
    as_the_operator(kubectl, "u3", {"conditions": ours["conditions"]})
    await start_working(operator)
    await until_reasons(kubectl, dict.fromkeys([*names, "u5"], "Completed"))
    for upload, history in (await histories(driver.js)).items():
        assert history.steps == STEPS, upload


class Earlier(Operator):
    """The operator as it was at a commit, with the packages of today."""

    source = Path()

    def environment(self) -> Mapping[str, str]:
        return {**super().environment(), "PYTHONPATH": str(self.source / "operator")}


@pytest.fixture
def earlier(tmp_path: Path) -> Path:
    commit = os.environ.get(WANTED)
    if not commit:
        pytest.skip(f"{WANTED} names the commit to go back to, and needs a clone with its history")
    archive = subprocess.run(
        ["git", "archive", commit, "operator"], cwd=REPO, check=True, capture_output=True
    ).stdout
    subprocess.run(["tar", "--extract"], cwd=tmp_path, input=archive, check=True)
    return tmp_path


async def test_back_to_an_earlier_version_and_forward_again(
    driver: Driver, instance: Instance, options: OperatorOptions, kubectl: Kubectl, earlier: Path
) -> None:
    """The earlier version works on all that is there, and the later one on what that has left."""
    running = ["r1", "r2", "r3"]
    first, second = (Operator(instance, options, name=name) for name in ("first", "second"))
    before = Earlier(instance, options, name="earlier")
    before.source = earlier
    await start_working(first)
    await driver.upload("done", "failing")
    at_rest = {"done": "Completed", "failing": "BackingOff"}
    await until_reasons(kubectl, at_rest)
    driver.silent = True
    await driver.upload(*running, "resting")
    await until_reasons(kubectl, at_rest | dict.fromkeys([*running, "resting"], "Running"))
    kubectl("patch", "upp", "resting", "--type=merge", '--patch={"spec":{"desiredState":"Suspended"}}')
    await asyncio.to_thread(first.stop)

    await asyncio.to_thread(before.start)
    await driver.again()
    at_rest |= dict.fromkeys(running, "Completed") | {"resting": "Suspended"}
    await until_reasons(kubectl, at_rest)
    await driver.upload("o1")
    await until_reasons(kubectl, at_rest | {"o1": "Completed"})
    driver.silent = True
    await driver.upload("o2")
    await until_reasons(kubectl, at_rest | {"o1": "Completed", "o2": "Running"})
    await asyncio.to_thread(before.stop)

    await driver.again()
    await start_working(second)
    await until_reasons(kubectl, at_rest | {"o1": "Completed", "o2": "Completed"})
    kubectl("patch", "upp", "resting", "--type=merge", '--patch={"spec":{"desiredState":"Active"}}')
    await driver.until_released("resting")
    told = await histories(driver.js)
    for upload in ("done", *running, "resting", "o1", "o2"):
        assert (told[upload].steps, told[upload].finished) == (STEPS, ("continue",)), upload
    assert told["failing"].steps == STEPS[:1]
