"""The namespaces a node lives in: what it mounts, routes, filters and starts goes when they go.

Their first process holds them. It ends with whoever started the cluster, also by kill -9, and the
kernel then ends every process inside, and with the last one the network, its rules and all mounts.
"""

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import ClassVar

from e2e.cluster.instance import Instance
from e2e.cluster.service import Service

HOME = Path("/run/node")
"""The instance's folder, as processes inside see it."""

_LINKS = range(256)

# /var is kept from harm by a layer above it, /run is new. The kubelet sets some limits of the whole machine:
# it finds them as it wants them, in files that only it sees.
_SETUP = f"""
set -e
mount --make-rshared /
mount -t tmpfs -o mode=755 run /run
mkdir -p {HOME} /run/netns /run/lock /run/var/upper /run/var/work
mount --bind . {HOME}
mount -t overlay -o lowerdir=/var,upperdir=/run/var/upper,workdir=/run/var/work var /var
pretend() {{
  test -e "/proc/sys/$1" || return 0
  mkdir -p "/run/sysctl/$(dirname "$1")"
  echo "$2" >"/run/sysctl/$1"
  mount --bind "/run/sysctl/$1" "/proc/sys/$1"
}}
pretend vm/overcommit_memory 1
pretend vm/panic_on_oom 0
pretend kernel/panic 10
pretend kernel/panic_on_oops 1
pretend kernel/keys/root_maxkeys 1000000
pretend kernel/keys/root_maxbytes 25000000
ip link set lo up
echo 1 >/proc/sys/net/ipv4/ip_forward
if test -e /proc/sys/net/bridge; then echo 1 >/proc/sys/net/bridge/bridge-nf-call-iptables; fi
touch {HOME}/sandbox/ready
exec sleep infinity
"""


@dataclass(frozen=True)
class Link:
    """The one cable between this machine and its node, number so and so. Nobody routes these addresses."""

    number: int

    @property
    def interface(self) -> str:
        """Its end on this machine."""
        return f"upp{self.number}"

    @property
    def machine(self) -> str:
        """This machine's address on it."""
        return f"198.18.{self.number}.1"

    @property
    def node(self) -> str:
        """The node's address on it."""
        return f"198.18.{self.number}.2"

    @property
    def pods(self) -> str:
        """The addresses of Pods."""
        return f"198.19.{self.number}.0/24"


class Sandbox(Service):
    """Network, mount and process namespaces, held by one process."""

    port_names: ClassVar = ()
    start_timeout: ClassVar = 10.0

    def __init__(self, instance: Instance) -> None:
        super().__init__(instance, "sandbox")

    def argv(self) -> list[str]:
        """The command line."""
        kinds = ["--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
        return ["unshare", *kinds, "sh", "-c", f"cd {self.instance.folder}\n{_SETUP}"]

    def launch(self) -> None:
        """Start the process without waiting for it."""
        (self.data / "ready").unlink(missing_ok=True)
        super().launch()

    def ready(self) -> bool:
        """Whether everything is mounted."""
        return (self.data / "ready").exists()

    def start(self, timeout: float | None = None) -> None:
        """Make the namespaces, and the cable to them."""
        fresh = self.process is None
        super().start(timeout)
        if fresh:
            self._plug_in()

    @cached_property
    def link(self) -> Link:
        """The cable that start plugged in."""
        record = self.instance.load("link")
        if record is None:
            raise LookupError("the node is not connected")
        return Link(record["number"])

    def inside(self, path: Path) -> Path:
        """How processes inside call a file of the instance."""
        return HOME / path.relative_to(self.instance.folder)

    def enter(self, *command: str) -> list[str]:
        """The command line that runs a command inside."""
        return ["nsenter", *(f"--{kind}={file}" for kind, file in self._namespaces().items()), "--", *command]

    def run(self, *command: str) -> str:
        """Run a command inside to its end; returns its output."""
        return _run(*self.enter(*command))

    def _namespaces(self) -> dict[str, str]:
        process = self.process
        if process is None:
            raise ProcessLookupError("the node does not run")
        files = {"net": "net", "mount": "mnt", "pid": "pid_for_children"}
        return {kind: f"/proc/{process.pid}/ns/{file}" for kind, file in files.items()}

    def _plug_in(self) -> None:
        self.__dict__.pop("link", None)
        assert self.process is not None  # noqa: S101  # it answered
        for link in map(Link, _LINKS):
            ends = [link.interface, "type", "veth", "peer", "name", "eth0", "netns", str(self.process.pid)]
            if not Path("/sys/class/net", link.interface).exists() and _try("ip", "link", "add", *ends):
                break
        else:
            raise RuntimeError("no free number for a network interface upp0 to upp255")
        self.instance.save("link", {"number": link.number})
        _run("ip", "address", "add", f"{link.machine}/30", "dev", link.interface)
        _run("ip", "link", "set", link.interface, "up")
        self.run("ip", "address", "add", f"{link.node}/30", "dev", "eth0")
        self.run("ip", "link", "set", "eth0", "up")
        # The API server talks to Pods for those who ask it to; without this it would try the next router.
        _run("ip", "route", "add", link.pods, "via", link.node, "dev", link.interface)


def _try(*command: str) -> bool:
    return subprocess.run(command, check=False, capture_output=True, stdin=subprocess.DEVNULL).returncode == 0


def _run(*command: str) -> str:
    done = subprocess.run(command, check=False, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if done.returncode != 0:
        shown: Sequence[str] = command[command.index("--") + 1 :] if "--" in command else command
        raise RuntimeError(f"`{' '.join(shown)}` failed: {(done.stderr or done.stdout).strip()}")
    return done.stdout
