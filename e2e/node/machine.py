"""What this machine must be and have to run a node, and how it is put in order again."""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from e2e.cluster.provider import ClusterUnavailableError
from e2e.paths import REPO

CNI_PLUGINS = Path("/usr/lib/cni")
CGROUPS = Path("/sys/fs/cgroup")

_PACKAGES = {
    "containerd": "containerd",
    "ctr": "containerd",
    "runc": "runc",
    str(CNI_PLUGINS / "bridge"): "containernetworking-plugins",
    "iptables": "iptables",
    "conntrack": "conntrack",
    "ip": "iproute2",
    "nsenter": "util-linux",
    "setpriv": "util-linux",
}
"""Programs of the node, and the Debian package of each."""

# Empty folders go from the innermost out; a process that is about to end may still hold one.
_REMOVE_CGROUPS = """
for _ in $(seq 100); do
  find {root} -depth -type d -path '*/{name}*' -exec rmdir {{}} + 2>/dev/null
  [ -z "$(find {root} -type d -name '{name}*')" ] && exit 0
  sleep 0.1
done
"""


def check(programs: Mapping[str, str] = _PACKAGES) -> None:
    """See that a node can run here; install Debian packages that are missing.

    Raises:
        ClusterUnavailableError: it cannot, and why.
    """
    if sys.platform != "linux":
        raise ClusterUnavailableError(
            f"a node needs Linux, and this is {sys.platform}: use UPLOADPP_CLUSTER=kind"
        )
    if os.geteuid() != 0:
        raise ClusterUnavailableError("a node needs root: run it with sudo, or use UPLOADPP_CLUSTER=kind")
    install({program: package for program, package in programs.items() if not shutil.which(program)})
    if not any(CGROUPS.glob("*/cgroup.procs")) and not (CGROUPS / "cgroup.controllers").exists():
        raise ClusterUnavailableError(f"a node needs control groups, and there are none in {CGROUPS}")


def install(missing: Mapping[str, str]) -> None:
    """Install the packages of missing programs.

    Raises:
        ClusterUnavailableError: this is not Debian, or a package is not available.
    """
    if not missing:
        return
    text = f"not on this machine: {', '.join(missing)}"
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        raise ClusterUnavailableError(f"{text}; install {', '.join(sorted(set(missing.values())))}")
    try:
        command = [str(REPO / "scripts" / "apt-install"), *sorted(set(missing.values()))]
        subprocess.run(command, check=True, stdout=sys.stderr)
    except subprocess.CalledProcessError as error:
        raise ClusterUnavailableError(f"{text}, and could not be installed") from error


def hierarchies() -> list[Path]:
    """Where control groups are mounted: many places in version 1, one in version 2."""
    mounts = [line.split() for line in Path("/proc/mounts").read_text().splitlines()]
    return [Path(point) for _, point, kind, *_ in mounts if kind in {"cgroup", "cgroup2"}]


def make_cgroup(name: str) -> None:
    """A control group of that name in every hierarchy, below which the kubelet puts its Pods."""
    for root in hierarchies():
        folder = root / name
        folder.mkdir(exist_ok=True)
        for file in ("cpuset.cpus", "cpuset.mems"):  # version 1 does not inherit them
            if (folder / file).exists():
                (folder / file).write_text((root / file).read_text())


def remove_cgroup_command(name: str) -> list[str]:
    """The command that removes them all when their processes are gone."""
    return ["sh", "-c", _REMOVE_CGROUPS.format(root=CGROUPS, name=name)]
