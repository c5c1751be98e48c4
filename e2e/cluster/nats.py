"""The real nats-server with JetStream."""

import shutil
import socket
from pathlib import Path
from typing import ClassVar, Self

from e2e.cluster.http import get
from e2e.cluster.instance import Instance
from e2e.cluster.natsversions import program
from e2e.cluster.service import Service

_TIMEOUT = 2.0


class NatsServer(Service):
    """A NATS server on loopback. It keeps its ports, and its streams unless told otherwise, over restarts.

    `config` is the text of a configuration file, read at every start.
    """

    port_names: ClassVar[tuple[str, ...]] = ("client", "monitor")

    def __init__(
        self,
        instance: Instance | None = None,
        *,
        store: Path | None = None,
        version: str | None = None,
        config: str = "",
        name: str = "nats",
    ) -> None:
        super().__init__(instance or Instance.temporary("nats"), name)
        self.store = store or self.data / "store"
        self.version = version
        self.config = config

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
        options = []
        if self.config:
            path = self.data / "nats.conf"
            path.write_text(self.config)
            options = [f"--config={path}"]
        return [
            str(program(self.version)),
            *options,
            "--addr=127.0.0.1",
            f"--port={self.port('client')}",
            f"--http_port={self.port('monitor')}",
            "--jetstream",
            f"--store_dir={self.store}",
        ]

    def ready(self) -> bool:
        """Whether clients can connect and JetStream has recovered its streams."""
        get(f"{self.monitor_url}/healthz")
        if "handshake_first" in self.config:
            return True  # it says nothing before the other side has begun with TLS
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
