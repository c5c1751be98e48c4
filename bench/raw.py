"""The limit of the API server: exactly the writes an upload needs, from the operator's own client.

Create, one status, delete, with so many uploads at a time; prints one JSON line. What is not deleted
stays for years, also where an operator starts later.
"""

import argparse
import asyncio
import json
import sys
import time
from pathlib import Path

import uvloop

from uploadpp.api.codec import ALL_SHOWN, to_resource, to_status
from uploadpp.core.evolve import evolve
from uploadpp.core.model import Millis
from uploadpp.kube.api import Api
from uploadpp.kube.credentials import find_credentials
from uploadpp.kube.store import Store
from uploadpp.testing.builders import ARRIVAL, PASSED, after

SEALED = "g" * 1400
TEN_YEARS_MS = 10 * 365 * 86_400_000


async def _main(options: argparse.Namespace) -> None:
    upload = after(ARRIVAL) if options.running else after(*PASSED)
    if upload.completed_at is not None:
        upload = evolve(upload, expires_at=Millis(upload.completed_at + TEN_YEARS_MS))
    word = "running" if options.running else "raw"
    status = to_status(upload)
    left = iter(range(options.uploads))
    async with Api(find_credentials()) as api:
        store = Store(api, options.namespace)

        async def worker() -> None:
            for number in left:
                mine = evolve(upload, id=f"{word}-{number}")
                resource = to_resource(mine, namespace=options.namespace, shown=ALL_SHOWN, sealed=SEALED)
                made = await store.create(resource)
                written = await store.write_status(mine.id, made.version, status)
                if options.delete:
                    await store.delete(mine.id, written.uid, written.version)

        began = time.perf_counter()
        await asyncio.gather(*(worker() for _ in range(options.writers)))
    seconds = time.perf_counter() - began
    writes = options.uploads * (3 if options.delete else 2)
    print(json.dumps({"uploads": options.uploads, "seconds": seconds, "writes_per_second": writes / seconds}))


def main() -> int:
    """Run from the command line; KUBECONFIG says where."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--namespace", default="default")
    parser.add_argument("--uploads", type=int, default=1000)
    parser.add_argument("--writers", type=int, default=16)
    parser.add_argument("--delete", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--running", action="store_true", help="uploads in their first step, not ended ones")
    parser.add_argument("--out", type=Path)
    uvloop.run(_main(parser.parse_args()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
