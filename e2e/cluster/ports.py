"""Free ports on loopback."""

import random
import socket

_PORTS = range(20_000, 32_000)  # below the kernel's range for outgoing connections: free again at a restart


def free_port() -> int:
    """A loopback port nobody listens on."""
    while True:
        port = random.choice(_PORTS)  # noqa: S311  # no secret
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
