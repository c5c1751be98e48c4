"""A node ends with whoever started it, however that one ends, and leaves nothing on the machine."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from e2e.cluster.instance import reap_leftovers, run_dir
from e2e.cluster.waiting import wait_until
from e2e.node.machine import hierarchies
from e2e.paths import REPO

pytestmark = pytest.mark.skipif(
    os.environ.get("UPLOADPP_CLUSTER", "node") != "node", reason="this cluster has its own nodes"
)

# Makes the namespaces, mounts and routes inside, leaves a process there, and is killed.
CALLER = """
import json, os, signal, subprocess
from e2e.cluster.instance import Instance
from e2e.node.machine import make_cgroup, remove_cgroup_command
from e2e.node.sandbox import Sandbox
instance = Instance.temporary("orphan")
instance.on_reap(remove_cgroup_command(instance.folder.name))
make_cgroup(instance.folder.name)
sandbox = Sandbox(instance)
sandbox.start()
sandbox.run("mount", "-t", "tmpfs", "some", "/mnt")
sandbox.run("iptables", "-t", "nat", "-A", "POSTROUTING", "-j", "MASQUERADE")
inside = subprocess.Popen(sandbox.enter("sleep", "4711"), start_new_session=True)
found = {"name": instance.folder.name, "link": sandbox.link.interface}
print(json.dumps(found), flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def machine() -> tuple[str, str]:
    """What a node could leave behind: mounts and rules."""
    rules = subprocess.run(["iptables-save", "-t", "nat"], capture_output=True, text=True, check=True)
    lines = [line for line in rules.stdout.splitlines() if not line.startswith(("#", ":"))]
    return Path("/proc/mounts").read_text(), "\n".join(lines)


def sleeping() -> bool:
    return subprocess.run(["pgrep", "-f", "^sleep 4711$"], check=False, capture_output=True).returncode == 0


def test_a_killed_caller_leaves_nothing() -> None:
    before = machine()
    done = subprocess.run(
        [sys.executable, "-c", CALLER], cwd=REPO, capture_output=True, text=True, check=False, timeout=60
    )
    found = json.loads(done.stdout)
    assert machine() == before
    assert wait_until(lambda: not sleeping(), 10)
    assert wait_until(lambda: not Path("/sys/class/net", found["link"]).exists(), 10)
    reap_leftovers()
    assert not (run_dir() / found["name"]).exists()
    assert not [root for root in hierarchies() if (root / found["name"]).exists()]
