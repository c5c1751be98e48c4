"""`kubectl pp` beside kubectl where very many uploads are kept: `python -m bench.plugin`.

Seconds and peak memory of each verb, and of kubectl with the same selection, on one API server.
Making the resources takes a minute for every 15,000.
"""

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path

from bench.probe import sample
from bench.scenarios import NAMESPACE, Bench, Stage, catch_up, loading, write_directly
from e2e.cluster.binaries import resolve
from e2e.paths import REPO

WORK_SECONDS = 3600.0
PAIRS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("kubectl get upp", ("get", "upp")),
    ("list", ("pp", "list")),
    ("kubectl get upp, running", ("get", "upp", "--field-selector=status.completionTime=")),
    ("list --running", ("pp", "list", "--running")),
    ("list --stalled", ("pp", "list", "--stalled")),
    ("stats", ("pp", "stats")),
    ("status @latest", ("pp", "status", "@latest")),
    ("doctor", ("pp", "doctor")),
    ("suspend --all", ("pp", "suspend", "--all", "--yes")),
    ("unsuspend --all", ("pp", "unsuspend", "--all", "--yes")),
    ("restart --all", ("pp", "restart", "--all", "--yes")),
)


def measure(environment: dict[str, str], words: tuple[str, ...]) -> tuple[float, float, int]:
    """Seconds, peak memory in MB of all its processes' largest, and lines printed."""
    began = time.perf_counter()
    command = (
        ["kubectl", "--namespace", NAMESPACE, *words]
        if words[0] != "pp"
        else [
            "kubectl",
            "pp",
            *words[1:],
            "-n",
            NAMESPACE,
        ]
    )
    script = (
        "import resource,subprocess,sys\n"
        "done=subprocess.run(sys.argv[1:],stdout=subprocess.PIPE,stderr=subprocess.DEVNULL)\n"
        "peak=resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss\n"
        "print(peak,done.stdout.count(b'\\n'))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, *command], env=environment, capture_output=True, text=True, check=True
    )
    peak, lines = done.stdout.split()
    return time.perf_counter() - began, int(peak) / 1024, int(lines)


def environment_of(stage: Stage, folder: Path) -> dict[str, str]:
    """A PATH with kubectl and the plugin as it is built."""
    subprocess.run([sys.executable, REPO / "scripts/build_plugin.py", str(folder)], check=True)
    (folder / "kubectl").symlink_to(resolve("kubectl").path)
    path = f"{folder}:{Path(sys.executable).parent}:{os.environ['PATH']}"
    return {**os.environ, "PATH": path, "KUBECONFIG": str(stage.cluster.kubeconfig), "COLUMNS": "80"}


def steps_have(stage: Stage, uploads: int) -> None:
    """Wait until so many uploads are at a step, and recorded."""
    assert stage.operator is not None  # noqa: S101 -- asked for
    while sample(stage.operator.metrics(), "uploadpp_published_total") < uploads:
        time.sleep(0.2)
    catch_up(stage)


def main() -> int:
    """Print a table."""
    parser = argparse.ArgumentParser(prog="python -m bench.plugin", description=__doc__)
    parser.add_argument("--ended", type=int, default=50_000)
    parser.add_argument("--running", type=int, default=5_000)
    parser.add_argument(
        "--operator", action="store_true", help="the running ones are a real operator's, which answers"
    )
    arguments = parser.parse_args()
    bench, steps = Bench(), None
    try:
        stage = bench.stage(operator=arguments.operator)
        if arguments.ended:
            write_directly(stage, arguments.ended, "--no-delete")
        if arguments.operator:
            steps = loading(stage, uploads=arguments.running, in_flight=arguments.running, work=WORK_SECONDS)
            steps_have(stage, arguments.running)
        else:
            write_directly(stage, arguments.running, "--no-delete", "--running")
        folder = stage.instance.folder / "plugin"
        folder.mkdir()
        environment = environment_of(stage, folder)
        print(f"{arguments.ended} ended, {arguments.running} running", flush=True)
        print(f"{'command':<26} {'seconds':>8} {'MB':>6} {'lines':>7}")
        for name, words in PAIRS:
            seconds, megabytes, lines = measure(environment, words)
            print(f"{name:<26} {seconds:8.1f} {megabytes:6.0f} {lines:7}", flush=True)
    finally:
        if steps is not None:
            steps.kill()
            steps.communicate()
        bench.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
