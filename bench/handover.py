"""How long uploads stand still while a shard changes hands: `python -m bench.handover`.

Uploads come at a steady rate and their steps answer at once, so the longest wait of an upload is the
pause, and what an undisturbed one takes. Idle and near what the API server takes on this machine
(`--rate`), for SIGTERM to the owner with another replica beside it, for a rollout of two replicas, and
for a replica that joins one with two shards. `--only sigterm` runs one of them.
"""

import argparse
import json
import sys
import threading
import time
from collections.abc import Callable

from bench.scenarios import Bench, Figures, Stage, loading, said
from e2e.operator_process import Operator

IDLE_RATE = 20.0
BUSY_RATE = 150.0
SECONDS = 20.0


def _named(stage: Stage, name: str) -> Operator:
    assert stage.operator is not None  # noqa: S101 -- every stage here has one
    return Operator(stage.instance, stage.operator.options, name=name)


def _sigterm(stage: Stage) -> None:
    assert stage.operator is not None  # noqa: S101 -- every stage here has one
    stage.operator.stop()


def _rollout(stage: Stage) -> None:
    """As a Deployment does it: a new replica becomes ready, an old one is told to end."""
    assert stage.operator is not None  # noqa: S101 -- every stage here has one
    assert stage.standby is not None  # noqa: S101 -- comes with it
    for number, old in enumerate((stage.operator, stage.standby)):
        _named(stage, f"new-{number}").start()
        old.stop()


def _joining(stage: Stage) -> None:
    _named(stage, "new").start()


CASES: dict[str, tuple[int, bool, Callable[[Stage], None]]] = {
    "sigterm": (1, True, _sigterm),
    "rollout": (1, True, _rollout),
    "joining": (2, False, _joining),
}


def measure(bench: Bench, name: str, rate: float, seconds: float) -> Figures:
    """Run one case at one rate."""
    shards, with_standby, happens = CASES[name]
    stage = bench.stage(operator=True, environment={"UPLOADPP_SHARDS": str(shards)})
    assert stage.standby is not None  # noqa: S101 -- comes with the operator
    if with_standby:
        stage.standby.start()
    with loading(stage, uploads=int(rate * seconds), rate=rate) as running:
        time.sleep(seconds / 2)
        acting = threading.Thread(target=happens, args=(stage,))
        acting.start()
        found = said(running)
        acting.join()
    return {
        "rate": rate,
        **{key: round(found[key]) for key in ("p50_ms", "p99_ms", "longest_ms")},
        "extra_starts": found["extra_starts"],
        "extra_finishes": found["extra_finishes"],
    }


def main() -> int:
    """Print a line for each case."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=CASES)
    parser.add_argument("--rate", type=float, default=BUSY_RATE)
    parser.add_argument("--seconds", type=float, default=SECONDS)
    options = parser.parse_args()
    bench = Bench()
    try:
        for name in [options.only] if options.only else CASES:
            for rate in (IDLE_RATE, options.rate):
                print(name, json.dumps(measure(bench, name, rate, options.seconds)), flush=True)
    finally:
        bench.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
