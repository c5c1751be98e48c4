"""`make soak`: very many uploads while everything fails at random, and what the operator needs meanwhile.

Two replicas of the operator, the real NATS, etcd and API server. In the first half of the time the owner is
also killed (kill -9); in the second half both replicas live on, so that a leak shows. Throughout, NATS is
restarted, the API server stands still, and steps answer twice, late, with a retry or never (`courses`).
The figures go to bench/results/soak.json; the table is printed, for docs/performance.md.
"""

import argparse
import json
import os
import random
import signal
import statistics
import subprocess
import sys
import time
from collections import Counter
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from bench.courses import MAX_RETRIES, TIMEOUT_SECONDS
from bench.probe import sample, usage
from bench.scenarios import NAMESPACE, Bench, Figures, Stage
from bench.soakreport import render
from e2e.cluster.http import get
from e2e.cluster.kubectl import Kubectl, KubectlError
from e2e.operator_process import Operator, leave_out_ours, say_left_out

RESULT = Path("bench/results/soak.json")
SAMPLE_SECONDS = 5.0
CALM_SECONDS = 15.0
"""After a fault: what it has piled up is worked off."""
MAX_AGE_SECONDS = 600
"""Of the stream, so that it has a limit."""
TTL_SECONDS = 30
WARM_UP = 0.5
"""Part of the time in which replicas are killed, and after which growth counts."""
START_SECONDS, REMOVAL_SECONDS = 300.0, 600.0


@dataclass(frozen=True)
class Sample:
    """What a replica has at a moment, and what the servers have."""

    at: float
    replica: str
    process: int
    calm: bool
    blocks: int
    """Of memory that Python has allocated."""
    memory: int
    descriptors: int
    threads: int
    tasks: int
    stream_bytes: int
    etcd_bytes: int


class Soak:
    """One run."""

    def __init__(self, stage: Stage, options: argparse.Namespace) -> None:
        self._stage = stage
        self._options = options
        self._choose = random.Random(options.seed)  # noqa: S311 -- the same faults in the next run
        self._began = time.monotonic()
        self._last_fault = 0.0
        self._expected = options.uploads / options.rate
        self.samples: list[Sample] = []
        self.faults: Counter[str] = Counter()
        self.ended = 0
        """How often a replica ended that nobody had killed."""
        assert stage.operator is not None  # noqa: S101 -- the caller has asked for one
        assert stage.standby is not None  # noqa: S101 -- comes with it
        self._replicas = (stage.operator, stage.standby)

    @property
    def _now(self) -> float:
        return time.monotonic() - self._began

    def run(self) -> Figures:
        """Load, faults and samples until all uploads have ended."""
        with self._load() as running:
            due = self._pause()
            while running.poll() is None:
                if self._now >= due and self._now < self._expected:
                    self._fault()
                    due = self._now + self._pause()
                self._take_samples()
                time.sleep(SAMPLE_SECONDS)
            found: Figures = json.loads(running.communicate()[0])
        found["left_over"] = self._remains()
        found["faults"], found["ended_by_itself"] = dict(self.faults), self.ended
        return found

    def _load(self) -> subprocess.Popen[bytes]:
        options = self._options
        flags = ["--uploads", str(options.uploads), "--rate", str(options.rate), "--seed", str(options.seed)]
        command = [sys.executable, "-m", "bench.soakload", "--nats", self._stage.nats.url, *flags]
        return subprocess.Popen(command, stdout=subprocess.PIPE)

    def _pause(self) -> float:
        mean: float = self._options.fault_every
        return self._choose.uniform(0.5, 1.5) * mean

    def _fault(self) -> None:
        faults = [self._restart_nats, self._stop_api_server]
        if self._now < WARM_UP * self._expected:
            faults += [self._kill_owner, self._kill_owner, self._freeze_owner]
        fault = self._choose.choice(faults)
        name = fault.__name__.removeprefix("_").replace("_", " ")
        print(f"{self._now:7.0f} s: {name}", flush=True)
        fault()
        self.faults[name] += 1
        self._last_fault = self._now

    def _restart_nats(self) -> None:
        self._stage.nats.restart()

    def _stop_api_server(self) -> None:
        self._stage.cluster.apiserver.pause()
        time.sleep(self._choose.uniform(3, 20))
        self._stage.cluster.apiserver.resume()

    def _kill_owner(self) -> None:
        owner = self._owner()
        owner.kill()
        owner.start(timeout=START_SECONDS)

    def _freeze_owner(self) -> None:
        """Longer than the Lease lasts, so that the other one takes over."""
        owner = self._owner()
        owner.pause()
        time.sleep(self._choose.uniform(6, 12))
        owner.resume()

    def _owner(self) -> Operator:
        for each in self._replicas:
            with suppress(OSError):
                if sample(each.metrics(), "uploadpp_shard_owned") >= 1:
                    return each
        return self._choose.choice(self._replicas)

    def _take_samples(self) -> None:
        with suppress(OSError):
            stream_bytes = int(json.loads(get(f"{self._stage.nats.monitor_url}/jsz"))["bytes"])
            etcd = get(f"{self._stage.cluster.etcd.url}/metrics")
            etcd_bytes = int(sample(etcd, "etcd_mvcc_db_total_size_in_use_in_bytes"))
            for each in self._replicas:
                self._take_sample(each, stream_bytes, etcd_bytes)

    def _take_sample(self, replica: Operator, stream_bytes: int, etcd_bytes: int) -> None:
        if replica.pid is None:
            print(f"{self._now:7.0f} s: the {replica.name} has ended: {replica.log_tail(5)}", flush=True)
            self.ended += 1
            replica.start(timeout=START_SECONDS)
        metrics = replica.metrics()
        folder = Path(f"/proc/{replica.pid}")
        self.samples.append(
            Sample(
                at=round(self._now, 1),
                replica=replica.name,
                process=replica.pid or 0,
                calm=self._now - self._last_fault > CALM_SECONDS,
                memory=usage(replica).memory,
                descriptors=len(list((folder / "fd").iterdir())),
                threads=len(list((folder / "task").iterdir())),
                tasks=int(sample(metrics, "uploadpp_loop_tasks")),
                blocks=int(sample(metrics, "uploadpp_memory_blocks")),
                stream_bytes=stream_bytes,
                etcd_bytes=etcd_bytes,
            )
        )

    def _remains(self) -> int:
        """How many resources are left once their time to live is over."""
        kubectl, began = Kubectl(self._stage.cluster.kubeconfig, NAMESPACE), time.monotonic()
        left = int(self._options.uploads)
        while left and time.monotonic() - began < REMOVAL_SECONDS:
            time.sleep(2)
            with suppress(KubectlError):  # of a server that is busy
                left = len(kubectl("get", "upp", "--no-headers", "--ignore-not-found").splitlines())
        return left


def growth(samples: list[Sample], field: str) -> tuple[float, float]:
    """Mean of a figure, and how much it grows over the time of the samples, by linear regression."""
    values = [float(getattr(each, field)) for each in samples]
    times = [each.at for each in samples]
    if len(set(times)) < 2:  # noqa: PLR2004 -- a line needs two points
        return values[0] if values else 0.0, 0.0
    slope = statistics.linear_regression(times, values).slope
    return statistics.fmean(values), slope * (max(times) - min(times))


def judged(samples: list[Sample], expected: float) -> list[Figures]:
    """Each figure of each replica that has lived through the second half."""
    found: list[Figures] = []
    late = [each for each in samples if each.calm and each.at > WARM_UP * expected]
    for replica in sorted({each.replica for each in late}):
        mine = [each for each in late if each.replica == replica]
        lived = [each for each in mine if each.process == mine[-1].process]
        for field in ("blocks", "memory", "descriptors", "threads", "tasks"):
            mean, grown = growth(lived, field)
            # Memory stays at its last peak, and the faults make peaks: blocks tell whether anything is kept.
            allowed = max(0.1 * mean, 8e6) if field == "memory" else max(0.05 * mean, 2)
            found.append(
                {
                    "figure": f"{field} of the {replica}",
                    "mean": mean,
                    "growth": grown,
                    "allowed": allowed,
                    "samples": len(lived),
                    "seconds": round(lived[-1].at - lived[0].at),
                }
            )
    return found


def sizes(samples: list[Sample]) -> dict[str, Figures]:
    """The largest sizes of stream and etcd in the first and the second half."""
    middle = samples[-1].at / 2 if samples else 0
    halves = {
        "first half": [each for each in samples if each.at <= middle],
        "second half": [each for each in samples if each.at > middle],
    }
    return {
        name: {
            half: max((getattr(each, name) for each in those), default=0) for half, those in halves.items()
        }
        for name in ("stream_bytes", "etcd_bytes")
    }


def main() -> int:
    """Run, write the figures and judge them."""
    parser = argparse.ArgumentParser(prog="python -m bench.soak", description=__doc__)
    parser.add_argument("--uploads", type=int, default=100_000)
    parser.add_argument("--rate", type=float, default=50.0, help="uploads a second")
    parser.add_argument("--fault-every", type=float, default=40.0, help="seconds, on average")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    say_left_out(leave_out_ours())
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    os.environ["PYTHONUNBUFFERED"] = "1"
    settings = {"timeoutSeconds": TIMEOUT_SECONDS, "maxRetries": MAX_RETRIES, "backoffSeconds": 1}
    bench = Bench()
    try:
        stage = bench.stage(
            operator=True,
            environment={
                "UPLOADPP_STEP_SETTINGS": json.dumps({"policies": settings}),
                "UPLOADPP_TTL_COMPLETED": f"{TTL_SECONDS}s",
                "UPLOADPP_TTL_FAILED": f"{TTL_SECONDS}s",
                "UPLOADPP_STREAM_MAX_AGE": f"{MAX_AGE_SECONDS}s",
            },
        )
        assert stage.standby is not None  # noqa: S101 -- comes with the operator
        stage.standby.start()
        soak = Soak(stage, options)
        found = soak.run()
        growths = judged(soak.samples, options.uploads / options.rate)
    finally:
        bench.close()
    found |= {"growth": growths, "sizes": sizes(soak.samples), "seed": options.seed}
    RESULT.parent.mkdir(exist_ok=True)
    text = {**found, "samples": [asdict(each) for each in soak.samples]}
    RESULT.write_text(json.dumps(text, indent=1) + "\n")
    report, is_good = render(found)
    print(report)
    return 0 if is_good else 1


if __name__ == "__main__":
    sys.exit(main())
