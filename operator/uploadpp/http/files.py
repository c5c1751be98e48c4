"""Files that people name: read once, up to a limit, and never waited for."""

import errno
import os
import select
import stat
import time
from pathlib import Path

MOST_BYTES = 4 << 20
"""Maximum size of a kubeconfig, a key, a token, a certificate or rules. A larger file is none of these."""


def read_regular(path: str | Path, *, pipe_seconds: float = 0) -> bytes:
    """The content of a regular file, or of one that links lead to, as in a mounted Secret.

    A pipe would keep us waiting, and a device may never end. With `pipe_seconds` a pipe is read as well, for
    so long: shells hand one over with `<(command)`.

    Raises:
        OSError: it cannot be read, is another kind of file or too large, or a pipe that does not end in time;
            `strerror` says why.
        ValueError: the path holds a NUL.
    """
    with open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK)) as file:
        mode = os.fstat(file.fileno()).st_mode
        if stat.S_ISREG(mode):
            content = file.read(MOST_BYTES + 1)
        elif stat.S_ISFIFO(mode) and pipe_seconds:
            content = _read_pipe(file.fileno(), pipe_seconds)
        else:
            raise OSError(errno.EINVAL, "it is not a regular file")
    if len(content) > MOST_BYTES:
        raise OSError(errno.EFBIG, f"it is larger than {MOST_BYTES >> 20} MiB")
    return content


def _read_pipe(descriptor: int, seconds: float) -> bytes:
    deadline, content = time.monotonic() + seconds, bytearray()
    while len(content) <= MOST_BYTES:
        ready, _, _ = select.select([descriptor], [], [], max(deadline - time.monotonic(), 0))
        if not ready:
            words = f"it is a pipe, and its writer did not finish within {seconds:g} s"
            raise OSError(errno.ETIMEDOUT, words)
        part = os.read(descriptor, 65_536)
        if not part:
            break
        content += part
    return bytes(content)
