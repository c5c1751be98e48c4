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

from bench.scenarios import NAMESPACE, Bench, Stage, write_directly
from e2e.cluster.binaries import resolve
from e2e.paths import REPO

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


def main() -> int:
    """Print a table."""
    parser = argparse.ArgumentParser(prog="python -m bench.plugin", description=__doc__)
    parser.add_argument("--ended", type=int, default=50_000)
    parser.add_argument("--running", type=int, default=5_000)
    arguments = parser.parse_args()
    bench = Bench()
    try:
        stage = bench.stage(operator=False)
        write_directly(stage, arguments.ended, "--no-delete")
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
        bench.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
