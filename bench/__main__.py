"""`make bench`: limits and operator measured in one run; the report is in bench/results/.

QUICK=1 takes about a minute and a half and is good for orders of magnitude only.
"""

import argparse
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
from e2e.operator_process import leave_out_ours, say_left_out

FOLDER = Path("bench/results")


Found = dict[str, Figures]


def _plan(bench: Bench, *, quick: bool) -> dict[str, Callable[[Found], Figures]]:
    few, many, singles, seconds = (600, 2000, 100, 10.0) if quick else (4000, 16000, 400, 30.0)
    lost = (1000, 5.0) if quick else (10_000, 45.0)
    plan: dict[str, Callable[[Found], Figures]] = {
        "bare_nats": lambda _: scenarios.bare_nats(bench, few, 400, singles),
        "one_at_a_time": lambda _: scenarios.one_at_a_time(bench, singles),
        "burst_400_in_flight": lambda _: scenarios.burst(bench, few, 400),
        "burst_all_at_once": lambda _: scenarios.burst(bench, many, many),
        "raw_api": lambda _: scenarios.raw_api(bench, few // 2),
        "sustained": lambda found: scenarios.sustained(bench, _offered(found["raw_api"]), seconds),
        "sustained_full": lambda found: scenarios.sustained(bench, _offered(found["raw_api"], 1.0), seconds),
        "everything_twice": lambda _: scenarios.everything_twice(bench, 500),
        "recovery": lambda _: scenarios.recovery(bench, *lost),
        "killed_half_retrying": lambda _: scenarios.killed(bench, few // 2),
        "replaced": lambda _: scenarios.replaced(bench, 200.0, seconds / 2),
    }
    if bench.has_processors:
        plan |= {
            "raw_api_apart": lambda _: scenarios.raw_api(bench, few // 2, apart=True),
            "sustained_apart": lambda found: scenarios.sustained(
                bench, _offered(found["raw_api_apart"]), seconds, apart=True
            ),
        }
    return plan


def _offered(raw: Figures, share: float = 0.9) -> float:
    """Uploads a second: three writes each, and so much of what the server was just seen to take."""
    return float(raw["writes_per_second"]) / 3 * share


def main() -> int:
    """Measure and write the report."""
    argparse.ArgumentParser(prog="python -m bench", description=__doc__).parse_args()
    found: Found = {}
    say_left_out(leave_out_ours())
    bench = Bench()
    quick = bool(os.environ.get("QUICK"))
    try:
        for name, measure in _plan(bench, quick=quick).items():
            print(f"{name} ...", flush=True)
            found[name] = measure(found)
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
