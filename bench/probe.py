"""Measuring servers from outside: CPU and memory of a process, its processors, the API server's counters."""

import os
import re
from dataclasses import dataclass
from pathlib import Path

from e2e.cluster.service import Service

_TICKS = os.sysconf("SC_CLK_TCK")
_WRITES = re.compile(
    r'^apiserver_request_total\{(?=[^}]*resource="uploadpostprocessings")(?=[^}]*verb="(POST|PATCH|PUT|DELETE)")'
    r"[^}]*\} (\S+)",
    re.MULTILINE,
)


@dataclass(frozen=True, slots=True)
class Usage:
    """What a process has used since it started: CPU seconds; and resident memory in bytes now."""

    cpu: float
    memory: int


def usage(service: Service) -> Usage:
    """CPU and memory of a running server.

    Raises:
        RuntimeError: it does not run.
    """
    process = service.process
    if process is None:
        raise RuntimeError(f"{service.name} does not run")
    stat = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    pages = int(Path(f"/proc/{process.pid}/statm").read_text().split()[1])
    return Usage((int(stat[11]) + int(stat[12])) / _TICKS, pages * os.sysconf("SC_PAGE_SIZE"))


def confine(service: Service, processors: set[int]) -> None:
    """Let a running server use only these processors.

    Raises:
        RuntimeError: it does not run.
    """
    if service.process is None:
        raise RuntimeError(f"{service.name} does not run")
    for thread in Path(f"/proc/{service.process.pid}/task").iterdir():
        os.sched_setaffinity(int(thread.name), processors)


def writes(metrics: str) -> float:
    """Requests that write our resource, as the API server has counted them since its start."""
    return sum(float(value) for _, value in _WRITES.findall(metrics))


def sample(metrics: str, name: str) -> float:
    """The sum of a metric of the operator over its labels."""
    found = re.findall(rf"^{re.escape(name)}(?:\{{[^}}]*\}})? (\S+)", metrics, re.MULTILINE)
    return sum(float(value) for value in found)
