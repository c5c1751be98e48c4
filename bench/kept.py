"""Very many resources of uploads that are over: `python -m bench.kept --uploads 100000`.

What they cost the start, and the path of those that come: the same figures before and after. Making them
takes a minute for every 15,000.
"""

import argparse
import json
import sys
import time

from bench.probe import sample, usage
from bench.scenarios import Bench, Stage, killed_and_back, load, write_directly


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
    parser.add_argument("--singles", type=int, default=400, help="uploads one at a time")
    arguments = parser.parse_args()
    bench = Bench()
    try:
        stage = bench.stage(operator=True)
        print("none kept:", json.dumps(look(stage, arguments.singles, 0)), flush=True)
        write_directly(stage, arguments.uploads, "--no-delete")
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
