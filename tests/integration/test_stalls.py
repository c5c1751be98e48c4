"""Text of others, wherever it goes, holds up a running operator no longer than plain text does."""

import os
from pathlib import Path

import pytest

from e2e.cluster.instance import Instance
from e2e.cluster.kubectl import Kubectl
from e2e.cluster.local import LocalCluster
from e2e.cluster.nats import NatsServer
from e2e.operator_process import Operator, OperatorOptions
from tests.driver import Driver, bytes_received, start_working
from tests.hostile import ROUGH
from uploadpp.testing.events import new_message, step_finished
from uploadpp.wire.pulls import HEARTBEAT_SECONDS

LENGTH = 100_000
PLAIN = "the quick brown fox "
MOST = 10
"""Times the processor time of plain text. What goes back over a text of this length takes hundreds."""
SHAPES = [each for each in ROUGH if each.isprintable() or each in {"\n", "\0", "\x1b[31m"}]


def cpu_seconds(pid: int) -> float:
    """The processor time that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def say_all(driver: Driver, shape: str, name: str) -> None:
    """Messages that hold the text wherever a text may be, and an upload that shows they were all read."""
    text = (shape * (LENGTH // len(shape) + 1))[:LENGTH]
    while len(new_message("X", {"a": text})) > 4 * LENGTH:
        text = text[: len(text) // 2]
    await driver.say(bytes_received(name, Filename=text, initiator=text[:2000]))
    for member in ("ErrorMsg", "Description"):
        for step, outcome in (("policies", "retry"), (text[:2000], "continue"), ("policies", text)):
            answer = step_finished(name, step, outcome, Result={member: text})
            await driver.say(new_message("PostprocessingStepFinished", answer))
    await driver.say(new_message("PostprocessingStepFinished", {"UploadID": text[:2000], "Error": text}))
    await driver.upload(f"after-{name}")
    await driver.until_released(f"after-{name}")


@pytest.mark.timeout(240)
async def test_hostile_text_takes_no_longer_than_plain_text(
    cluster: LocalCluster, instance: Instance, nats: NatsServer, namespace: str, kubectl: Kubectl
) -> None:
    operator = Operator(instance, OperatorOptions(cluster.kubeconfig, nats.address, namespace, ("policies",)))
    await start_working(operator)
    assert operator.pid is not None
    async with Driver(nats.url) as driver:
        spent = {}
        for number, shape in enumerate([PLAIN, PLAIN, *SHAPES]):
            before = cpu_seconds(operator.pid)
            await say_all(driver, shape, f"upload-{number}")
            spent[shape] = cpu_seconds(operator.pid) - before
    slow = {shape: seconds for shape, seconds in spent.items() if seconds > MOST * max(spent[PLAIN], 0.05)}
    assert not slow
    assert max(spent.values()) < HEARTBEAT_SECONDS / 2, "no callback has taken longer than all of them"
    assert len(kubectl.json("get", "upp")["items"]) >= len(SHAPES)
