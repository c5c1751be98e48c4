"""Checkouts side by side: `python -m bench.compare [--rounds N] NAME=FOLDER NAME=FOLDER ...`.

One burst differs from the next of the same code by more than two versions do, because the machine changes.
So every checkout has servers and an operator of its own that run all the time, and bursts of a second or two
take turns, in an order that rotates. With `--rate` uploads come steadily instead, and a round ends when the
last resource is removed. Printed is the geometric mean over the rounds of the ratio to the first checkout,
and the interval that holds it with 95 % confidence (Student's t on the logarithms).

A folder needs `.venv` (`scripts/bootstrap`). CRDs and the operator come from the folder; servers and the load
come from here. `NAME=FOLDER@FILE` takes the CRDs from a file.
"""

import argparse
import json
import math
import statistics
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.probe import writes
from bench.scenarios import NAMESPACE, Stage, catch_up, load, until_removed
from e2e.cluster.instance import Instance
from e2e.cluster.kubectl import Kubectl, apply_crds
from e2e.cluster.local import LocalCluster
from e2e.cluster.nats import NatsServer
from e2e.operator_process import Operator, OperatorOptions, leave_out_ours

KEPT = {"UPLOADPP_MAX_ENDED": "1000000", "UPLOADPP_TTL_COMPLETED": "24h"}
"""For bursts: no resource is removed, however long the comparison takes."""
REMOVED = {"UPLOADPP_TTL_COMPLETED": "1s"}
"""For steady loads: resources are removed as uploads end."""
WARM_UP_ROUNDS = 2
SHOW_EVERY = 10
T_95 = 1.96
"""Student's t for many rounds; with 20 it is 2.09, with 60 it is 2.00."""


class OtherOperator(Operator):
    """The operator of another checkout, on its own interpreter."""

    def __init__(self, instance: Instance, options: OperatorOptions, folder: Path) -> None:
        super().__init__(instance, options)
        self._folder = folder

    def argv(self) -> list[str]:
        """The command line."""
        return [str(self._folder / ".venv/bin/python"), "-m", "uploadpp", "run"]


def staged(name: str, folder: Path, crds: Path, environment: Mapping[str, str]) -> Stage:
    """Servers and the operator of one checkout, ready."""
    instance = Instance.temporary(f"compare-{name}")
    cluster = LocalCluster(instance, fsync=True)
    kubeconfig = cluster.start()
    apply_crds(kubeconfig, crds)
    Kubectl(kubeconfig)("create", "namespace", NAMESPACE)
    nats = NatsServer(instance)
    nats.start()
    settings = {"POSTPROCESSING_LOG_LEVEL": "error", **environment}
    options = OperatorOptions(kubeconfig, nats.address, NAMESPACE, environment=settings)
    operator = OtherOperator(instance, options, folder)
    operator.start()
    return Stage(instance, cluster, nats, operator)


def one_round(stage: Stage, uploads: int, in_flight: int, rate: float) -> Mapping[str, float]:
    """One burst, or one steady load: uploads a second, and CPU for an upload until all is done, in ms."""
    stage.mark()
    before = writes(stage.cluster.metrics())
    found = load(stage, uploads=uploads, **({"rate": rate} if rate else {"in_flight": in_flight}))
    catch_up(stage)
    if rate:
        until_removed(stage)
    cpu: dict[str, float] = stage.cpu_ms_per_upload(uploads)
    written = (writes(stage.cluster.metrics()) - before) / uploads
    return {
        "rate": found["rate"],
        "p50_ms": found["p50_ms"],
        **cpu,
        "all": sum(cpu.values()),
        "writes": written,
    }


def ratio(ours: list[float], base: list[float]) -> tuple[float, float, float]:
    """Geometric mean of the ratios of the rounds, and the bounds of its interval."""
    logs = [math.log(mine / other) for mine, other in zip(ours, base, strict=True)]
    mean = statistics.fmean(logs)
    margin = T_95 * statistics.stdev(logs) / math.sqrt(len(logs))
    return math.exp(mean), math.exp(mean - margin), math.exp(mean + margin)


def show(found: Mapping[str, list[Mapping[str, float]]]) -> None:
    """One line for each figure and checkout."""
    base, *others = found
    for figure in found[base][0]:
        first = [each[figure] for each in found[base]]
        print(f"{figure:10} {base} {statistics.fmean(first):9.2f}", end="")
        for name in others:
            mine = [each[figure] for each in found[name]]
            middle, low, high = ratio(mine, first)
            print(f"   {name} {statistics.fmean(mine):9.2f}  {middle:.3f} ({low:.3f} to {high:.3f})", end="")
        print(flush=True)


def _parse(text: str) -> tuple[str, Path, Path]:
    name, _, place = text.partition("=")
    folder, _, crds = place.partition("@")
    return name, Path(folder).resolve(), Path(crds or f"{folder}/crds").resolve()


def main() -> int:
    """Measure and print; with `--out`, keep every round as JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("checkout", nargs="+", type=_parse, metavar="NAME=FOLDER")
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--uploads", type=int, default=1000)
    parser.add_argument("--in-flight", type=int, default=400)
    parser.add_argument("--rate", type=float, default=0.0, help="uploads a second instead of a burst")
    parser.add_argument("--out", type=Path, help="a file for the figures of each round")
    options: Any = parser.parse_args()
    leave_out_ours()
    ended = REMOVED if options.rate else KEPT
    stages = {name: staged(name, folder, crds, ended) for name, folder, crds in options.checkout}
    found: dict[str, list[Mapping[str, float]]] = {name: [] for name in stages}
    names = list(stages)
    for number in range(-WARM_UP_ROUNDS, options.rounds):
        turn = number % len(names)
        for name in (*names[turn:], *names[:turn]):
            figures = one_round(stages[name], options.uploads, options.in_flight, options.rate)
            time.sleep(0.5)  # its last write may still be on the way to the disk
            if number >= 0:
                found[name].append(figures)
        if number >= 0 and (number + 1) % SHOW_EVERY == 0:
            load_text = f"{options.rate:g} a second" if options.rate else f"{options.in_flight} in flight"
            print(f"-- after {number + 1} rounds of {options.uploads} uploads, {load_text}")
            show(found)
            if options.out:
                options.out.write_text(json.dumps(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
