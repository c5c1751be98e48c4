"""A message that ends the process: two owners end, the third passes over it, all uploads finish.

The fault is put in by a start of this test's own, which leaves the operator as it is.
"""

import asyncio
import hashlib
import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from e2e.cluster.instance import Instance
from e2e.cluster.kubectl import Kubectl
from e2e.cluster.local import LocalCluster
from e2e.cluster.nats import NatsServer
from e2e.operator_process import Operator, OperatorOptions
from tests.driver import Driver, histories, samples
from uploadpp.testing.events import STREAM

LEASE = {"UPLOADPP_LEASE_DURATION": "2s"}
PATIENCE = 60
MARKER = "marker-of-this-test"
MET = "meets the message of this test"
STILL, SET_ASIDE, REPLAYING = "the event loop has been blocked", "was set aside", "replaying the log"
START = """
import os, sys, time, ctypes
from uploadpp.pipeline import router

true = router.decode

def decode(data, *others):
    if b"{marker}" in data:
        print("{met}", file=sys.stderr, flush=True)
        {fault}
    return true(data, *others)

router.decode = decode
from uploadpp.__main__ import main
sys.argv = ["uploadpp", "run"]
sys.exit(main())
"""
FAULTS = {
    "crash": "os._exit(7)",
    "crash in C": "ctypes.string_at(0)",
    "endless loop": "while True: pass",
    "standstill": "time.sleep(3600)",
}


class Faulty(Operator):
    """An operator that does not survive a message."""

    start_file = Path()

    def argv(self) -> list[str]:
        return [sys.executable, str(self.start_file)]


Start = Callable[[], Faulty]


@pytest.fixture
def starts(
    cluster: LocalCluster, instance: Instance, nats: NatsServer, namespace: str, tmp_path: Path
) -> Callable[[str], Start]:
    """Starts one operator after another with a fault."""

    def with_fault(fault: str) -> Start:
        file = tmp_path / "start.py"
        file.write_text(START.format(marker=MARKER, met=MET, fault=FAULTS[fault]))
        names = iter(f"owner-{number}" for number in range(1, 9))

        def start() -> Faulty:
            environment = {**LEASE, "HOSTNAME": (name := next(names))}
            options = OperatorOptions(cluster.kubeconfig, nats.address, namespace, environment=environment)
            made = Faulty(instance, options, name=name)
            made.start_file = file
            made.launch()
            return made

        return start

    return with_fault


def stands_still(operator: Faulty) -> bool:
    """At that message: a slow machine also blocks a loop for a second."""
    said = operator.log_tail(100)
    return MET in said and STILL in said[said.index(MET) :]


async def until_it_ends(operator: Faulty) -> None:
    """Wait until it has ended, or stands still; then it is ended as the kubelet would."""
    async with asyncio.timeout(PATIENCE):
        while operator.process is not None and not stands_still(operator):  # noqa: ASYNC110 -- a process
            await asyncio.sleep(0.1)
    operator.kill()


@pytest.mark.parametrize("fault", FAULTS)
async def test_the_third_owner_passes_over_it(
    fault: str, starts: Callable[[str], Start], driver: Driver, kubectl: Kubectl
) -> None:
    start = starts(fault)
    first = start()
    await asyncio.to_thread(first.wait_ready)
    await driver.upload("before")
    poison = await driver.js.publish(STREAM, MARKER.encode())
    await driver.upload("behind")
    await until_it_ends(first)
    await until_it_ends(start())
    third = start()
    await driver.until_released("before", "behind", timeout=PATIENCE)
    await driver.upload("later")
    await driver.until_released("later")
    said = json.loads(next(line for line in third.log_tail(200).splitlines() if SET_ASIDE in line))
    assert said["sequence"] == poison.seq
    assert said["bytes"] == len(MARKER)
    assert said["sha256"] == hashlib.sha256(MARKER.encode()).hexdigest()
    assert samples(third.metrics(), "uploadpp_messages_set_aside_total") == {"": 1.0}
    stored = await driver.js.get_msg(STREAM, seq=poison.seq)
    assert stored.data == MARKER.encode(), "it stays where it is"
    told = await histories(driver.js)
    for each in ("before", "behind", "later"):
        assert told[each].steps == ["policies", "virusscan"]
        assert told[each].finished == ("continue",)
    async with asyncio.timeout(PATIENCE):
        while not any(  # noqa: ASYNC110 -- Events are written when there is time
            f"sequence {poison.seq}" in each["message"]
            for each in (await asyncio.to_thread(kubectl.json, "get", "events"))["items"]
        ):
            await asyncio.sleep(0.3)
    third.kill()
    start()
    await driver.upload("last")
    await driver.until_released("last")


async def test_owners_that_are_killed_set_nothing_aside(
    starts: Callable[[str], Start], driver: Driver
) -> None:
    start = starts("crash")
    ids = [f"upload-{number}" for number in range(60)]
    uploading = asyncio.create_task(driver.upload(*ids, pause=0.1))
    for _ in range(3):
        owner = start()
        async with asyncio.timeout(PATIENCE):
            while REPLAYING not in owner.log_tail(100):  # noqa: ASYNC110 -- a process
                await asyncio.sleep(0.02)
        owner.kill()
    last = start()
    await uploading
    await driver.until_released(*ids)
    assert samples(last.metrics(), "uploadpp_messages_set_aside_total") == {"": 0.0}
    told = await histories(driver.js)
    assert {each: told[each].finished for each in ids} == dict.fromkeys(ids, ("continue",))
