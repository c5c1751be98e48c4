"""What is measured, one function per figure; each on fresh servers of one machine."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from bench.probe import Usage, confine, sample, usage, writes
from e2e.cluster.instance import Instance
from e2e.cluster.kubectl import Kubectl, apply_crds
from e2e.cluster.local import LocalCluster
from e2e.cluster.nats import NatsServer
from e2e.cluster.service import Service
from e2e.operator_process import Operator, OperatorOptions

NAMESPACE = "bench"
CATCH_UP_SECONDS = 600
IDLE_SECONDS = 0.05
"""Between two uploads of an idle system: what the one leaves to be written is written before the next."""
WARM_UP_SECONDS = 10.0
"""Until as many uploads are made, ended and removed as come in."""
LEASE_SECONDS = 5

Figures = dict[str, Any]


@dataclass
class Stage:
    """Servers for one scenario."""

    instance: Instance
    cluster: LocalCluster
    nats: NatsServer
    operator: Operator | None = None
    standby: Operator | None = None
    """Another replica, not started yet."""
    before: dict[str, Usage] = field(default_factory=dict)

    @property
    def services(self) -> dict[str, Service]:
        """Everything whose CPU counts."""
        found: dict[str, Service] = {
            "apiserver": self.cluster.apiserver,
            "etcd": self.cluster.etcd,
            "nats": self.nats,
        }
        return found | ({"operator": self.operator} if self.operator else {})

    def mark(self) -> None:
        """CPU is counted from here."""
        self.before = {name: usage(service) for name, service in self.services.items()}

    def cpu_ms_per_upload(self, uploads: int) -> Figures:
        """CPU of each server since the mark, per upload."""
        return {
            name: round((usage(service).cpu - self.before[name].cpu) / uploads * 1000, 2)
            for name, service in self.services.items()
        }


class Bench:
    """Starts what a scenario needs and stops it afterwards."""

    def __init__(self) -> None:
        self._instance = Instance.temporary("bench")
        self._processors = os.sched_getaffinity(0)

    @property
    def has_processors(self) -> bool:
        """Whether the control plane can have one of its own."""
        return len(self._processors) > 1

    def close(self) -> None:
        """Stop everything."""
        self._instance.close()

    def stage(
        self, *, operator: bool, environment: Mapping[str, str] | None = None, apart: bool = False
    ) -> Stage:
        """Fresh servers; `apart`: the control plane has a processor of its own, as on machines of its own."""
        self._instance.close()
        self._instance = Instance.temporary("bench")
        os.sched_setaffinity(0, self._processors)
        cluster = LocalCluster(self._instance, fsync=True)
        kubeconfig = cluster.start()
        if apart:
            others = self._processors - {min(self._processors)}
            for service in (cluster.apiserver, cluster.etcd):
                confine(service, self._processors - others)
            os.sched_setaffinity(0, others)  # what is started from here on
        apply_crds(kubeconfig)
        Kubectl(kubeconfig)("create", "namespace", NAMESPACE)
        nats = NatsServer(self._instance)
        nats.start()
        stage = Stage(self._instance, cluster, nats)
        if operator:
            settings = {
                "UPLOADPP_LOG_LEVEL": "error",
                "POSTPROCESSING_LOG_LEVEL": "error",
                "UPLOADPP_LEASE_DURATION": f"{LEASE_SECONDS}s",
                "POSTPROCESSING_RETRY_BACKOFF_DURATION": "1s",
                "UPLOADPP_MAX_ENDED": "1000000",
                **(environment or {}),
            }
            settings.pop("UPLOADPP_LOG_LEVEL")
            options = OperatorOptions(kubeconfig, nats.address, NAMESPACE, environment=settings)
            stage.operator = Operator(self._instance, options)
            stage.standby = Operator(self._instance, options, name="standby")
            stage.operator.start()
        stage.mark()
        return stage


def load(stage: Stage, **options: float) -> Figures:
    """Run the load generator; its options without dashes."""
    with loading(stage, **options) as running:
        return said(running)


def loading(stage: Stage, **options: float) -> subprocess.Popen[bytes]:
    """Start the load generator, which says at its end what it has found."""
    flags = [
        text for name, value in options.items() for text in (f"--{name.replace('_', '-')}", f"{value:.9g}")
    ]
    command = [sys.executable, "-m", "bench.load", "--nats", stage.nats.url, *flags]
    return subprocess.Popen(command, stdout=subprocess.PIPE)


def said(running: subprocess.Popen[bytes]) -> Figures:
    """What the load generator has found, once all is released.

    Raises:
        RuntimeError: not all was.
    """
    found = running.communicate(timeout=CATCH_UP_SECONDS)[0]
    if running.returncode:
        raise RuntimeError(f"the load generator has ended with {running.returncode}")
    return dict(json.loads(found))


def catch_up(stage: Stage) -> float:
    """Wait until etcd has everything; returns the seconds it took."""
    assert stage.operator is not None  # noqa: S101 -- only asked of scenarios with an operator
    began = time.monotonic()
    while time.monotonic() - began < CATCH_UP_SECONDS:
        metrics = stage.operator.metrics()
        if (
            sample(metrics, "uploadpp_log_unacknowledged") == 0
            and sample(metrics, "uploadpp_log_unread") == 0
        ):
            return time.monotonic() - began
        time.sleep(1.0)  # an answer costs the operator 20 ms, which would count as the price of uploads
    raise RuntimeError("the resources did not catch up")


def until_removed(stage: Stage) -> None:
    """Wait until the last resource is gone."""
    kubectl = Kubectl(stage.cluster.kubeconfig, NAMESPACE)
    while kubectl("get", "upp", "--no-headers", "--ignore-not-found").strip():
        time.sleep(0.5)


def bare_nats(bench: Bench, uploads: int, in_flight: int, singles: int) -> Figures:
    """The hops of an upload without any operator: the ceiling of load, NATS and Python."""
    stage = bench.stage(operator=False)
    command = [sys.executable, "-m", "bench.bare", "--nats", stage.nats.url]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as bare:
        try:
            assert bare.stdout is not None  # noqa: S101 -- a pipe was asked for
            bare.stdout.readline()
            single = load(stage, uploads=singles, in_flight=1, pause=IDLE_SECONDS)
            rushed = load(stage, uploads=singles, in_flight=1)
            busy = load(stage, uploads=uploads, in_flight=in_flight)
        finally:
            bare.kill()
    return {"single": single, "back_to_back": rushed, "burst": busy}


def raw_api(bench: Bench, uploads: int, *, apart: bool = False) -> Figures:
    """The API server's own limit for the three writes of an upload."""
    stage = bench.stage(operator=False, apart=apart)
    return {**write_directly(stage, uploads), "cpu_ms_per_upload": stage.cpu_ms_per_upload(uploads)}


def write_directly(stage: Stage, uploads: int, *flags: str) -> Figures:
    """Run the raw driver: the resources of so many uploads, written without the operator."""
    command = [sys.executable, "-m", "bench.raw", "--namespace", NAMESPACE, "--uploads", str(uploads), *flags]
    environment = {**os.environ, "KUBECONFIG": str(stage.cluster.kubeconfig)}
    done = subprocess.run(command, check=True, capture_output=True, env=environment)
    figures: Figures = json.loads(done.stdout)
    return figures


def one_at_a_time(bench: Bench, uploads: int) -> Figures:
    """Latency and API writes of an idle system; then again without a pause between two uploads."""
    stage = bench.stage(operator=True)
    assert stage.operator is not None  # noqa: S101 -- asked for above
    started, before = usage(stage.operator).cpu, writes(stage.cluster.metrics())
    found = load(stage, uploads=uploads, in_flight=1, pause=IDLE_SECONDS)
    catch_up(stage)
    written = writes(stage.cluster.metrics()) - before
    rushed = load(stage, uploads=uploads, in_flight=1)
    return {
        **found,
        "api_writes_per_upload": written / uploads,
        "back_to_back": rushed,
        "cpu_s_until_ready": round(started, 2),
    }


def burst(bench: Bench, uploads: int, in_flight: int) -> Figures:
    """Many uploads at once: events at NATS speed, then the resources catch up."""
    stage = bench.stage(operator=True)
    assert stage.operator is not None  # noqa: S101 -- asked for above
    before, base = writes(stage.cluster.metrics()), usage(stage.operator).memory
    found = load(stage, uploads=uploads, in_flight=in_flight)
    peak = usage(stage.operator).memory
    seconds = catch_up(stage)
    written = writes(stage.cluster.metrics()) - before
    listed = Kubectl(stage.cluster.kubeconfig, NAMESPACE)("get", "upp", "--no-headers")
    return {
        **found,
        "caught_up_after_s": round(seconds, 1),
        "api_writes_per_upload": written / uploads,
        "api_writes_per_second": written / (found["seconds"] + seconds),
        "completed": listed.count("Completed"),
        "base_mb": round(base / 1e6),
        "memory_kb_per_upload": round((peak - base) / uploads / 1000, 1),
        "cpu_ms_per_upload": stage.cpu_ms_per_upload(uploads),
        "working_again_after_s": round(killed_and_back(stage.operator), 1),
        "memory_kb_per_finished": round((usage(stage.operator).memory - base) / uploads / 1000, 2),
    }


def killed_and_back(operator: Operator) -> float:
    """Seconds from a kill -9 until the next process owns the shard."""
    operator.kill()
    began = time.monotonic()
    operator.start()
    while sample(operator.metrics(), "uploadpp_shard_owned") < 1:
        time.sleep(0.1)
    return time.monotonic() - began


def sustained(bench: Bench, rate: float, seconds: float, *, apart: bool = False) -> Figures:
    """A rate that the API server can just take, resources removed as they go.

    Writes and CPU are counted while the load is on and as many uploads end as begin; `behind` says how many
    states still waited to be written when it ended, which stays small where the rate was kept up with.
    Removals give way to uploads, so some come after the load. `through_per_second` counts uploads until the
    last resource is gone.
    """
    stage = bench.stage(operator=True, environment={"UPLOADPP_TTL_COMPLETED": "1s"}, apart=apart)
    assert stage.operator is not None  # noqa: S101 -- asked for above
    first, started = writes(stage.cluster.metrics()), time.monotonic()
    uploads = int(rate * (WARM_UP_SECONDS + seconds))
    with loading(stage, uploads=uploads, rate=rate) as running:
        time.sleep(WARM_UP_SECONDS)
        stage.mark()
        before, began = writes(stage.cluster.metrics()), time.monotonic()
        time.sleep(seconds * 0.9)  # not quite to its end
        written, elapsed = writes(stage.cluster.metrics()) - before, time.monotonic() - began
        cpu = stage.cpu_ms_per_upload(round(rate * elapsed))
        behind = sample(stage.operator.metrics(), "uploadpp_checkpoint_lag_uploads")
        found = said(running)
    lag = catch_up(stage)
    until_removed(stage)
    return {
        **found,
        "asked_rate": rate,
        "behind": behind,
        "caught_up_after_s": round(lag, 1),
        "api_writes_per_upload": (writes(stage.cluster.metrics()) - first) / uploads,
        "api_writes_per_second": written / elapsed,
        "through_per_second": uploads / (time.monotonic() - started),
        "cpu_ms_per_upload": cpu,
    }


def everything_twice(bench: Bench, uploads: int) -> Figures:
    """Every event sent twice."""
    return load(bench.stage(operator=True), uploads=uploads, in_flight=100, copies=2)


def recovery(bench: Bench, uploads: int, work_seconds: float) -> Figures:
    """Killed while very many uploads are at a step: how long until a successor works again."""
    stage = bench.stage(operator=True)
    assert stage.operator is not None  # noqa: S101 -- asked for above
    with loading(stage, uploads=uploads, work=work_seconds) as running:
        while sample(stage.operator.metrics(), "uploadpp_published_total") < uploads:
            time.sleep(0.2)
        recovered = killed_and_back(stage.operator)
        found = said(running)
    return {
        **found,
        "in_flight": uploads,
        "working_again_after_s": round(recovered, 1),
        "lease_s": LEASE_SECONDS,
    }


def killed(bench: Bench, uploads: int) -> Figures:
    """Half the uploads ask for a retry once; killed -9 in the middle, started again."""
    stage = bench.stage(operator=True)
    assert stage.operator is not None  # noqa: S101 -- asked for above
    with loading(stage, uploads=uploads, retries=0.5) as running:
        while sample(stage.operator.metrics(), "uploadpp_published_total") < uploads * 1.5:  # of 4 each
            time.sleep(0.05)
        recovered = killed_and_back(stage.operator)
        found = said(running)
    catch_up(stage)
    listed = Kubectl(stage.cluster.kubeconfig, NAMESPACE)("get", "upp", "--no-headers")
    return {
        **found,
        "working_again_after_s": round(recovered, 1),
        "lease_s": LEASE_SECONDS,
        "completed": listed.count("Completed"),
    }


def replaced(bench: Bench, rate: float, seconds: float) -> Figures:
    """Killed -9 under load, with another replica standing by: the longest wait of an upload is the gap."""
    stage = bench.stage(operator=True)
    assert stage.operator is not None  # noqa: S101 -- asked for above
    assert stage.standby is not None  # noqa: S101 -- comes with it
    stage.standby.start()
    uploads = int(rate * seconds)
    with loading(stage, uploads=uploads, rate=rate) as running:
        time.sleep(seconds / 3)
        stage.operator.kill()
        found = said(running)
    stage.operator = stage.standby
    catch_up(stage)
    listed = Kubectl(stage.cluster.kubeconfig, NAMESPACE)("get", "upp", "--no-headers")
    return {**found, "lease_s": LEASE_SECONDS, "completed": listed.count("Completed")}
