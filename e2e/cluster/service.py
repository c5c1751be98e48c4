"""A server process: start it, wait until it answers, hurt it in all the usual ways, start it again."""

import os
import signal
import subprocess
from abc import ABC, abstractmethod
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import ClassVar

from e2e.cluster import preloaded
from e2e.cluster.identity import ProcessIdentity
from e2e.cluster.instance import Instance
from e2e.cluster.ports import free_port
from e2e.cluster.preloaded import Child
from e2e.cluster.waiting import wait_until

# The kernel's parent-death signal fires when the *thread* that forked ends, so one thread that lives as
# long as this process forks all children.
_SPAWNER = ThreadPoolExecutor(max_workers=1, thread_name_prefix="spawner")
_STARTS = 3


class StartError(RuntimeError):
    """A server ended or did not answer in time; the message has the end of its log."""


class Service(ABC):
    """One server of an instance, whose folder remembers its ports, its data and its process."""

    port_names: ClassVar[tuple[str, ...]] = ("port",)
    start_timeout: ClassVar[float] = 60.0

    def __init__(self, instance: Instance, name: str) -> None:
        self.instance = instance
        self.name = name
        self.data = instance.folder / name
        self.log = instance.logs / f"{name}.log"
        self._ports: dict[str, int] = instance.load(f"ports/{name}") or {}

    @abstractmethod
    def argv(self) -> list[str]:
        """The command line."""

    @abstractmethod
    def ready(self) -> bool:
        """Whether it answers; may raise OSError while it does not."""

    def environment(self) -> Mapping[str, str] | None:
        """The whole environment; None hands down our own."""
        return None

    def port(self, name: str = "port") -> int:
        """The port of that purpose, the same one at every start."""
        if name not in self._ports:
            self._allocate_ports()
        return self._ports[name]

    @property
    def process(self) -> ProcessIdentity | None:
        """The running process, if any, whoever started it."""
        return self.instance.process(self.name)

    def start(self, timeout: float | None = None) -> None:
        """Start it, unless it runs already, and wait until it answers."""
        if self.process is not None:
            self.wait_ready(timeout)
            return
        first = not self._ports
        for attempt in range(1, _STARTS + 1):
            try:
                self.launch()
                self.wait_ready(timeout)
            except StartError as error:
                self.kill()
                if not first or attempt == _STARTS or "address already in use" not in str(error):
                    raise
                self._allocate_ports()
            else:
                return

    def launch(self) -> None:
        """Start the process without waiting for it."""
        self.data.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.instance.record(self.name, _SPAWNER.submit(self._fork).result())

    def wait_ready(self, timeout: float | None = None) -> None:
        """Wait until it answers, or raise with the end of its log."""
        limit = self.start_timeout if timeout is None else timeout
        if not wait_until(self._answers, limit, give_up=lambda: self.process is None):
            problem = f"does not answer after {limit:.0f} s" if self.process else "has ended"
            raise StartError(f"{self.name} {problem}; the end of {self.log}:\n{self.log_tail()}")

    def stop(self, timeout: float = 30.0) -> None:
        """Ask it to stop (SIGTERM); after the timeout it is killed."""
        process = self.process
        if process is not None:
            process.send(signal.SIGCONT)
            process.send(signal.SIGTERM)
            if not wait_until(lambda: not process.alive(), timeout):
                process.send(signal.SIGKILL)
        self._gone(process)

    def kill(self) -> None:
        """End it with SIGKILL."""
        process = self.process
        if process is not None:
            process.send(signal.SIGKILL)
        self._gone(process)

    def restart(self, *, kill: bool = False) -> None:
        """End it, gracefully or not, and start it again on the same ports and data."""
        if kill:
            self.kill()
        else:
            self.stop()
        self.start()

    def pause(self) -> None:
        """Freeze it (SIGSTOP): its connections stay open and nothing answers."""
        self._send(signal.SIGSTOP)

    def resume(self) -> None:
        """Let a frozen one go on."""
        self._send(signal.SIGCONT)

    def log_tail(self, lines: int = 25) -> str:
        """The end of the log."""
        if not self.log.exists():
            return "(no log)"
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    def _send(self, sig: signal.Signals) -> None:
        process = self.process
        if process is None or not process.send(sig):
            raise ProcessLookupError(f"{self.name} does not run")

    def _gone(self, process: ProcessIdentity | None) -> None:
        if process is not None:
            wait_until(lambda: not process.alive(), 30.0)
        self.instance.collect(self.name)

    def _answers(self) -> bool:
        try:
            return self.ready()
        except OSError:
            return False

    def _allocate_ports(self) -> None:
        self._ports = {name: free_port() for name in self.port_names}
        self.instance.save(f"ports/{self.name}", self._ports)

    def _fork(self) -> Child:
        argv = self.argv()
        environment = self.environment()
        if environment is not None and not self.instance.detached:
            forked = preloaded.spawn(argv, environment, self.data, self.log)
            if forked is not None:
                return forked
        if not self.instance.detached:
            argv = preloaded.ending_with_us(argv)
        with self.log.open("ab") as log:
            return subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=os.environ if environment is None else environment,
                cwd=self.data,
                start_new_session=True,  # Ctrl-C is for us, who then stop it in order
            )
