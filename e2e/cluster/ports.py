"""Free ports on loopback."""

import random
import socket
import threading
from collections.abc import Iterator

_FIRST, _END = 20_000, 32_000  # below the kernel's range for outgoing connections: free again at a restart
_BLOCK = 500
_OURS: list[Iterator[int]] = []
_LOCK = threading.Lock()


def free_port() -> int:
    """A loopback port nobody listens on.

    Nor is it given to another process before it is used, or while what uses it is started anew: each process
    takes the ports of a block of its own, one after another.
    """
    with _LOCK:
        if not _OURS:
            _OURS.append(_ports())
        return next(port for port in _OURS[0] if _is_free(port))


def _ports() -> Iterator[int]:
    """The ports of a block again and again. Its first one is bound, and says so to others, while we live."""
    blocks = list(range(_FIRST, _END, _BLOCK))
    random.shuffle(blocks)
    for first in blocks:
        with socket.socket() as sign:
            try:
                sign.bind(("127.0.0.1", first))
            except OSError:
                continue
            port = random.randrange(1, _BLOCK)  # noqa: S311  # no secret
            while True:
                yield first + port
                port = port % (_BLOCK - 1) + 1
    while True:  # more processes than blocks
        yield random.randrange(_FIRST, _END)  # noqa: S311  # no secret


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
