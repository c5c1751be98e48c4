"""One user sends very many files through a scanner of 8 slots, another one sends one: how long does it wait?

In full: `BENCH_FILES=16000 BENCH_SCAN_SECONDS=0.01`. `-n 0 --log-cli-level=INFO` prints the numbers.
"""

import json
import logging
import os

import pytest

from e2e.cluster.instance import Instance
from e2e.cluster.local import LocalCluster
from e2e.cluster.nats import NatsServer
from e2e.operator_process import Operator, OperatorOptions
from tests.driver import start_working
from tests.scanner import Scanner, step_settings

log = logging.getLogger(__name__)
MANY = int(os.environ.get("BENCH_FILES", "150"))
SLOTS = 8
SECONDS = float(os.environ.get("BENCH_SCAN_SECONDS", "0.1"))
LATE = "late"


async def run(nats: NatsServer, operator: Operator, settings: str) -> int:
    """Behind how many of the others the one file waited, once it had come."""
    async with Scanner(nats.url, SLOTS, lambda _: SECONDS) as scanner:
        await start_working(operator)
        scanner.opened.clear()  # however long it takes to announce them, they wait for it
        for number in range(MANY):
            await scanner.upload(f"bulk-{number}", "bulk")
        await scanner.upload(LATE, "late")
        scanner.opened.set()
        await scanner.until(MANY + 1)
        first = min(scanner.began.values())
        behind = sum(at < scanner.released[LATE] for at in scanner.released.values())
        waited, took = scanner.waited(LATE), max(scanner.released.values()) - first
    log.info(
        "%s: of %d files the one of the other user waited %.2f s, behind %d others; all took %.1f s",
        settings,
        MANY + 1,
        waited,
        behind,
        took,
    )
    return behind


FAIR = step_settings(maxInFlight=SLOTS)
WEIGHTED = {**FAIR, "UPLOADPP_SHARE_WEIGHTS": json.dumps({"bulk": 5})}


@pytest.mark.parametrize(
    ("settings", "environment"),
    [
        ("no slots: the scanner's own queue", {}),
        ("8 slots, users take turns", FAIR),
        ("8 slots, and the many have five times the weight", WEIGHTED),
    ],
    ids=["unfair", "fair", "weighted"],
)
async def test_one_file_behind_very_many_of_another_user(
    cluster: LocalCluster,
    nats: NatsServer,
    namespace: str,
    instance: Instance,
    settings: str,
    environment: dict[str, str],
) -> None:
    options = OperatorOptions(cluster.kubeconfig, nats.address, namespace, ("virusscan",), environment)
    operator = Operator(instance, options)
    behind = await run(nats, operator, settings)
    # The stated bound, and those that were at the scanner already or had their answers on the way.
    assert (behind <= 6 + 4 * SLOTS) is bool(environment), operator.log_tail()
