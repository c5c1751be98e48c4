"""clamd's INSTREAM command. Only a clear "OK" is clean: "ERROR", silence and anything else are not."""

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncIterable
from dataclasses import dataclass
from typing import Any

LIMIT_SIGNATURE = "Heuristics.Limits.Exceeded"
MAX_REPLY = 4096
CONNECT_SECONDS = 10


class ScanError(Exception):
    """It is not known whether the file is clean."""


class TooLargeError(ScanError):
    """clamd does not scan files of this size, or not to their end."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where clamd listens: a local socket, or host and port."""

    path: str = ""
    host: str = ""
    port: int = 0

    @classmethod
    def parse(cls, text: str) -> "Address":
        """`unix:/path`, `/path` or `tcp:host:port`, also with `//` after the scheme.

        Raises:
            ValueError: it is none of these.
        """
        path = text.removeprefix("unix:").removeprefix("//")
        if path.startswith("/"):
            return cls(path=path)
        if text.startswith("tcp:"):
            host, _, port = text.removeprefix("tcp:").removeprefix("//").rpartition(":")
            if host and port.isdecimal() and 0 < int(port) < 65536:  # noqa: PLR2004 -- ports have 16 bits
                return cls(host=host.strip("[]"), port=int(port))
        raise ValueError(
            f"{text!r} is no address of clamd such as unix:/run/clamav/clamd.ctl or tcp:clamd:3310"
        )

    async def connect(self) -> socket.socket:
        """Open a connection.

        Raises:
            OSError: nobody listens there.
        """
        if self.path:
            return await _connect(socket.AF_UNIX, self.path)
        loop = asyncio.get_running_loop()
        places = await loop.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM)
        for number, (family, _, _, _, place) in enumerate(places, 1):
            try:
                return await _connect(family, place)
            except OSError:
                if number == len(places):
                    raise
        raise OSError(f"{self.host} has no address")


async def _connect(family: int, place: Any) -> socket.socket:  # noqa: ANN401 -- an address of that family
    connection = socket.socket(family, socket.SOCK_STREAM)
    try:
        connection.setblocking(False)  # noqa: FBT003 -- its only argument
        await asyncio.get_running_loop().sock_connect(connection, place)
    except BaseException:
        connection.close()
        raise
    return connection


async def scan(address: Address, content: AsyncIterable[bytes]) -> str:
    """The name of the signature found, or nothing when the file is clean.

    Raises:
        TooLargeError: a limit of clamd is exceeded.
        ScanError: neither could be found out.
    """
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            connection = await address.connect()
    except (OSError, TimeoutError) as error:
        raise ScanError(f"clamd cannot be reached: {type(error).__name__}") from error
    # clamd may answer, and hang up, before it has everything. Its answer is then still there to be read,
    # but not through a StreamReader: that forgets what it has when a write fails.
    answering = asyncio.create_task(_reply(connection))
    try:
        complete = await _send(connection, content, answering)
        return verdict(await answering, complete=complete)
    finally:
        answering.cancel()
        await asyncio.wait({answering})
        connection.close()


async def _send(
    connection: socket.socket, content: AsyncIterable[bytes], answering: asyncio.Task[str]
) -> bool:
    """Whether clamd has got the whole file."""
    loop = asyncio.get_running_loop()
    try:
        await loop.sock_sendall(connection, b"zINSTREAM\0")
        async for chunk in content:
            if answering.done():
                return False
            await loop.sock_sendall(connection, struct.pack("!I", len(chunk)) + chunk)
        await loop.sock_sendall(connection, struct.pack("!I", 0))
    except ConnectionError:
        return False
    return True


async def _reply(connection: socket.socket) -> str:
    loop = asyncio.get_running_loop()
    reply = b""
    with contextlib.suppress(ConnectionError):  # what came before counts
        while len(reply) < MAX_REPLY and (part := await loop.sock_recv(connection, MAX_REPLY)):
            reply += part
    return reply.rstrip(b"\0\n").decode(errors="replace")


def verdict(reply: str, *, complete: bool) -> str:
    """What a reply means, as for `scan`."""
    text = reply.removeprefix("stream: ")
    if text.endswith(" FOUND"):
        signature = text.removesuffix(" FOUND")
        if signature.startswith(LIMIT_SIGNATURE):
            raise TooLargeError(f"clamd did not scan all of it: {signature}")
        return signature
    if "size limit exceeded" in text:
        raise TooLargeError("the file is larger than clamd's StreamMaxLength")
    if text == "OK" and reply != text and complete:
        return ""
    if text and text != "OK":
        raise ScanError(f"clamd answered: {text}")
    raise ScanError("clamd did not answer" if complete else "clamd closed the connection")
