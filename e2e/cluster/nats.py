"""The real nats-server with JetStream."""

import shutil
import socket
import sys
from pathlib import Path
from typing import ClassVar, Self

from e2e.cluster.http import get
from e2e.cluster.instance import Instance
from e2e.cluster.service import Service

_TIMEOUT = 2.0


class NatsServer(Service):
    """A NATS server on loopback. It keeps its ports, and its streams unless told otherwise, over restarts."""

    port_names: ClassVar = ("client", "monitor")

    def __init__(self, instance: Instance | None = None, *, store: Path | None = None) -> None:
        super().__init__(instance or Instance.temporary("nats"), "nats")
        self.store = store or self.data / "store"

    @property
    def url(self) -> str:
        """Where clients find it."""
        return f"nats://{self.address}"

    @property
    def address(self) -> str:
        """The same as host:port, the form the ocis settings use."""
        return f"127.0.0.1:{self.port('client')}"

    @property
    def monitor_url(self) -> str:
        """Where it tells about itself over HTTP (/varz, /jsz, /connz)."""
        return f"http://127.0.0.1:{self.port('monitor')}"

    def argv(self) -> list[str]:
        """The command line."""
        return [
            str(program()),
            "--addr=127.0.0.1",
            f"--port={self.port('client')}",
            f"--http_port={self.port('monitor')}",
            "--jetstream",
            f"--store_dir={self.store}",
        ]

    def ready(self) -> bool:
        """Whether clients can connect and JetStream has recovered its streams."""
        get(f"{self.monitor_url}/healthz")
        with socket.create_connection(("127.0.0.1", self.port("client")), timeout=_TIMEOUT) as client:
            return client.recv(4) == b"INFO"

    def restart_empty(self) -> None:
        """Kill it, lose every stream, start it again: what happens to a cluster without a volume."""
        self.kill()
        shutil.rmtree(self.store, ignore_errors=True)
        self.start()

    def close(self) -> None:
        """End it and forget everything of the instance."""
        self.instance.close()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def program() -> Path:
    """The server of the virtual environment's wheel, or the one on PATH."""
    for path in (Path(sys.prefix, "bin", "nats-server"), shutil.which("nats-server")):
        if path is not None and Path(path).exists():
            return Path(path)
    raise FileNotFoundError("nats-server is neither in the virtual environment nor on PATH: run `make venv`")
