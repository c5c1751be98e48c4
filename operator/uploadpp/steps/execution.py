"""One run of a command: its input, the end of its output, its exit status; nothing of it stays."""

import asyncio
import contextlib
import fcntl
import os
import struct
import subprocess
import termios
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import IO

from uploadpp.steps.children import MARK, Family
from uploadpp.steps.upload import CHUNK_BYTES, Content

TAIL_BYTES = 64 * 1024
MAX_LINE = 2_000
"""Characters of a line that are kept; it is cut before anybody searches it for secrets."""
DRAIN_SECONDS = 2.0
MAX_ID = 2**32 - 2


@dataclass(frozen=True, slots=True)
class Identity:
    """A user and a group, by number."""

    uid: int
    gid: int

    @classmethod
    def parse(cls, text: str) -> "Identity":
        """`UID` or `UID:GID`.

        Raises:
            ValueError: it is neither.
        """
        uid, colon, gid = text.strip().partition(":")
        numbers = (uid, gid if colon else uid)
        if not all(each.isascii() and each.isdecimal() and 0 < int(each) <= MAX_ID for each in numbers):
            raise ValueError(f"{text!r} is not a user such as 65534 or 65534:65534; root is not taken")
        return cls(int(numbers[0]), int(numbers[1]))


class Execution:
    """A command that is run once."""

    def __init__(self, words: Sequence[str], environment: Mapping[str, str], user: Identity | None) -> None:
        self._words = words
        self._environment = environment
        self._user = user
        self.complaints = Tail()
        """What the command said on standard error."""
        self.took_all = True
        """Whether it has read its input to the end."""

    async def run(self, content: Content | None) -> tuple[int, str]:
        """The exit status and the last line of the output; `complaints` has the end of the other output.

        The command is over when its own process is; what it has started is then ended.

        Raises:
            OSError: it cannot be started.
            DownloadError: its input could not be had.
        """
        family = Family()
        tasks: set[asyncio.Task[object]] = set()
        tail = Tail()
        pipe = Pipe() if content is not None else None
        try:
            process = self._start(family, pipe)
            reading = {
                asyncio.create_task(_read(process.stdout, tail)),
                asyncio.create_task(_read(process.stderr, self.complaints)),
            }
            waiting = asyncio.create_task(family.wait())
            tasks |= {*reading, waiting}
            feeding = None
            if content is not None and pipe is not None:
                feeding = asyncio.create_task(pipe.feed(content))
                tasks.add(feeding)
                await asyncio.wait({feeding, waiting}, return_when=asyncio.FIRST_COMPLETED)
                if feeding.done():
                    feeding.result()  # a failed download: the command has no say
            status = await waiting
            if feeding is not None and pipe is not None:
                if not pipe.unread:  # all that was sent: perhaps only the end of the download is missing
                    await asyncio.wait({feeding}, timeout=DRAIN_SECONDS)
                self.took_all = feeding.done() and not pipe.unread
                feeding.cancel()
            await family.end()
            await asyncio.wait(reading, timeout=DRAIN_SECONDS)
            return status, tail.last_line()
        finally:
            await family.end()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            if pipe is not None:
                pipe.close()

    def _start(self, family: Family, pipe: "Pipe | None") -> "subprocess.Popen[bytes]":
        identity = self._user
        process = subprocess.Popen(  # noqa: S603 -- the command that the options name, without a shell
            self._words,
            stdin=subprocess.DEVNULL if pipe is None else pipe.read_end,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,  # what it says there may be text of an uploader, and must not be our log
            env={**self._environment, MARK: family.mark},
            start_new_session=True,  # so that it can be ended with everything it starts
            user=identity.uid if identity else None,
            group=identity.gid if identity else None,
            extra_groups=[] if identity else None,
        )
        family.adopt(process)
        return process


class Protocol(asyncio.streams.FlowControlMixin):
    """Knows whether its transport is gone."""

    is_lost = False

    def connection_lost(self, exc: Exception | None) -> None:
        """The transport has closed its file."""
        self.is_lost = True
        super().connection_lost(exc)


class Pipe:
    """The input of a command. We keep both ends, so that it can be told what the command has not read."""

    def __init__(self) -> None:
        self.read_end, write_end = os.pipe()
        self.file = os.fdopen(write_end, "wb", buffering=0)
        self.transport: asyncio.WriteTransport | None = None
        self.protocol = Protocol()

    @property
    def unread(self) -> int:
        """How many bytes were sent and not read."""
        waiting = fcntl.ioctl(self.read_end, termios.FIONREAD, bytes(4))
        (found,) = struct.unpack("i", waiting)
        return int(found) + (self.transport.get_write_buffer_size() if self.transport is not None else 0)

    async def feed(self, content: Content) -> None:
        """Send a file, as far as the command reads it."""
        loop = asyncio.get_running_loop()
        transport, protocol = await loop.connect_write_pipe(lambda: self.protocol, self.file)
        self.transport = transport
        writer = asyncio.StreamWriter(transport, protocol, None, loop)
        try:
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # it has seen enough
                async for chunk in content:
                    writer.write(chunk)
                    await writer.drain()
            transport.close()
        finally:
            # What is not written yet is not worth waiting for once we are told to stop.
            if not transport.is_closing():
                transport.abort()

    def close(self) -> None:
        """Give both ends back."""
        os.close(self.read_end)
        if self.transport is None:
            self.file.close()
        elif not self.protocol.is_lost:
            self.transport.abort()  # it closes the file, once nothing waits for it any more


class Tail:
    """The end of an output of any length."""

    def __init__(self) -> None:
        self._bytes = b""

    def add(self, part: bytes) -> None:
        """Take more of it."""
        self._bytes = (self._bytes + part)[-TAIL_BYTES:]

    def last_line(self) -> str:
        """The last line that is not blank; a very long one without its end."""
        return next(iter(self.last_lines(1)), "")

    def last_lines(self, most: int) -> list[str]:
        """The last lines that are not blank, at most so many; very long ones without their ends."""
        lines = [line.strip() for line in self._bytes.decode(errors="replace").split("\n")]
        found = [line for line in lines if line][-most:]
        return [line if len(line) <= MAX_LINE else f"{line[:MAX_LINE]}…" for line in found]


async def _read(pipe: IO[bytes] | None, tail: Tail) -> None:
    loop, reader = asyncio.get_running_loop(), asyncio.StreamReader()
    transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), pipe)
    with contextlib.closing(transport):
        while part := await reader.read(CHUNK_BYTES):
            tail.add(part)
