"""Very many resources of uploads that are over: `python -m bench.kept --uploads 100000`.

What they cost the start, and the path of those that come: the same figures before and after. Making them
takes a minute for every 15,000.
"""

import argparse
import asyncio
import json
import os
import subprocess
import sys
import time

import uvloop

from bench.probe import sample, usage
from bench.scenarios import NAMESPACE, Bench, Stage, killed_and_back, load
from tests.uploads import PASSED, after
from uploadpp.api.codec import ALL_SHOWN, to_resource, to_status
from uploadpp.core.evolve import evolve
from uploadpp.core.model import Millis
from uploadpp.kube.api import Api, load_configuration
from uploadpp.kube.store import Store

SEALED = "g" * 1400
WRITERS = 16
TEN_YEARS_MS = 10 * 365 * 86_400_000


async def fill(uploads: int) -> None:
    """Make so many resources of completed uploads, that stay for years."""
    over = after(*PASSED)
    assert over.completed_at is not None  # noqa: S101 -- it has passed
    over = evolve(over, expires_at=Millis(over.completed_at + TEN_YEARS_MS))
    status, left = to_status(over), iter(range(uploads))
    async with Api(await load_configuration()) as api:
        store = Store(api, NAMESPACE)

        async def worker() -> None:
            for number in left:
                mine = evolve(over, id=f"kept-{number}")
                made = await store.create(
                    to_resource(mine, namespace=NAMESPACE, shown=ALL_SHOWN, sealed=SEALED)
                )
                await store.write_status(mine.id, made.version, status)

        await asyncio.gather(*(worker() for _ in range(WRITERS)))


def look(stage: Stage, singles: int, kept: int) -> dict[str, float]:
    """How long a start takes, and an upload while what is kept is being listed, and then."""
    operator = stage.operator
    assert operator is not None  # noqa: S101 -- the caller has asked for one
    back, began = killed_and_back(operator), time.monotonic()
    first = load(stage, uploads=singles, in_flight=1)
    while sample(operator.metrics(), "uploadpp_uploads") < kept:
        time.sleep(0.5)
    listed = time.monotonic() - began
    one = load(stage, uploads=singles, in_flight=1)
    many = load(stage, uploads=10 * singles, in_flight=100)
    return {
        "working_again_after_s": round(back, 1),
        "p50_ms_just_then": round(first["p50_ms"], 2),
        "all_known_after_s": round(listed, 1),
        "p50_ms": round(one["p50_ms"], 2),
        "burst_rate": round(many["rate"]),
        "memory_mb": round(usage(operator).memory / 1e6),
    }


def main() -> int:
    """Print the figures with none kept, and with many."""
    parser = argparse.ArgumentParser(prog="python -m bench.kept", description=__doc__)
    parser.add_argument("--uploads", type=int, default=100_000, help="how many are kept")
    parser.add_argument("--fill", action="store_true", help="only make them, where KUBECONFIG says")
    parser.add_argument("--singles", type=int, default=400, help="uploads one at a time")
    arguments = parser.parse_args()
    if arguments.fill:
        uvloop.run(fill(arguments.uploads))
        return 0
    bench = Bench()
    try:
        stage = bench.stage(operator=True)
        print("none kept:", json.dumps(look(stage, arguments.singles, 0)), flush=True)
        command = [sys.executable, "-m", "bench.kept", "--fill", "--uploads", str(arguments.uploads)]
        subprocess.run(command, check=True, env={**os.environ, "KUBECONFIG": str(stage.cluster.kubeconfig)})
        print(
            f"{arguments.uploads} kept:",
            json.dumps(look(stage, arguments.singles, arguments.uploads)),
            flush=True,
        )
    finally:
        bench.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
