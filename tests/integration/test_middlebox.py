"""What stands before the API server answers in its place although the write was done: nothing is lost."""

import json
from pathlib import Path

import pytest

from e2e.cluster.instance import Instance
from e2e.cluster.kubectl import Kubectl
from e2e.cluster.nats import NatsServer
from e2e.operator_process import Operator, OperatorOptions
from tests.driver import Driver, histories, start_working, until, until_reasons
from tests.integration.test_refusals import acknowledged, readyz
from tests.middlebox import Middlebox, bomb, cut_off, endless, instead, reset

MOST_KB = 250_000
"""Of memory; a gigabyte was sent."""


@pytest.fixture
def operator(
    between: Middlebox,
    instance: Instance,
    nats: NatsServer,
    namespace: str,
    tmp_path: Path,
) -> Operator:
    config = between.kubeconfig(tmp_path)
    return Operator(instance, OperatorOptions(config, nats.address, namespace))


def status(code: int, reason: str, message: str) -> bytes:
    said = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code}
    return json.dumps({**said, "reason": reason, "message": message}).encode()


FAULTS = {
    "429": instead(429, status(429, "TooManyRequests", "slow down"), Retry_After="3600"),
    "504": instead(504, status(504, "Timeout", "request did not complete within the allotted timeout")),
    "500 of etcd": instead(500, status(500, "", "etcdserver: leader changed")),
    "503": instead(503, b"upstream connect error", "text/plain"),
    "a page": instead(200, b"<html>sign in</html>", "text/html"),
    "reset": reset,
    "cut off": cut_off,
    "endless": endless,
    "bomb": bomb,
}


def memory_kb(operator: Operator) -> int:
    text = Path(f"/proc/{operator.pid}/status").read_text()
    return int(next(line.split()[1] for line in text.splitlines() if line.startswith("VmHWM:")))


async def is_ready(operator: Operator) -> bool:
    return (await readyz(operator))[0] == 200


async def test_a_write_that_was_done_and_whose_answer_is_lost(
    driver: Driver, operator: Operator, between: Middlebox, kubectl: Kubectl
) -> None:
    """Whatever comes in its place: creations and statuses, one fault after another."""
    await start_working(operator)
    expected: dict[str, str] = {}
    for number, (name, fault) in enumerate(FAULTS.items()):
        between.met, between.fault = 0, fault
        uploads = [f"u{number}-{each}" for each in range(3)]
        await driver.upload(*uploads)
        await driver.until_released(*uploads)
        await until(lambda: _is(between.met >= 3))
        between.fault = None
        expected |= dict.fromkeys(uploads, "Completed")
        await until_reasons(kubectl, expected)
        assert memory_kb(operator) < MOST_KB, name
    await until(lambda: acknowledged(driver))
    await until(lambda: is_ready(operator))
    for upload, history in (await histories(driver.js)).items():
        assert len(history.steps) == len(set(history.steps)), upload
        assert history.finished == ("continue",), upload
    assert "the ownership ended" not in operator.log.read_text()


async def _is(value: bool) -> bool:  # noqa: FBT001 -- a condition of `until`
    return value
