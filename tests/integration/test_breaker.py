"""A scanner that is not well for longer than retries last, on real servers, and an operator that is killed.

Time is compressed: a retry comes after a second and an upload has one, so two seconds use up what a night
does with the defaults.
"""

import asyncio
import json
import logging
from collections import Counter
from typing import Any

import pytest

from e2e.cluster.instance import Instance
from e2e.cluster.kubectl import Kubectl
from e2e.cluster.local import LocalCluster
from e2e.cluster.nats import NatsServer
from e2e.demo.wire import read_all
from e2e.operator_process import Operator, OperatorOptions
from tests.driver import Driver, reasons, samples, start_working, until, until_reasons

log = logging.getLogger(__name__)
UPLOADS = [f"up-{number:02d}" for number in range(40)]
SICK_SECONDS = 4.0
STEP = {"maxRetries": 1, "backoffSeconds": 1, "maxBackoffSeconds": 1, "timeoutSeconds": 1}


def options(cluster: LocalCluster, nats: NatsServer, namespace: str, **step: int) -> OperatorOptions:
    settings = {"UPLOADPP_LEASE_DURATION": "1s", "UPLOADPP_STEP_SETTINGS": json.dumps({"virusscan": step})}
    return OperatorOptions(cluster.kubeconfig, nats.address, namespace, ("virusscan",), settings)


class Scanner:
    """What the scanner answers."""

    def __init__(self) -> None:
        self.word = "retry"

    def __call__(self, upload: str, step: str, attempt: int) -> str:
        del upload, step, attempt
        return self.word


def retries(kubectl: Kubectl) -> dict[str, int]:
    """How many retries each upload has used."""
    found: list[dict[str, Any]] = kubectl.json("get", "upp")["items"]
    return {each["spec"]["upload"]["id"]: each["status"]["retryCount"] for each in found}


def at_scanner(kubectl: Kubectl) -> list[dict[str, Any]]:
    """The statuses of the uploads at the scanner; a resource has none at first."""
    statuses = [each.get("status", {}) for each in kubectl.json("get", "upp")["items"]]
    return [each for each in statuses if each.get("currentStep") == "virusscan"]


@pytest.mark.parametrize("silent", [False, True], ids=["retry", "silence"])
async def test_a_scanner_that_is_not_well_costs_no_upload_a_retry(
    cluster: LocalCluster,
    nats: NatsServer,
    namespace: str,
    instance: Instance,
    kubectl: Kubectl,
    silent: bool,  # noqa: FBT001 -- as above
) -> None:
    scanner = Scanner()
    operator = Operator(instance, options(cluster, nats, namespace, breakerAfter=3, **STEP))
    async with Driver(nats.url, outcome=scanner, pause=0.01, silent=silent) as driver:
        await start_working(operator)
        await driver.upload(*UPLOADS, pause=0.02)
        await asyncio.sleep(SICK_SECONDS / 2)
        await asyncio.to_thread(operator.kill)
        await start_working(operator)
        await asyncio.sleep(SICK_SECONDS / 2)

        async def shown() -> bool:
            return samples(operator.metrics(), "uploadpp_step_breaker_open") == {'step="virusscan"': 1}

        async def recorded() -> bool:
            texts = [each.get("message", "") for each in at_scanner(kubectl)]
            unwell = sum("step virusscan is not well since" in text for text in texts)
            return len(texts) == len(UPLOADS) and unwell >= len(UPLOADS) - 1

        await until(shown)
        await until(recorded)
        before = len(await read_all(driver.js))
        scanner.word = "continue"
        if silent:
            await driver.again()
        await driver.until_released(*UPLOADS, timeout=60)
        events = await read_all(driver.js)
    await until_reasons(kubectl, dict.fromkeys(UPLOADS, "Completed"))
    assert retries(kubectl) == dict.fromkeys(UPLOADS, 0), operator.log_tail()
    starts = Counter(e.upload_id for e in events[:before] if e.type == "StartPostprocessingStep")
    assert sum(starts.values()) <= len(UPLOADS) + 10, f"only probes while it is not well: {starts}"
    assert samples(operator.metrics(), "uploadpp_step_breaker_open") == {'step="virusscan"': 0}
    log.info("%d uploads, %d starts while it was not well, no retries", len(UPLOADS), sum(starts.values()))

    async def told() -> bool:
        news = await asyncio.to_thread(kubectl.json, "get", "events")
        return {"BreakerOpened", "BreakerClosed"} <= {each["reason"] for each in news["items"]}

    await until(told)


async def test_without_a_breaker_they_are_all_aborted(
    cluster: LocalCluster, nats: NatsServer, namespace: str, instance: Instance, kubectl: Kubectl
) -> None:
    """So that the test above can fail."""
    operator = Operator(instance, options(cluster, nats, namespace, **STEP))
    async with Driver(nats.url, outcome=Scanner(), pause=0.01) as driver:
        await start_working(operator)
        await driver.upload(*UPLOADS)
        await asyncio.sleep(SICK_SECONDS / 2)
        await driver.until_released(*UPLOADS)
    await until_reasons(kubectl, dict.fromkeys(UPLOADS, "RetriesExhausted"))
    log.info("%d uploads, all of them RetriesExhausted", len(UPLOADS))
    assert set(reasons(kubectl.json("get", "upp")).values()) == {"RetriesExhausted"}
