"""The adaptive limit with a real scanner, of which half the workers go away while it works.

How well the limit follows depends on how busy the machine is. So the test only demands what must always hold.
The rest is shown in virtual time (tests/property/test_adaptive_limit.py). `BENCH_FILES` is how many files;
`-n 0 --log-cli-level=INFO` prints the numbers.
"""

import asyncio
import logging
import os
from random import Random
from statistics import median

from e2e.cluster.instance import Instance
from e2e.cluster.local import LocalCluster
from e2e.cluster.nats import NatsServer
from e2e.operator_process import Operator, OperatorOptions
from tests.driver import samples, start_working
from tests.scanner import Scanner, step_settings

log = logging.getLogger(__name__)
MANY = int(os.environ.get("BENCH_FILES", "300"))
FLOOR, WORKERS, FEWER, CEILING = 2, 16, 6, 64
SIZES = {1_000: 0.1, 1_000_000: 0.15, 100_000_000: 0.4}
"""How long the scanner takes for a file of each size."""


def size_of(name: str) -> int:
    """The size of an upload, which its name tells."""
    return Random(name).choice(list(SIZES))  # noqa: S311 -- a game of dice, not a secret


async def test_the_limit_follows_the_workers_of_a_scanner(
    cluster: LocalCluster, nats: NatsServer, namespace: str, instance: Instance
) -> None:
    settings = step_settings(minInFlight=FLOOR, maxInFlight=CEILING)
    options = OperatorOptions(cluster.kubeconfig, nats.address, namespace, ("virusscan",), settings)
    operator = Operator(instance, options)
    seen: list[tuple[int, float]] = []
    async with Scanner(nats.url, WORKERS, lambda name: SIZES[size_of(name)]) as scanner:
        await start_working(operator)
        for number in range(MANY):
            await scanner.upload(f"up-{number}", f"user-{number % 5}", Filesize=size_of(f"up-{number}"))
        while len(scanner.released) < MANY - CEILING:
            if len(scanner.released) > MANY // 2:
                scanner.workers = FEWER
            metrics = await asyncio.to_thread(operator.metrics)
            (limit,) = samples(metrics, "uploadpp_step_slots").values()
            seen.append((len(scanner.released), limit))
            await asyncio.sleep(0.2)
        await scanner.until(MANY)
    log.info("released and slots: %s", seen[:: max(len(seen) // 30, 1)])
    many = [limit for done, limit in seen if MANY // 4 < done <= MANY // 2]
    few = [limit for done, limit in seen if done > MANY * 3 // 4]
    middle, after = (median(each or [0]) for each in (many, few))
    log.info("slots with %d workers: %d; with %d: %d; ceiling %d", WORKERS, middle, FEWER, after, CEILING)
    assert all(FLOOR <= limit <= CEILING for _, limit in seen)
    assert scanner.most <= CEILING
    assert max(limit for _, limit in seen) > FLOOR, operator.log_tail()
