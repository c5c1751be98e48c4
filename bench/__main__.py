"""`make bench`: limits and operator measured in one run; the report is in bench/results/.

QUICK=1 takes about a minute and a half and is good for orders of magnitude only.
"""

import json
import os
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from bench import scenarios
from bench.charts import draw
from bench.report import render
from bench.scenarios import Bench, Figures

FOLDER = Path("bench/results")


def _plan(*, quick: bool) -> dict[str, Callable[[Bench], Figures]]:
    few, many, singles, seconds = (600, 2000, 100, 10.0) if quick else (4000, 16000, 400, 30.0)
    return {
        "bare_nats": lambda bench: scenarios.bare_nats(bench, few, 400, singles),
        "raw_api": lambda bench: scenarios.raw_api(bench, few // 2),
        "one_at_a_time": lambda bench: scenarios.one_at_a_time(bench, singles),
        "burst_400_in_flight": lambda bench: scenarios.burst(bench, few, 400),
        "burst_all_at_once": lambda bench: scenarios.burst(bench, many, many),
        "sustained": lambda bench: scenarios.sustained(bench, 0.0, seconds),
        "everything_twice": lambda bench: scenarios.everything_twice(bench, 500),
        "recovery": lambda bench: scenarios.recovery(
            bench, 1000 if quick else 10_000, 5.0 if quick else 45.0
        ),
        "killed_half_retrying": lambda bench: scenarios.killed(bench, few // 2),
    }


def main() -> int:
    """Measure and write the report."""
    found: dict[str, Figures] = {}
    bench = Bench()
    quick = bool(os.environ.get("QUICK"))
    try:
        for name, measure in _plan(quick=quick).items():
            print(f"{name} ...", flush=True)
            if name == "sustained":
                # Three writes an upload, and 90 % of what the server was just seen to take.
                rate = found["raw_api"]["writes_per_second"] / 3 * 0.9
                found[name] = scenarios.sustained(bench, rate, 10.0 if quick else 30.0)
            else:
                found[name] = measure(bench)
            print(f"  {json.dumps(found[name])}", flush=True)
    finally:
        bench.close()
    FOLDER.mkdir(exist_ok=True)
    stamp = datetime.now(UTC).strftime("%Y-%m-%d")
    (FOLDER / "report.json").write_text(json.dumps(found, indent=1) + "\n")
    draw(found, FOLDER)
    text = render(found, stamp, quick=quick)
    (FOLDER / "report.md").write_text(text)
    print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
